"""Decides what is a RedisCluster's own in its status.

The slot map of a cluster that is not whole at the moment is carried over from the previous status: recovery needs it.
"""

from __future__ import annotations

import msgspec

from tdredis.api.instance import InstanceStatus, ShardStatus
from tdredis.api.rediscluster import RedisClusterStatus
from tdredis.planning.cluster.proxy_rollback import watch_proxies
from tdredis.planning.cluster.resharding import is_migrating, rebalanced, resharding
from tdredis.planning.cluster.world import Shard, World
from tdredis.planning.report import Description, shard_status
from tdredis.planning.status_addresses import cluster_entrances, cluster_service
from tdredis.redis.slots import ALL_SLOTS, SlotSet


def describe(world: World) -> Description:
    previous = {line.name: line for line in world.snapshot.cluster.status.shards}
    return Description(
        service=cluster_service(world.snapshot),
        addresses=cluster_entrances(world.snapshot),
        serving=sum(1 for shard in world.shards if shard.slots),
        shards=tuple(_shard_line(shard, previous.get(shard.name)) for shard in world.shards),
        lacks_data=bool(world.lost) or bool(world.unowned - world.in_transit),
        whole=f"{len(world.shards)} shards, {len(world.members)} processes, all slots owned",
        progress=_progress(world),
    )


def complete(world: World, status: InstanceStatus) -> RedisClusterStatus:
    """*status* with the slot map, and with how far the moving of slots is remembered."""
    slots = _slot_record(world) or dict(world.snapshot.cluster.status.slots)
    serves = status.phase in ("Ready", "UpdateQuota")
    return RedisClusterStatus(
        **{
            **msgspec.structs.asdict(status),
            "phase": "Migrating" if serves and is_migrating(world) else status.phase,
        },
        slots=slots,
        resharding=resharding(world),
        rebalanced=rebalanced(world),
        proxy_rollout=watch_proxies(world).record,
    )


def _slot_record(world: World) -> dict[str, tuple[str, ...]] | None:
    """The slot map as it is: of each shard what all of its processes own. None while it is not whole: then the previous
    record is what recovery goes by.
    """
    if not world.is_whole:
        return None
    owned = {shard.name: SlotSet.union(member.slots for member in shard.members) for shard in world.shards}
    owned = {name: slots for name, slots in owned.items() if slots}
    if sum(map(len, owned.values())) != len(ALL_SLOTS):
        return None  # somebody outside owns the rest
    return world.snapshot.memo.once(
        "slot record",
        tuple(owned.items()),
        lambda: {name: tuple(str(each) for each in slots.ranges()) for name, slots in owned.items()},
    )


def _shard_line(shard: Shard, previous: ShardStatus | None) -> ShardStatus:
    return shard_status(
        previous,
        name=shard.name,
        primary=shard.head.name if shard.head else "",
        facts=shard.head.facts if shard.head else None,
        synced=len(shard.replicas_in_sync),
        wanted=len(shard.wanted) - 1,
        slots=len(shard.slots),
    )


def _progress(world: World) -> str:
    pods = sum(1 for pod in world.snapshot.pods.values() if pod.ready)
    replicas = sum(len(shard.replicas_in_sync) for shard in world.shards)
    wanted = sum(len(shard.wanted) - 1 for shard in world.shards)
    return (
        f"{pods} of {len(world.redis.wanted)} pods ready, {len(world.owned)} of 16384 slots owned,"
        f" {replicas} of {wanted} replicas in sync"
    )
