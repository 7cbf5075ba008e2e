"""Decides which pods are recreated because they cannot run as they are, a primary after it has handed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tdredis.manifests.names import sentinel_name
from tdredis.planning.plan import Hold, Ruling, held
from tdredis.planning.replication.members import Member
from tdredis.planning.replication.primary import hand_over
from tdredis.planning.replication.rolls import carry_out, copies_of
from tdredis.planning.replication.world import World
from tdredis.planning.rolling import Terms
from tdredis.planning.snapshot import PodFacts
from tdredis.planning.steps import Step
from tdredis.planning.stuck_pods import StuckPod, nothing_to_lose, replace_next, replace_stuck, stuck_pods
from tdredis.planning.surplus import is_claim_going, is_written, keeps_data


def replace_stuck_pods(world: World) -> Ruling:
    """At most one Redis pod that runs; a Sentinel goes beside others that work."""
    redis = _replace_redis(world, _stuck(world, world.instance.name, world.redis.present))
    return Ruling(steps=(*redis.steps, *_replace_sentinels(world)), holds=redis.holds)


def _stuck(world: World, statefulset: str, pods: Iterable[PodFacts]) -> tuple[StuckPod, ...]:
    return stuck_pods(world.snapshot, world.instance, statefulset, pods)


def _replace_redis(world: World, stuck: tuple[StuckPod, ...]) -> Ruling:
    primary = world.primary
    owner = primary.name if primary else ""
    never = "" if world.recorded else "there never was a primary"

    def loses_nothing(pod: PodFacts) -> str:
        return nothing_to_lose(world.snapshot, pod, world.instance.spec, never=never, owner=owner)

    def hand_over_primary() -> Ruling:
        if primary is None:
            return Ruling()
        if world.standby is None:
            return _replace_the_only_one(world, stuck[0], primary)
        candidates = [member for member in world.replicas_in_sync() if not member.pod.trouble]
        return hand_over(world, primary, candidates, f"{primary.name} will be recreated")

    def next_replica(replicas: Sequence[StuckPod]) -> Ruling:
        copies = copies_of(world, frozenset(each.name for each in replicas))
        terms = Terms(needs_surplus=world.instance.spec.rollout.surge == "always")
        return replace_next(copies, replicas, terms, lambda step: carry_out(world, step))

    return replace_stuck(
        stuck,
        nothing_to_lose=loses_nothing,
        primary=owner,
        may_disrupt=not world.redis.has_unknown and primary is not None,
        next_replica=next_replica,
        hand_over=hand_over_primary,
    )


def _replace_the_only_one(world: World, stuck: StuckPod, member: Member) -> Ruling:
    spec, goes = world.instance.spec, is_claim_going(world.snapshot, member.name)
    is_kept = keeps_data(spec) and is_written(spec, member.facts)
    if is_kept and not goes and member.facts.log_begins:
        why = f"{member.name} makes its append-only file anew, and is not told to end before that is whole"
        return held("copies_are_whole", why)
    if (is_kept and not goes) or not member.has_data:
        return Ruling(steps=(stuck.replace("it is the only one"),))
    where = (
        "on a volume whose claim was deleted"
        if goes
        else "in memory alone, as config lets nothing be written"
        if spec.storage_class
        else "on an emptyDir"
    )
    why = (
        f"{member.name} has the only copy of the data, {where}: what is wrong in its pod is fixed by a new pod,"
        " which would be empty; delete the pod yourself if you can do without the data"
    )
    return Ruling(holds=(Hold(guard="another_copy_exists", about="spec", why=why),))


def _replace_sentinels(world: World) -> Iterator[Step]:
    if world.standby is None:
        return
    stuck = _stuck(world, sentinel_name(world.standby), world.sentinels.present)
    stopped = [each for each in stuck if each.name not in world.snapshot.sentinels]
    idle = [each for each in stopped if each.pod.main_trouble or not each.pod.ever_ran]
    yield from (each.replace("it does not run") for each in idle)
    if stuck and not idle and len(world.watchers) > world.standby.spec.sentinel.quorum:
        yield stuck[0].replace("the other Sentinels watch")
