"""Decides the plan of a RedisStandby or RedisStandalone: the rules asked in order, up to the first barrier."""

from __future__ import annotations

from tdredis.planning.conditions import has_been_ready
from tdredis.planning.plan import Hold, Plan
from tdredis.planning.replication.effective import decide_effective
from tdredis.planning.replication.health import findings
from tdredis.planning.replication.picture import Picture
from tdredis.planning.replication.rules import HEALING_RULES, RULES
from tdredis.planning.replication.world import World
from tdredis.planning.rules import ALL_IS_WELL_S, ENGINE_WORKS_S, PODS_START_S, ask, build_plan, refusals, refuse
from tdredis.planning.snapshot import ReplicationSnapshot


def build_world(snapshot: ReplicationSnapshot) -> tuple[World, tuple[Hold, ...]]:
    """The world in the effective values, and the changes of spec that are held."""
    effective = decide_effective(snapshot)
    picture = Picture(snapshot=snapshot, instance=effective.instance)
    return World(picture=picture, instance=effective.instance), effective.holds


def plan(snapshot: ReplicationSnapshot) -> Plan:
    """The longest list of steps that is safe from *snapshot*; none for a world that is as it should be."""
    refused = refusals(snapshot.instance)
    if refused and not has_been_ready(snapshot.instance.status):
        return refuse(refused)
    world, held_changes = build_world(snapshot)
    # An instance that holds data is healed whatever its spec has become; only its objects wait for a valid one.
    found = ask(HEALING_RULES if refused else RULES, world)
    healthy = not findings(world)
    look_s = _next_look_s(world.picture, healthy=healthy)
    return build_plan(snapshot, found, refused=refused, held_changes=held_changes, healthy=healthy, look_s=look_s)


def _next_look_s(picture: Picture, *, healthy: bool) -> float:
    if healthy:
        return ALL_IS_WELL_S
    waits = (
        picture.starting_pods or picture.starting_sentinels or picture.unresponsive or picture.unresponsive_sentinels
    )
    refused = any(unknown.refused for unknown in picture.unresponsive.values())
    # While the primary is silent the Sentinels may choose another at any moment, and clients wait for the Service.
    vote_is_near = picture.agreed_pod is not None and picture.agreed_pod.name in picture.unresponsive
    if (picture.members and not waits) or picture.in_failover or refused or vote_is_near:
        return ENGINE_WORKS_S
    return PODS_START_S
