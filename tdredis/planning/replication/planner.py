"""Decides the plan of a RedisStandby or RedisStandalone: the rules asked in order, up to the first barrier."""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.manifests.names import REDIS_COMPONENT, SENTINEL_COMPONENT
from tdredis.manifests.redis_pods import container_resources
from tdredis.planning.assessment import Assessment
from tdredis.planning.conditions import has_been_ready
from tdredis.planning.pending import OF_SENTINELS, Change, Group, how_of, quota_change, rolled_changes
from tdredis.planning.plan import Plan
from tdredis.planning.replication.effective import decide_effective
from tdredis.planning.replication.health import findings
from tdredis.planning.replication.rules import RULES
from tdredis.planning.replication.world import World
from tdredis.planning.rules import ALL_IS_WELL_S, ENGINE_WORKS_S, PODS_START_S, ask, build_plan, refusals, refuse
from tdredis.planning.snapshot import ReplicationSnapshot

TILT_ENDS_S = 1.0  # a Sentinel does not tell anybody that its TILT has ended


class ReplicationAssessment(Assessment[World]):
    """Of a RedisStandby or RedisStandalone."""


def assess(snapshot: ReplicationSnapshot) -> ReplicationAssessment:
    """What *snapshot* shows, in the effective values of spec."""
    effective = decide_effective(snapshot)
    world = World(snapshot=snapshot, instance=effective.instance)
    return ReplicationAssessment(
        world=world,
        findings=findings(world),
        refused=refusals(snapshot.instance),
        held_changes=effective.holds,
        pending=(*effective.changes, *_under_way(world)),
    )


def _under_way(world: World) -> Iterator[Change]:
    snapshot, instance = world.snapshot, world.instance
    redis = tuple(snapshot.pods[name] for name in world.wanted_pods if name in snapshot.pods)
    watching = tuple(snapshot.sentinel_pods[name] for name in world.wanted_sentinels if name in snapshot.sentinel_pods)
    groups = (
        Group(component=REDIS_COMPONENT, pods=redis, how=how_of(instance), resources=container_resources(instance)),
        Group(component=SENTINEL_COMPONENT, pods=watching, how=OF_SENTINELS),
    )
    yield from quota_change(snapshot, instance.spec, world.wanted_pods)
    yield from rolled_changes(snapshot, instance, groups)


def plan(assessment: ReplicationAssessment) -> Plan:
    """The longest list of steps that is safe from its snapshot; none for a world that is as it should be."""
    world, refused = assessment.world, assessment.refused
    if refused and not has_been_ready(world.snapshot.instance.status):
        return refuse(refused)
    # An instance that holds data is healed whatever its spec has become; only its objects wait for a valid one.
    found = ask(RULES, world, spec_is_valid=not refused)
    next_look_s = _next_look_s(world, healthy=not assessment.findings)
    if any(hold.guard == "some_sentinel_is_not_in_tilt" for hold in found.holds):
        next_look_s = min(next_look_s, TILT_ENDS_S)
    return build_plan(assessment, world.snapshot, found, next_look_s)


def _next_look_s(world: World, *, healthy: bool) -> float:
    if healthy:
        return ALL_IS_WELL_S
    waits = world.starting_pods or world.starting_sentinels or world.unresponsive or world.unresponsive_sentinels
    refused = any(unknown.refused for unknown in world.unresponsive.values())
    # While the primary is silent the Sentinels may choose another at any moment, and clients wait for the Service.
    vote_is_near = world.agreed_pod is not None and world.agreed_pod.name in world.unresponsive
    if (world.members and not waits) or world.in_failover or refused or vote_is_near:
        return ENGINE_WORKS_S
    return PODS_START_S
