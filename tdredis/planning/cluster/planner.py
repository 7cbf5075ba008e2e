"""Decides the plan of a RedisCluster: the rules asked in order, up to the first barrier."""

from __future__ import annotations

from tdredis.api.validation import problems
from tdredis.manifests.names import shard_names
from tdredis.planning.cluster.announcing import is_moving
from tdredis.planning.cluster.health import ailments
from tdredis.planning.cluster.in_force import decide_in_force, recorded_size
from tdredis.planning.cluster.picture import Picture, draw_picture
from tdredis.planning.cluster.rules import HEALING_RULES, RULES, World
from tdredis.planning.conditions import has_been_ready
from tdredis.planning.plan import Hold, Plan, Verdict, until_barrier
from tdredis.planning.snapshot import ClusterSnapshot
from tdredis.planning.steps import Step

ENGINE_WORKS_S = 0.1  # gossip, votes and syncs take tenths of a second
PODS_START_S = 2.0  # their news arrive by watch; this look is for news that got lost
ADDRESSES_SPREAD_S = 1.0  # every node is pinged by every other within half a node timeout
ALL_IS_WELL_S = 15.0
WAITING_FOR_A_PERSON_S = 300.0


def draw(snapshot: ClusterSnapshot) -> tuple[World, tuple[Hold, ...]]:
    """The world in the values in force, and the wishes that are held."""
    in_force = decide_in_force(snapshot)
    spec = in_force.cluster.spec
    picture = draw_picture(snapshot, shard_names=shard_names(in_force.cluster), pods_per_shard=spec.pods_per_shard)
    return World(picture=picture, cluster=in_force.cluster), in_force.holds


def plan(snapshot: ClusterSnapshot) -> Plan:
    """The longest list of steps that is safe from *snapshot*; none for a world that is as it should be."""
    wrong = problems(snapshot.cluster)
    refusals = [Hold(guard="spec_is_valid", why=sentence) for sentence in wrong]
    if wrong and recorded_size(snapshot.cluster.status.slots) is None:
        return Plan(verdict=Verdict.INVALID, holds=tuple(refusals), next_look_s=WAITING_FOR_A_PERSON_S)
    world, wishes = draw(snapshot)
    steps: list[Step] = []
    holds = [*refusals, *wishes]
    # A cluster that holds data is healed whatever its spec has become; only its objects wait for a spec that is valid.
    for rule in HEALING_RULES if wrong else RULES:
        ruling = rule(world)
        steps += ruling.steps
        holds += ruling.holds
        if any(step.barrier for step in ruling.steps):
            break
    healthy = not ailments(world)
    return Plan(
        verdict=Verdict.INVALID if wrong else _verdict(world.picture, healthy=healthy),
        steps=until_barrier(steps),
        holds=tuple(holds),
        next_look_s=_next_look_s(world.picture, steps, healthy=healthy),
    )


def _verdict(picture: Picture, *, healthy: bool) -> Verdict:
    if healthy:
        return Verdict.HEALTHY
    return Verdict.DEGRADED if has_been_ready(picture.snapshot.cluster.status) else Verdict.FORMING


def _next_look_s(picture: Picture, steps: list[Step], *, healthy: bool) -> float:
    if any(step.barrier for step in steps):
        return ENGINE_WORKS_S
    if healthy:
        return ADDRESSES_SPREAD_S if is_moving(picture) else ALL_IS_WELL_S
    if picture.members and not picture.starting_pods and not picture.silent:
        return ENGINE_WORKS_S
    return PODS_START_S
