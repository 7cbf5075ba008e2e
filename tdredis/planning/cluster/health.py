"""Decides what is wrong with a RedisCluster right now, as sentences: none means Ready.

Order is meaning: the first finding is the reason in status.
"""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.manifests.names import proxy_name
from tdredis.planning.cluster.resharding import is_wanted
from tdredis.planning.cluster.world import World
from tdredis.planning.conditions import is_ready
from tdredis.planning.disks import disks_that_fail
from tdredis.planning.findings import Finding, last_copy_goes, syncs_that_fail
from tdredis.planning.health import Check, pods_are_ready, pods_run, processes_answer
from tdredis.planning.pods import unresponsive
from tdredis.planning.sentences import list_names
from tdredis.planning.snapshot import Ref
from tdredis.redis.ports import REDIS_PORT


def disks_take_writes(world: World) -> Iterator[Finding]:
    owners = frozenset(member.name for member in world.members if member.slots)
    return disks_that_fail(world.snapshot, world.instance.spec, owners)


def data_is_there(world: World) -> Iterator[Finding]:
    for why in world.lost.values():
        yield Finding(reason="DataLost", message=why, serious=True)


def the_last_copies_stay(world: World) -> Iterator[Finding]:
    for shard in world.shards:
        staying = [member for member in shard.replicas_in_sync if not member.pod.deleting]
        if shard.owner is not None and not staying:
            yield from last_copy_goes(shard.owner.pod, wanted=len(shard.wanted) - 1)


def slots_are_owned(world: World) -> Iterator[Finding]:
    if twice := world.twice_owned - world.in_transit:
        message = f"slots {twice} have two owners"
        yield Finding(reason="SlotsOwnedTwice", message=message, serious=True)
    lost = len(world.unowned - world.in_transit)
    # A process without free connections has slots too, and cannot be asked which.
    if lost and not any(unknown.full for unknown in world.redis.unresponsive.values()):
        yield Finding(
            reason="SlotsNotOwned", message=f"{lost} of 16384 slots have no owner", serious=True, part_of_start=True
        )


def slots_are_closed(world: World) -> Iterator[Finding]:
    if is_wanted(world):
        return  # they are on their way, or will be
    for slot, members in world.open_slots.items():
        more = f" and {len(world.open_slots) - 1} more" if len(world.open_slots) > 1 else ""
        message = f"moving slot {slot}{more} is not finished on {list_names([each.name for each in members])}"
        yield Finding(reason="SlotsOpen", message=message, serious=False)
        return


def nodes_know_each_other(world: World) -> Iterator[Finding]:
    vacant = {member.name for shard in world.shards if shard.is_vacant for member in shard.members}
    strange = [
        name
        for name, others in world.strangers.items()
        if name not in vacant and any(other.name not in vacant for other in others)
    ]
    if strange:
        message = f"{', '.join(strange[:3])} do not know all other nodes yet"
        yield Finding(reason="NodesNotMet", message=message, serious=False, part_of_start=True)
    if world.ghosts and not any(shard.is_leaving and shard.is_vacant for shard in world.shards):
        message = f"{len(world.ghosts)} nodes that are gone are still known"
        yield Finding(reason="GhostNodes", message=message, serious=False)


def engine_agrees(world: World) -> Iterator[Finding]:
    serving = (member for shard in world.shards if not shard.is_vacant for member in shard.members)
    doubting = [member.name for member in serving if member.facts.cluster_ok is not True]
    if doubting:
        message = f"cluster_state is not ok on {', '.join(doubting[:3])}"
        yield Finding(reason="ClusterStateFail", message=message, serious=True, part_of_start=True)


def replicas_are_in_sync(world: World) -> Iterator[Finding]:
    for shard in (each for each in world.shards if not each.is_vacant):
        wanted = len(shard.wanted) - 1
        synced = len(shard.replicas_in_sync)
        if synced < wanted:
            message = f"shard {shard.name}: {synced} of {wanted} replicas in sync"
            yield Finding(reason="ReplicasNotInSync", message=message, serious=False, part_of_start=True)


def each_shard_has_one_owner(world: World) -> Iterator[Finding]:
    """Two of a shard's processes own different slots: nothing is lost, and neither has a copy of what the other has."""
    for shard in world.shards:
        owner, losers = shard.owner, world.disputes.losers
        others = [each for each in shard.members if each.slots and each is not owner and each.name not in losers]
        if owner is None or not others:
            continue
        told = " and ".join(
            f"{each.name} owns {len(each.slots)} slots with {each.facts.keys} keys" for each in (owner, *others)
        )
        moves = "; ".join(
            f"redis-cli --cluster reshard {owner.pod.ip}:{REDIS_PORT} --cluster-from {each.id} --cluster-to {owner.id}"
            f" --cluster-slots {len(each.slots)} --cluster-yes"
            for each in others
        )
        message = (
            f"shard {shard.name} has {1 + len(others)} owners: {told}; no key is lost, and nobody has a copy of what"
            f" each of them owns. Write paused: true, type {moves}, and write paused: false: who owns nothing any more"
            " is made a replica"
        )
        yield Finding(reason="ShardHasTwoOwners", message=message, serious=False)


def syncs_come_to_an_end(world: World) -> Iterator[Finding]:
    for shard in world.shards:
        if shard.owner is not None:
            primary = shard.owner
            followers = ((each.name, each.facts) for each in shard.members if each.view.me.primary_id == primary.id)
            yield from syncs_that_fail(followers, primary.name, primary.facts)


def proxy_serves(world: World) -> Iterator[Finding]:
    if not world.instance.spec.proxy.enabled:
        return
    name = proxy_name(world.instance.name)
    deployment = world.snapshot.children.get(Ref("Deployment", name))
    if deployment is None or not deployment.available_replicas:
        words = world.snapshot.creation_failures.get(name, "")
        message = f"no pod of proxy {name} is ready{': ' if words else ''}{words}"
        yield Finding(reason="ProxyNotReady", message=message, serious=True, part_of_start=True)
        return
    reads = world.snapshot.reads
    if not is_ready(world.instance.status):
        for pod, unread in unresponsive(reads).items():
            message = f"proxy {pod} cannot read from every shard yet: {unread.error}"
            yield Finding(reason="ProxyNotReady", message=message, serious=True, part_of_start=True)
        return
    late = world.late_proxies
    if late and len(late) == len(reads):
        message = f"no pod of proxy {name} can read from every shard: {next(iter(late.values())).error}"
        yield Finding(reason="ProxyNotReady", message=message, serious=True, part_of_start=True)


CHECKS: tuple[Check[World], ...] = (
    data_is_there,
    disks_take_writes,
    the_last_copies_stay,
    pods_run,
    processes_answer,
    slots_are_owned,
    slots_are_closed,
    nodes_know_each_other,
    engine_agrees,
    each_shard_has_one_owner,
    syncs_come_to_an_end,
    replicas_are_in_sync,
    pods_are_ready,
    proxy_serves,
)
