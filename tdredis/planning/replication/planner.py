"""Decides the plan of a RedisStandby or RedisStandalone: the rules asked in order, up to the first barrier."""

from __future__ import annotations

from tdredis.planning.conditions import has_been_ready
from tdredis.planning.plan import Hold, Plan
from tdredis.planning.replication.health import ailments
from tdredis.planning.replication.in_force import decide_in_force
from tdredis.planning.replication.picture import Picture
from tdredis.planning.replication.rules import HEALING_RULES, RULES
from tdredis.planning.replication.world import World
from tdredis.planning.rules import ALL_IS_WELL_S, ENGINE_WORKS_S, PODS_START_S, ask, build_plan, refusals, refuse
from tdredis.planning.snapshot import ReplicationSnapshot


def draw(snapshot: ReplicationSnapshot) -> tuple[World, tuple[Hold, ...]]:
    """The world in the values in force, and the wishes that are held."""
    in_force = decide_in_force(snapshot)
    picture = Picture(snapshot=snapshot, instance=in_force.instance)
    return World(picture=picture, instance=in_force.instance), in_force.holds


def plan(snapshot: ReplicationSnapshot) -> Plan:
    """The longest list of steps that is safe from *snapshot*; none for a world that is as it should be."""
    refused = refusals(snapshot.instance)
    if refused and not has_been_ready(snapshot.instance.status):
        return refuse(refused)
    world, wishes = draw(snapshot)
    # An instance that holds data is healed whatever its spec has become; only its objects wait for a valid one.
    found = ask(HEALING_RULES if refused else RULES, world)
    healthy = not ailments(world)
    look_s = _next_look_s(world.picture, healthy=healthy)
    return build_plan(snapshot, found, refused=refused, wishes=wishes, healthy=healthy, look_s=look_s)


def _next_look_s(picture: Picture, *, healthy: bool) -> float:
    if healthy:
        return ALL_IS_WELL_S
    waits = picture.starting_pods or picture.starting_sentinels or picture.silent or picture.silent_sentinels
    refused = any(unknown.refused for unknown in picture.silent.values())
    # While the primary is silent the Sentinels may choose another at any moment, and clients wait for the Service.
    vote_is_near = picture.agreed_pod is not None and picture.agreed_pod.name in picture.silent
    if (picture.members and not waits) or picture.in_failover or refused or vote_is_near:
        return ENGINE_WORKS_S
    return PODS_START_S
