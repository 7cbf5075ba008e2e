"""Decides what is a RedisStandby's or RedisStandalone's own in how a resource is judged and planned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tdredis.manifests.names import REDIS_COMPONENT, SENTINEL_COMPONENT
from tdredis.manifests.redis_pods import container_resources
from tdredis.planning.assessment import Assessment, Kind, assess_world
from tdredis.planning.conditions import has_been_ready
from tdredis.planning.counts import Count, left_over
from tdredis.planning.pending import Group
from tdredis.planning.plan import Ruling
from tdredis.planning.replication.effective import decide_effective
from tdredis.planning.replication.health import CHECKS, sentinels_ready
from tdredis.planning.replication.report import complete, describe
from tdredis.planning.replication.rolls import carry_out, copies, next_pods
from tdredis.planning.replication.rules import RULES
from tdredis.planning.replication.world import World
from tdredis.planning.rules import ALL_IS_WELL_S, ENGINE_WORKS_S, PODS_START_S
from tdredis.planning.snapshot import ReplicationSnapshot

TILT_ENDS_S = 1.0  # a Sentinel does not tell anybody that its TILT has ended


def assess(snapshot: ReplicationSnapshot) -> Assessment[World]:
    """What *snapshot* shows, in the effective values of spec."""
    effective = decide_effective(snapshot)
    return assess_world(REPLICATION, World(snapshot=snapshot, instance=effective.instance), effective)


def _groups(world: World) -> Sequence[Group]:
    instance, redis, watching = world.instance, world.redis.present, world.sentinels.present
    return (
        Group(component=REDIS_COMPONENT, pods=redis, resources=container_resources(instance)),
        Group(component=SENTINEL_COMPONENT, pods=watching),
    )


def _counts(world: World) -> Iterator[Count]:
    if world.standby is None:
        return
    redis, watching = world.redis.wanted, world.sentinels.wanted
    yield Count(
        path="replicas",
        up=min(len(world.replicas_in_sync()), len(redis) - 1),
        wanted=len(redis) - 1,
        left=left_over(world.snapshot, world.instance.name, len(redis)),
        things="replicas",
        are="are in sync",
    )
    yield Count(
        path="sentinel.replicas",
        up=sentinels_ready(world),
        wanted=len(watching),
        left=len(world.snapshot.sentinel_pods.keys() - {*watching}),
        things="Sentinels",
        are="watch",
    )


def _may_hold_data(world: World) -> bool:
    return has_been_ready(world.snapshot.instance.status)


def _look_s(world: World, found: Ruling, is_healthy: bool) -> float:
    look_s = ALL_IS_WELL_S if is_healthy else _trouble_look_s(world)
    in_tilt = any(hold.guard == "some_sentinel_is_not_in_tilt" for hold in found.holds)
    return min(look_s, TILT_ENDS_S) if in_tilt else look_s


def _trouble_look_s(world: World) -> float:
    redis, sentinels = world.redis, world.sentinels
    waits = redis.starting or sentinels.starting or redis.unresponsive or sentinels.unresponsive
    refused = any(unknown.refused for unknown in redis.unresponsive.values())
    # While the primary is silent the Sentinels may choose another at any moment, and clients wait for the Service.
    vote_is_near = world.agreed_pod is not None and world.agreed_pod.name in redis.unresponsive
    if (world.members and not waits) or world.in_failover or refused or vote_is_near:
        return ENGINE_WORKS_S
    return PODS_START_S


REPLICATION: Kind[World] = Kind(
    checks=CHECKS,
    rules=RULES,
    groups=_groups,
    copies=copies,
    roll=next_pods,
    carry_out=carry_out,
    move=lambda _world, _others: Ruling(),
    is_moving=lambda _world: False,
    hides_quota=lambda _world: False,
    other_changes=lambda _world: (),
    counts=_counts,
    may_hold_data=_may_hold_data,
    look_s=_look_s,
    describe=describe,
    complete=complete,
)
