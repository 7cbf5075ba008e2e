"""Decides the plan of a RedisStandby or RedisStandalone: the rules asked in order, up to the first barrier."""

from __future__ import annotations

from tdredis.api.validation import problems
from tdredis.planning.conditions import has_been_ready
from tdredis.planning.plan import Hold, Plan, Verdict, until_barrier
from tdredis.planning.replication.health import ailments
from tdredis.planning.replication.in_force import decide_in_force
from tdredis.planning.replication.picture import Picture
from tdredis.planning.replication.rules import HEALING_RULES, RULES, World
from tdredis.planning.snapshot import ReplicationSnapshot
from tdredis.planning.steps import Step

ENGINE_WORKS_S = 0.1  # votes, links and syncs take tenths of a second
PODS_START_S = 2.0  # their news arrive by watch; this look is for news that got lost
ALL_IS_WELL_S = 15.0
WAITING_FOR_A_PERSON_S = 300.0


def draw(snapshot: ReplicationSnapshot) -> tuple[World, tuple[Hold, ...]]:
    """The world in the values in force, and the wishes that are held."""
    in_force = decide_in_force(snapshot)
    picture = Picture(snapshot=snapshot, instance=in_force.instance)
    return World(picture=picture, instance=in_force.instance), in_force.holds


def plan(snapshot: ReplicationSnapshot) -> Plan:
    """The longest list of steps that is safe from *snapshot*; none for a world that is as it should be."""
    wrong = problems(snapshot.instance)
    refusals = [Hold(guard="spec_is_valid", why=sentence) for sentence in wrong]
    if wrong and not has_been_ready(snapshot.instance.status):
        return Plan(verdict=Verdict.INVALID, holds=tuple(refusals), next_look_s=WAITING_FOR_A_PERSON_S)
    world, wishes = draw(snapshot)
    steps: list[Step] = []
    holds = [*refusals, *wishes]
    # An instance that holds data is healed whatever its spec has become; only its objects wait for a valid one.
    for rule in HEALING_RULES if wrong else RULES:
        ruling = rule(world)
        steps += ruling.steps
        holds += ruling.holds
        if any(step.barrier for step in ruling.steps):
            break
    healthy = not ailments(world)
    return Plan(
        verdict=Verdict.INVALID if wrong else _verdict(snapshot, healthy=healthy),
        steps=until_barrier(steps),
        holds=tuple(holds),
        next_look_s=_next_look_s(world.picture, steps, healthy=healthy),
    )


def _verdict(snapshot: ReplicationSnapshot, *, healthy: bool) -> Verdict:
    if healthy:
        return Verdict.HEALTHY
    return Verdict.DEGRADED if has_been_ready(snapshot.instance.status) else Verdict.FORMING


def _next_look_s(picture: Picture, steps: list[Step], *, healthy: bool) -> float:
    if any(step.barrier for step in steps):
        return ENGINE_WORKS_S
    if healthy:
        return ALL_IS_WELL_S
    waits = picture.starting_pods or picture.starting_sentinels or picture.silent or picture.silent_sentinels
    refused = any(unknown.refused for unknown in picture.silent.values())
    if (picture.members and not waits) or picture.in_failover or refused:
        return ENGINE_WORKS_S
    return PODS_START_S
