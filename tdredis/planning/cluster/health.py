"""Decides what is wrong with a RedisCluster right now, as sentences: none means Ready.

Order is meaning: the first ailment is the reason in status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tdredis.manifests.names import proxy_name
from tdredis.planning.ailments import pods_that_fail, silent_processes, syncs_that_fail, unready_pods
from tdredis.planning.cluster.rules import World
from tdredis.planning.conditions import Ailment, is_ready
from tdredis.planning.objects import list_names
from tdredis.planning.pods import silent
from tdredis.planning.snapshot import Ref

Check = Callable[[World], Iterator[Ailment]]


def pods_run(world: World) -> Iterator[Ailment]:
    return pods_that_fail(world.picture.troubled_pods, world.picture.missing_pods)


def processes_answer(world: World) -> Iterator[Ailment]:
    return silent_processes(world.picture.silent)


def pods_are_ready(world: World) -> Iterator[Ailment]:
    return unready_pods(world.picture.wanted_pods, world.picture.snapshot.pods)


def slots_are_owned(world: World) -> Iterator[Ailment]:
    picture = world.picture
    if picture.twice_owned:
        message = f"slots {picture.twice_owned} have two owners"
        yield Ailment(reason="SlotsOwnedTwice", message=message, serious=True)
    lost = len(picture.unowned)
    if lost:
        yield Ailment(reason="SlotsNotOwned", message=f"{lost} of 16384 slots have no owner", serious=True)


def slots_are_closed(world: World) -> Iterator[Ailment]:
    for slot, members in world.picture.open_slots.items():
        more = f" and {len(world.picture.open_slots) - 1} more" if len(world.picture.open_slots) > 1 else ""
        message = f"the moving of slot {slot}{more} is not finished on {list_names([each.name for each in members])}"
        yield Ailment(reason="SlotsOpen", message=message, serious=False)
        return


def nodes_know_each_other(world: World) -> Iterator[Ailment]:
    strange = [name for name, others in world.picture.strangers.items() if others]
    if strange:
        message = f"{', '.join(strange[:3])} still to meet other nodes"
        yield Ailment(reason="NodesNotMet", message=message, serious=False)
    if world.picture.ghosts:
        message = f"{len(world.picture.ghosts)} nodes that are gone are still known"
        yield Ailment(reason="GhostNodes", message=message, serious=False)


def engine_agrees(world: World) -> Iterator[Ailment]:
    doubting = [member.name for member in world.picture.members if member.facts.cluster_ok is not True]
    if doubting:
        message = f"cluster_state is not ok on {', '.join(doubting[:3])}"
        yield Ailment(reason="ClusterStateFail", message=message, serious=True)


def replicas_are_in_sync(world: World) -> Iterator[Ailment]:
    for shard in world.picture.shards:
        wanted = len(shard.wanted) - 1
        synced = len(world.picture.replicas_in_sync(shard))
        if synced < wanted:
            message = f"shard {shard.name}: {synced} of {wanted} replicas in sync"
            yield Ailment(reason="ReplicasNotInSync", message=message, serious=False)


def syncs_come_to_an_end(world: World) -> Iterator[Ailment]:
    for shard in world.picture.shards:
        if shard.owner is not None:
            primary = shard.owner
            followers = ((each.name, each.facts) for each in shard.members if each.view.me.primary_id == primary.id)
            yield from syncs_that_fail(followers, primary.name, primary.facts)


def proxy_serves(world: World) -> Iterator[Ailment]:
    if not world.cluster.spec.proxy.enabled:
        return
    name = proxy_name(world.cluster.name)
    deployment = world.picture.snapshot.children.get(Ref("Deployment", name)) or {}
    status = deployment.get("status")
    available = status.get("availableReplicas", 0) if isinstance(status, dict) else 0
    if not available:
        yield Ailment(reason="ProxyNotReady", message=f"no pod of proxy {name} is ready", serious=True)
        return
    reads = world.picture.snapshot.reads
    if not is_ready(world.cluster.status):
        for pod, unread in silent(reads).items():
            message = f"proxy {pod} cannot read from every shard yet: {unread.error}"
            yield Ailment(reason="ProxyNotReady", message=message, serious=True)
        return
    stuck = world.picture.stuck_proxies
    if stuck and len(stuck) == len(reads):
        message = f"no pod of proxy {name} can read from every shard: {next(iter(stuck.values())).error}"
        yield Ailment(reason="ProxyNotReady", message=message, serious=True)


CHECKS: tuple[Check, ...] = (
    pods_run,
    processes_answer,
    slots_are_owned,
    slots_are_closed,
    nodes_know_each_other,
    engine_agrees,
    syncs_come_to_an_end,
    replicas_are_in_sync,
    pods_are_ready,
    proxy_serves,
)


def ailments(world: World) -> tuple[Ailment, ...]:
    """Everything that is wrong, in the order of CHECKS."""
    return tuple(ailment for check in CHECKS for ailment in check(world))
