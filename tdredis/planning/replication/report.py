"""Decides what is a RedisStandby's or RedisStandalone's own in its status.

The last primary's name is carried over from the previous status while there is none: recovery needs it.
"""

from __future__ import annotations

import msgspec

from tdredis.api.instance import InstanceStatus
from tdredis.api.redisstandalone import RedisStandaloneStatus
from tdredis.api.redisstandby import RedisStandbyStatus, SentinelStatus
from tdredis.manifests.names import client_service_name
from tdredis.planning.replication.health import sentinels_ready
from tdredis.planning.replication.world import World
from tdredis.planning.report import Description, shard_status
from tdredis.planning.status_addresses import replication_entrances


def describe(world: World) -> Description:
    primary, instance = world.primary, world.instance
    line = shard_status(
        next((line for line in instance.status.shards if line.name == instance.name), None),
        name=instance.name,
        primary=primary.name if primary else world.recorded,
        facts=primary.facts if primary else None,
        synced=len(world.replicas_in_sync()),
        wanted=len(world.redis.wanted) - 1,
    )
    return Description(
        service=client_service_name(instance.name),
        addresses=replication_entrances(world.snapshot),
        serving=0 if primary is None else 1,
        shards=(line,),
        lacks_data=bool(world.lost) or primary is None,
        whole=_whole(world),
        progress=_progress(world),
    )


def complete(world: World, status: InstanceStatus) -> InstanceStatus:
    """*status* with the Sentinels, if there are any."""
    fields = msgspec.structs.asdict(status)
    if world.standby is None:
        return RedisStandaloneStatus(**fields)
    sentinels = SentinelStatus(ready=sentinels_ready(world), wanted=len(world.sentinels.wanted))
    return RedisStandbyStatus(**fields, sentinels=sentinels)


def _whole(world: World) -> str:
    name = world.primary.name if world.primary else "nobody"
    if world.standby is None:
        return f"{name} serves"
    return (
        f"{name} is the primary, {len(world.replicas_in_sync())} replicas in sync,"
        f" {sentinels_ready(world)} Sentinels watch"
    )


def _progress(world: World) -> str:
    snapshot = world.snapshot
    pods = [*snapshot.pods.values(), *snapshot.sentinel_pods.values()]
    return (
        f"{sum(pod.ready for pod in pods)} of {len(world.redis.wanted) + len(world.sentinels.wanted)} pods ready,"
        f" {len(world.replicas_in_sync())} of {len(world.redis.wanted) - 1} replicas in sync,"
        f" {sentinels_ready(world)} of {len(world.sentinels.wanted)} Sentinels watch"
    )
