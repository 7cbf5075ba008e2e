"""Decides which pods of a cluster are recreated because they cannot run as they are."""

from __future__ import annotations

from collections.abc import Sequence

from tdredis.planning.cluster.failover import electable
from tdredis.planning.cluster.members import descending
from tdredis.planning.cluster.rolls import carry_out, copies_of
from tdredis.planning.cluster.world import Shard, World
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.rolling import Terms
from tdredis.planning.snapshot import PodFacts
from tdredis.planning.steps import HandOver, Step
from tdredis.planning.stuck_pods import StuckPod, nothing_to_lose, replace_next, replace_stuck, stuck_pods
from tdredis.planning.surplus import find_surplus


def replace_stuck_pods(world: World) -> Ruling:
    """At most one pod of a shard that runs, of so many shards at once as spec.rollout says, and only in a cluster that
    works.
    """
    at_once = world.instance.spec.rollout.max_unavailable_shards
    missing = [
        shard.name
        for shard in world.shards
        if not shard.is_vacant and len(shard.replicas_in_sync) < len(shard.wanted) - 1
    ]
    under_way = [*missing, *_with_another_pod(world, but=missing)]
    going = under_way[: max(at_once, len(missing))]
    free = at_once - len(under_way)
    steps: list[Step] = []
    holds: list[Hold] = []
    for shard in world.shards:
        ruling = _replace(world, shard, is_next=shard.name in going or (shard.name not in under_way and free > 0))
        if ruling.steps and shard.name not in under_way:
            free -= 1  # one that only waits keeps nobody waiting
        steps += ruling.steps
        holds += ruling.holds
    return Ruling(steps=tuple(steps), holds=tuple(holds))


def _with_another_pod(world: World, but: Sequence[str]) -> list[str]:
    """Shards that have one more pod for the sake of stuck ones, or are to get it, in the order in which they go on. One
    whose pod nobody makes (a quota, say) is not among them.
    """
    found: list[tuple[bool, str]] = []
    for shard in world.shards:
        surplus = find_surplus(world.snapshot, shard.name, len(shard.wanted))
        if surplus is None or shard.name in but or not _stuck(world, shard):
            continue
        if surplus.pod in world.snapshot.pods or not surplus.trouble:
            found.append((bool(surplus.trouble), shard.name))
    return [name for _, name in sorted(found, key=lambda each: each[0])]


def _stuck(world: World, shard: Shard) -> tuple[StuckPod, ...]:
    pods = (world.snapshot.pods[name] for name in shard.wanted if name in world.snapshot.pods)
    return stuck_pods(world.snapshot, world.instance, shard.name, pods)


def _replace(world: World, shard: Shard, *, is_next: bool) -> Ruling:
    snapshot = world.snapshot
    stuck = _stuck(world, shard)
    owner = shard.owner.name if shard.owner else ""
    never = "" if world.was_whole or world.owned else "nobody ever owned a slot"

    def loses_nothing(pod: PodFacts) -> str:
        return nothing_to_lose(snapshot, pod, world.instance.spec, never=never, owner=owner)

    def hand_over() -> Ruling:
        ruling = _hand_over(world, shard, stuck)
        if ruling is None and len(shard.wanted) == 1:  # who has replicas by spec waits for them
            return _next_of(world, shard, stuck)
        return ruling or Ruling()

    return replace_stuck(
        stuck,
        nothing_to_lose=loses_nothing,
        primary=owner,
        may_disrupt=is_next and world.is_whole and not world.redis.has_unknown,
        next_replica=lambda replicas: _next_of(world, shard, replicas),
        hand_over=hand_over,
    )


def _next_of(world: World, shard: Shard, stuck: Sequence[StuckPod]) -> Ruling:
    """What comes next for *stuck*, of *shard*."""
    copies = copies_of(world, shard, frozenset(each.name for each in stuck))
    terms = Terms(needs_surplus=world.instance.spec.rollout.surge == "always")
    return replace_next(copies, stuck, terms, lambda step: carry_out(world, step))


def _hand_over(world: World, shard: Shard, stuck: tuple[StuckPod, ...]) -> Ruling | None:
    """To a replica that is in sync and stays. None: there is none."""
    leaving = {each.name for each in stuck}
    candidates = [member for member in electable(world, shard) if member.name not in leaving]
    if shard.owner is None or not candidates:
        return None
    candidate = max(candidates, key=lambda member: (member.facts.replication.offset_bytes, descending(member.name)))
    why = f"{shard.owner.name} will be recreated; {candidate.name} has its data"
    return Ruling(steps=(HandOver(process=candidate.process, shard=shard.name, why=why),))
