"""Decides which pods of a cluster are recreated because they cannot run as they are."""

from __future__ import annotations

from tdredis.planning.cluster.failover import electable
from tdredis.planning.cluster.members import descending
from tdredis.planning.cluster.world import Shard, World
from tdredis.planning.plan import Ruling
from tdredis.planning.snapshot import PodFacts
from tdredis.planning.steps import HandOver
from tdredis.planning.stuck_pods import StuckPod, nothing_to_lose, replace_stuck, stuck_pods


def replace_stuck_pods(world: World) -> Ruling:
    """At most one pod of a shard that runs, and only in a cluster that works."""
    rulings = [_replace(world, shard) for shard in world.shards]
    return Ruling(steps=tuple(step for ruling in rulings for step in ruling.steps))


def _replace(world: World, shard: Shard) -> Ruling:
    snapshot = world.snapshot
    pods = (snapshot.pods[name] for name in shard.wanted if name in snapshot.pods)
    owner = shard.owner.name if shard.owner else ""
    never = "" if world.was_whole or world.owned else "nobody ever owned a slot"

    def loses_nothing(pod: PodFacts) -> str:
        return nothing_to_lose(snapshot, pod, world.instance.spec, never=never, owner=owner)

    stuck = stuck_pods(snapshot, shard.name, pods)
    return replace_stuck(
        stuck,
        nothing_to_lose=loses_nothing,
        primary=owner,
        may_disrupt=world.is_whole and not world.redis.has_unknown,
        hand_over=lambda: _hand_over(world, shard, stuck),
    )


def _hand_over(world: World, shard: Shard, stuck: tuple[StuckPod, ...]) -> Ruling:
    """To a replica that is in sync and stays."""
    leaving = {each.name for each in stuck}
    candidates = [member for member in electable(world, shard) if member.name not in leaving]
    if shard.owner is None or not candidates:
        return Ruling()
    candidate = max(candidates, key=lambda member: (member.facts.replication.offset_bytes, descending(member.name)))
    why = f"{shard.owner.name} will be recreated; {candidate.name} has its data"
    return Ruling(steps=(HandOver(process=candidate.process, shard=shard.name, why=why),))
