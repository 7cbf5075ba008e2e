"""Decides how the pods of a standby or a standalone are recreated: replicas, then the primary, then the Sentinels."""

from __future__ import annotations

from typing import assert_never

from tdredis.manifests.replication import build_replication_children
from tdredis.planning.ending import replace_pod
from tdredis.planning.more_pods import ask_for_surplus
from tdredis.planning.plan import Hold, Ruling, held
from tdredis.planning.replication.members import Member
from tdredis.planning.replication.passing import knows_failover, pass_on
from tdredis.planning.replication.primary import can_hand_over, hand_over
from tdredis.planning.replication.world import World
from tdredis.planning.rolling import (
    PRIMARIES_WAIT,
    Ask,
    Copy,
    Next,
    Replace,
    Shard,
    Yield,
    next_steps,
    next_watcher,
    terms_of,
)
from tdredis.planning.settings import settings_to_keep, with_kept
from tdredis.planning.surplus import condemned_pods, find_surplus, is_claim_going, is_seen, is_written, keeps_data


def next_pods(world: World, outdated: frozenset[str]) -> tuple[Next, ...]:
    """What comes next, where *outdated* pods are to be recreated. Sentinels at the end: they see the roles move."""
    steps = next_steps([copies_of(world, outdated)], terms_of(world.instance.spec.rollout, world.snapshot.now))
    if steps and not any(isinstance(step, Hold) and step.guard in PRIMARIES_WAIT for step in steps):
        return steps
    watching = [name for name in world.sentinels.wanted if name in outdated]
    if watching and not is_seen(world.snapshot, watching[0].rpartition("-")[0]):
        why = "the controller of the Sentinels' StatefulSet has not seen yet how it is to be"
        return (Hold(guard="statefulset_is_seen", why=why),)
    step = next_watcher(watching, in_failover=world.in_failover)
    return steps if step is None else (step,)


def copies(world: World) -> tuple[Shard, ...]:
    """Who replicates whom."""
    return (copies_of(world, frozenset()),)


def copies_of(world: World, outdated: frozenset[str]) -> Shard:
    """Who replicates whom, where *outdated* pods are to be recreated."""
    wanted = world.redis.wanted
    surplus = find_surplus(world.snapshot, world.instance.name, len(wanted))
    named = {*wanted, *([surplus.pod] if surplus else ())}
    return Shard(
        name=world.instance.name,
        copies=tuple(_copy(world, each, outdated) for each in world.members if each.name in named),
        wanted=len(wanted),
        keeps_data=keeps_data(world.instance.spec),
        has_volume=bool(world.instance.spec.storage_class),
        surplus=surplus,
        is_seen=is_seen(world.snapshot, world.instance.name),
        can_replicate=world.standby is not None or all(knows_failover(member) for member in world.members),
    )


def carry_out(world: World, step: Next) -> Ruling:
    match step:
        case Replace():
            snapshot = world.snapshot
            pod = snapshot.pods.get(step.pod) or snapshot.sentinel_pods[step.pod]
            why = f"it is to be recreated; {step.why}"
            return Ruling(steps=(replace_pod(snapshot, world.instance, pod, why),))
        case Yield():
            return _hand_over(world, step)
        case Ask():
            snapshot, instance = world.snapshot, world.instance
            children = with_kept(
                instance,
                settings_to_keep(world),
                build_replication_children(instance, snapshot.site, snapshot.passwords),
            )
            return Ruling(steps=(ask_for_surplus(snapshot, instance, children, step),))
        case Hold():
            return Ruling(holds=(step,))
        case _:
            assert_never(step)


def _hand_over(world: World, step: Yield) -> Ruling:
    """Sentinels choose: so all of them know the best candidate before one of them is asked."""
    by_name = {member.name: member for member in world.members}
    primary, candidates = by_name[step.primary], [by_name[name] for name in step.candidates]
    if world.standby is None:
        return pass_on(primary, candidates, step.why)
    if not all(can_hand_over(watcher, world, primary, candidates[:1]) for watcher in world.watchers):
        why = f"{step.why}, and not every Sentinel knows {step.candidates[0]} yet"
        return held("a_sentinel_knows_the_candidate", why)
    return hand_over(world, primary, candidates, step.why)


def _copy(world: World, member: Member, outdated: frozenset[str]) -> Copy:
    primary, link = world.primary, member.facts.replication
    behind = None
    if primary is not None and world.is_attached(member) and link.link_up:
        behind = max(0, primary.facts.replication.offset_bytes - link.offset_bytes)
    wanted = world.redis.wanted
    return Copy(
        name=member.name,
        is_primary=member is primary,
        is_outdated=member.name in outdated,
        is_surplus=member.name not in wanted or member.name in condemned_pods(world.snapshot, wanted),
        is_leaving=member.pod.deleting,
        is_claim_going=is_claim_going(world.snapshot, member.name),
        is_written=is_written(world.instance.spec, member.facts),
        is_being_written=member.facts.log_begins,
        behind_bytes=behind,
    )
