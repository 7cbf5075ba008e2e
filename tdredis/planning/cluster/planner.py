"""Decides the plan of a RedisCluster: the rules asked in order, up to the first barrier."""

from __future__ import annotations

from tdredis.manifests.names import shard_names
from tdredis.planning.cluster.announcing import is_moving
from tdredis.planning.cluster.effective import decide_effective, recorded_size
from tdredis.planning.cluster.health import findings
from tdredis.planning.cluster.picture import Picture, build_picture
from tdredis.planning.cluster.rules import HEALING_RULES, RULES, World
from tdredis.planning.plan import Hold, Plan
from tdredis.planning.pods import unresponsive
from tdredis.planning.rules import ALL_IS_WELL_S, ENGINE_WORKS_S, PODS_START_S, ask, build_plan, refusals, refuse
from tdredis.planning.snapshot import ClusterSnapshot

ADDRESSES_SPREAD_S = 1.0  # every node is pinged by every other within half a node timeout

PROXY_READS_S = 1.0  # a proxy looks for moved slots every second


def build_world(snapshot: ClusterSnapshot) -> tuple[World, tuple[Hold, ...]]:
    """The world in the effective values, and the changes of spec that are held."""
    effective = decide_effective(snapshot)
    spec = effective.cluster.spec
    picture = build_picture(snapshot, shard_names=shard_names(effective.cluster), pods_per_shard=spec.pods_per_shard)
    return World(picture=picture, cluster=effective.cluster), effective.holds


def plan(snapshot: ClusterSnapshot) -> Plan:
    """The longest list of steps that is safe from *snapshot*; none for a world that is as it should be."""
    refused = refusals(snapshot.cluster)
    if refused and recorded_size(snapshot.cluster.status.slots) is None:
        return refuse(refused)
    world, held_changes = build_world(snapshot)
    # A cluster that holds data is healed whatever its spec has become; only its objects wait for a spec that is valid.
    found = ask(HEALING_RULES if refused else RULES, world)
    healthy = not findings(world)
    look_s = _next_look_s(world.picture, healthy=healthy)
    return build_plan(snapshot, found, refused=refused, held_changes=held_changes, healthy=healthy, look_s=look_s)


def _next_look_s(picture: Picture, *, healthy: bool) -> float:
    if healthy and unresponsive(picture.snapshot.reads):
        return PROXY_READS_S
    if healthy:
        return ADDRESSES_SPREAD_S if is_moving(picture) else ALL_IS_WELL_S
    if picture.members and not picture.starting_pods:
        return ENGINE_WORKS_S
    return PODS_START_S
