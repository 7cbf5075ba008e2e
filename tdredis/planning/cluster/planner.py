"""Decides what is a RedisCluster's own in how a resource is judged and planned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tdredis.manifests.names import REDIS_COMPONENT
from tdredis.manifests.redis_pods import container_resources
from tdredis.planning.assessment import Assessment, Kind, assess_world
from tdredis.planning.cluster.announcing import is_moving
from tdredis.planning.cluster.effective import decide_effective
from tdredis.planning.cluster.health import CHECKS
from tdredis.planning.cluster.proxies import proxy_changes
from tdredis.planning.cluster.proxy_rollback import watch_proxies
from tdredis.planning.cluster.report import complete, describe
from tdredis.planning.cluster.resharding import LOOK_S, is_migrating, move_slots, scale_changes
from tdredis.planning.cluster.rolls import carry_out, copies, next_pods
from tdredis.planning.cluster.rules import RULES
from tdredis.planning.cluster.scale import decide_scale, is_recorded
from tdredis.planning.cluster.world import World, build_world
from tdredis.planning.counts import Count, left_over
from tdredis.planning.pending import Group
from tdredis.planning.plan import Ruling
from tdredis.planning.pods import unresponsive
from tdredis.planning.rules import ALL_IS_WELL_S, ENGINE_WORKS_S, PODS_START_S
from tdredis.planning.snapshot import ClusterSnapshot

ADDRESSES_SPREAD_S = 1.0  # every node is pinged by every other within half a node timeout

PROXY_READS_S = 1.0  # a proxy looks for moved slots every second


def assess(snapshot: ClusterSnapshot) -> Assessment[World]:
    """What *snapshot* shows, in the effective values of spec."""
    scale = decide_scale(snapshot)
    effective = decide_effective(snapshot, scale)
    return assess_world(CLUSTER, build_world(snapshot, effective.instance, scale), effective)


def _groups(world: World) -> Sequence[Group]:
    cluster, snapshot = world.instance, world.snapshot
    wanted = (name for shard in world.shards if not shard.is_leaving for name in shard.wanted)
    pods = tuple(snapshot.pods[name] for name in wanted if name in snapshot.pods)
    return (Group(component=REDIS_COMPONENT, pods=pods, resources=container_resources(cluster)),)


def _counts(world: World) -> Iterator[Count]:
    serving = [shard for shard in world.shards if not shard.is_leaving and not shard.is_vacant]
    yield Count(
        path="replicas",
        up=sum(min(len(shard.replicas_in_sync), len(shard.wanted) - 1) for shard in serving),
        wanted=sum(len(shard.wanted) - 1 for shard in serving),
        left=sum(left_over(world.snapshot, shard.name, len(shard.wanted)) for shard in serving),
        times=len(serving),
        things="replicas",
        are="are in sync",
    )
    proxy, pods = world.instance.spec.proxy, world.snapshot.proxies
    if proxy.enabled:
        yield Count(
            path="proxy.replicas",
            up=sum(pod.ready and not pod.deleting for pod in pods),
            wanted=proxy.replicas,
            left=max(0, len(pods) - proxy.replicas),
            things="proxies",
            are="are ready",
        )


def _may_hold_data(world: World) -> bool:
    return is_recorded(world.snapshot)


def _look_s(world: World, found: Ruling, is_healthy: bool) -> float:
    look_s = watch_proxies(world).look_s
    return min(_look_at_redis_s(world, found, is_healthy), ALL_IS_WELL_S if look_s is None else look_s)


def _look_at_redis_s(world: World, _found: Ruling, is_healthy: bool) -> float:
    if is_healthy and unresponsive(world.snapshot.reads):
        return PROXY_READS_S
    if is_healthy and is_migrating(world):
        return LOOK_S
    if is_healthy:
        return ADDRESSES_SPREAD_S if is_moving(world) else ALL_IS_WELL_S
    if world.members and not world.redis.starting:
        return ENGINE_WORKS_S
    return PODS_START_S


CLUSTER: Kind[World] = Kind(
    checks=CHECKS,
    rules=RULES,
    groups=_groups,
    copies=copies,
    roll=next_pods,
    carry_out=carry_out,
    move=move_slots,
    is_moving=lambda world: world.moving is not None,
    hides_quota=lambda world: world.is_resized,
    other_changes=lambda world: (*scale_changes(world), *proxy_changes(world)),
    counts=_counts,
    may_hold_data=_may_hold_data,
    look_s=_look_s,
    describe=describe,
    complete=complete,
)
