"""Decides how the pods of a cluster are recreated: shard by shard, each primary last, after it has handed over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from tdredis.manifests.children import build_children
from tdredis.planning.cluster.failover import electable
from tdredis.planning.cluster.members import Member
from tdredis.planning.cluster.world import Shard, World
from tdredis.planning.ending import replace_pod
from tdredis.planning.more_pods import ask_for_surplus
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.rolling import Ask, Copy, Next, Replace, Surplus, Yield, next_steps, terms_of
from tdredis.planning.rolling import Shard as Copies
from tdredis.planning.settings import settings_to_keep, with_kept
from tdredis.planning.steps import HandOver
from tdredis.planning.surplus import condemned_pods, find_surplus, is_claim_going, is_seen, is_written, keeps_data


def next_pods(world: World, outdated: frozenset[str]) -> tuple[Next, ...]:
    """What comes next, where *outdated* pods are to be recreated."""
    return next_steps(_changing(world, outdated), terms_of(world.instance.spec.rollout, world.snapshot.now))


def copies(world: World) -> tuple[Copies, ...]:
    """Who replicates whom."""
    return tuple(copies_of(world, shard, frozenset()) for shard in world.shards)


def copies_of(world: World, shard: Shard, outdated: frozenset[str]) -> Copies:
    """Of *shard*, where *outdated* pods are to be recreated."""
    return _copies_of(world, shard, outdated, _surplus(world, shard))


def _changing(world: World, outdated: frozenset[str]) -> Iterator[Copies]:
    """Shards in which there is anything to do: of a large cluster at peace nothing is made up."""
    for shard in (each for each in world.shards if not each.is_leaving):  # what goes need not be as it should be
        surplus = _surplus(world, shard)
        is_condemned = shard.owner is not None and shard.owner.name in condemned_pods(world.snapshot, shard.wanted)
        if surplus is not None or is_condemned or not outdated.isdisjoint(shard.wanted):
            yield _copies_of(world, shard, outdated, surplus)


def _surplus(world: World, shard: Shard) -> Surplus | None:
    return find_surplus(world.snapshot, shard.name, len(shard.wanted))


def carry_out(world: World, step: Next) -> Ruling:
    match step:
        case Replace():
            pod = world.snapshot.pods[step.pod]
            why = f"it is to be recreated; {step.why}"
            return Ruling(steps=(replace_pod(world.snapshot, world.instance, pod, why),))
        case Yield():
            candidate = next(member for member in world.members if member.name == step.candidates[0])
            why = f"{step.why}; {candidate.name} has its data"
            return Ruling(steps=(HandOver(process=candidate.process, shard=step.shard, why=why),))
        case Ask():
            snapshot, cluster = world.snapshot, world.instance
            children = with_kept(
                cluster, settings_to_keep(world), build_children(cluster, snapshot.site, snapshot.passwords)
            )
            return Ruling(steps=(ask_for_surplus(snapshot, cluster, children, step),))
        case Hold():
            return Ruling(holds=(step,))
        case _:
            assert_never(step)


def _copies_of(world: World, shard: Shard, outdated: frozenset[str], surplus: Surplus | None) -> Copies:
    named = {*shard.wanted, *([surplus.pod] if surplus else ())}
    candidates = electable(world, shard)
    return Copies(
        name=shard.name,
        copies=tuple(
            _copy(world, shard, each, outdated, may_lead=each in candidates)
            for each in shard.members
            if each.name in named
        ),
        wanted=len(shard.wanted),
        keeps_data=shard.is_vacant or keeps_data(world.instance.spec),
        has_volume=bool(world.instance.spec.storage_class),
        surplus=surplus,
        is_seen=is_seen(world.snapshot, shard.name),
    )


def _copy(world: World, shard: Shard, member: Member, outdated: frozenset[str], *, may_lead: bool) -> Copy:
    """*may_lead*: it is in sync, and would be elected: one that would not be is no copy to go on with yet."""
    owner, link = shard.owner, member.facts.replication
    behind = 0 if shard.is_vacant else None  # of nothing everybody has all
    if owner is not None and may_lead:
        behind = max(0, owner.facts.replication.offset_bytes - link.offset_bytes)
    return Copy(
        name=member.name,
        is_primary=member is owner,
        is_outdated=member.name in outdated,
        is_surplus=member.name not in shard.wanted or member.name in condemned_pods(world.snapshot, shard.wanted),
        is_leaving=member.pod.deleting,
        is_claim_going=is_claim_going(world.snapshot, member.name),
        is_written=is_written(world.instance.spec, member.facts),
        is_being_written=member.facts.log_begins,
        behind_bytes=behind,
    )
