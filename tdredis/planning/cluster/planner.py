"""Decides the plan of a RedisCluster: the rules asked in order, up to the first barrier."""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.manifests.names import REDIS_COMPONENT
from tdredis.manifests.redis_pods import container_resources
from tdredis.planning.assessment import Assessment
from tdredis.planning.cluster.announcing import is_moving
from tdredis.planning.cluster.effective import decide_effective, recorded_size
from tdredis.planning.cluster.health import findings
from tdredis.planning.cluster.rules import RULES
from tdredis.planning.cluster.world import World, build_world
from tdredis.planning.pending import Change, Group, how_of, quota_change, rolled_changes
from tdredis.planning.plan import Plan
from tdredis.planning.pods import unresponsive
from tdredis.planning.rules import ALL_IS_WELL_S, ENGINE_WORKS_S, PODS_START_S, ask, build_plan, refusals, refuse
from tdredis.planning.snapshot import ClusterSnapshot

ADDRESSES_SPREAD_S = 1.0  # every node is pinged by every other within half a node timeout

PROXY_READS_S = 1.0  # a proxy looks for moved slots every second


class ClusterAssessment(Assessment[World]):
    """Of a RedisCluster."""


def assess(snapshot: ClusterSnapshot) -> ClusterAssessment:
    """What *snapshot* shows, in the effective values of spec."""
    effective = decide_effective(snapshot)
    world = build_world(snapshot, effective.instance)
    return ClusterAssessment(
        world=world,
        findings=findings(world),
        refused=refusals(snapshot.cluster),
        held_changes=effective.holds,
        pending=(*effective.changes, *_under_way(world)),
    )


def _under_way(world: World) -> Iterator[Change]:
    snapshot, cluster = world.snapshot, world.cluster
    pods = tuple(snapshot.pods[name] for name in world.wanted_pods if name in snapshot.pods)
    yield from quota_change(snapshot, cluster.spec, world.wanted_pods)
    yield from rolled_changes(
        snapshot,
        cluster,
        (Group(component=REDIS_COMPONENT, pods=pods, how=how_of(cluster), resources=container_resources(cluster)),),
    )


def plan(assessment: ClusterAssessment) -> Plan:
    """The longest list of steps that is safe from its snapshot; none for a world that is as it should be."""
    world, refused = assessment.world, assessment.refused
    if refused and recorded_size(world.snapshot.cluster.status.slots) is None:
        return refuse(refused)
    # A cluster that holds data is healed whatever its spec has become; only its objects wait for a spec that is valid.
    found = ask(RULES, world, spec_is_valid=not refused)
    return build_plan(assessment, world.snapshot, found, _next_look_s(world, healthy=not assessment.findings))


def _next_look_s(world: World, *, healthy: bool) -> float:
    if healthy and unresponsive(world.snapshot.reads):
        return PROXY_READS_S
    if healthy:
        return ADDRESSES_SPREAD_S if is_moving(world) else ALL_IS_WELL_S
    if world.members and not world.starting_pods:
        return ENGINE_WORKS_S
    return PODS_START_S
