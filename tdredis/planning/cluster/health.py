"""Decides what is wrong with a RedisCluster right now, as sentences: none means Ready.

Order is meaning: the first finding is the reason in status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tdredis.manifests.names import proxy_name
from tdredis.planning.cluster.world import World
from tdredis.planning.conditions import Finding, is_ready
from tdredis.planning.disks import disks_that_fail
from tdredis.planning.findings import (
    claims_that_stay,
    last_copy_goes,
    pods_that_fail,
    pods_that_stay,
    syncs_that_fail,
    unready_pods,
    unresponsive_processes,
)
from tdredis.planning.objects import list_names
from tdredis.planning.pods import unresponsive
from tdredis.planning.snapshot import Ref

Check = Callable[[World], Iterator[Finding]]


def pods_run(world: World) -> Iterator[Finding]:
    snapshot = world.snapshot
    yield from claims_that_stay(snapshot.kept_claims, world.missing_pods)
    yield from pods_that_fail(world.troubled_pods, world.missing_pods, snapshot.creation_failures)
    yield from pods_that_stay(snapshot.pods, snapshot.now)


def processes_answer(world: World) -> Iterator[Finding]:
    return unresponsive_processes(world.unresponsive, world.wanted_pods, world.snapshot.pods)


def pods_are_ready(world: World) -> Iterator[Finding]:
    return unready_pods(world.wanted_pods, world.snapshot.pods)


def disks_take_writes(world: World) -> Iterator[Finding]:
    return disks_that_fail(world.snapshot, frozenset(member.name for member in world.members if member.slots))


def data_is_there(world: World) -> Iterator[Finding]:
    for why in world.lost.values():
        yield Finding(reason="DataLost", message=why, serious=True)


def the_last_copies_stay(world: World) -> Iterator[Finding]:
    for shard in world.shards:
        staying = [member for member in world.replicas_in_sync(shard) if not member.pod.deleting]
        if shard.owner is not None and not staying:
            yield from last_copy_goes(shard.owner.pod, wanted=len(shard.wanted) - 1)


def slots_are_owned(world: World) -> Iterator[Finding]:
    if world.twice_owned:
        message = f"slots {world.twice_owned} have two owners"
        yield Finding(reason="SlotsOwnedTwice", message=message, serious=True)
    lost = len(world.unowned)
    # Who lets nobody in has slots too, and cannot be asked which.
    if lost and not any(unknown.full for unknown in world.unresponsive.values()):
        yield Finding(reason="SlotsNotOwned", message=f"{lost} of 16384 slots have no owner", serious=True)


def slots_are_closed(world: World) -> Iterator[Finding]:
    for slot, members in world.open_slots.items():
        more = f" and {len(world.open_slots) - 1} more" if len(world.open_slots) > 1 else ""
        message = f"the moving of slot {slot}{more} is not finished on {list_names([each.name for each in members])}"
        yield Finding(reason="SlotsOpen", message=message, serious=False)
        return


def nodes_know_each_other(world: World) -> Iterator[Finding]:
    strange = [name for name, others in world.strangers.items() if others]
    if strange:
        message = f"{', '.join(strange[:3])} still to meet other nodes"
        yield Finding(reason="NodesNotMet", message=message, serious=False)
    if world.ghosts:
        message = f"{len(world.ghosts)} nodes that are gone are still known"
        yield Finding(reason="GhostNodes", message=message, serious=False)


def engine_agrees(world: World) -> Iterator[Finding]:
    doubting = [member.name for member in world.members if member.facts.cluster_ok is not True]
    if doubting:
        message = f"cluster_state is not ok on {', '.join(doubting[:3])}"
        yield Finding(reason="ClusterStateFail", message=message, serious=True)


def replicas_are_in_sync(world: World) -> Iterator[Finding]:
    for shard in world.shards:
        wanted = len(shard.wanted) - 1
        synced = len(world.replicas_in_sync(shard))
        if synced < wanted:
            message = f"shard {shard.name}: {synced} of {wanted} replicas in sync"
            yield Finding(reason="ReplicasNotInSync", message=message, serious=False)


def syncs_come_to_an_end(world: World) -> Iterator[Finding]:
    for shard in world.shards:
        if shard.owner is not None:
            primary = shard.owner
            followers = ((each.name, each.facts) for each in shard.members if each.view.me.primary_id == primary.id)
            yield from syncs_that_fail(followers, primary.name, primary.facts)


def proxy_serves(world: World) -> Iterator[Finding]:
    if not world.cluster.spec.proxy.enabled:
        return
    name = proxy_name(world.cluster.name)
    deployment = world.snapshot.children.get(Ref("Deployment", name))
    if deployment is None or not deployment.available_replicas:
        words = world.snapshot.creation_failures.get(name, "")
        message = f"no pod of proxy {name} is ready{': ' if words else ''}{words}"
        yield Finding(reason="ProxyNotReady", message=message, serious=True)
        return
    reads = world.snapshot.reads
    if not is_ready(world.cluster.status):
        for pod, unread in unresponsive(reads).items():
            message = f"proxy {pod} cannot read from every shard yet: {unread.error}"
            yield Finding(reason="ProxyNotReady", message=message, serious=True)
        return
    late = world.late_proxies
    if late and len(late) == len(reads):
        message = f"no pod of proxy {name} can read from every shard: {next(iter(late.values())).error}"
        yield Finding(reason="ProxyNotReady", message=message, serious=True)


CHECKS: tuple[Check, ...] = (
    data_is_there,
    disks_take_writes,
    the_last_copies_stay,
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


def findings(world: World) -> tuple[Finding, ...]:
    """Everything that is wrong, in the order of CHECKS."""
    return tuple(finding for check in CHECKS for finding in check(world))
