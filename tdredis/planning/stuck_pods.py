"""Decides which pods are recreated because they cannot run as they are: correcting a bad image in spec heals.

With OnDelete nobody else recreates them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tdredis.api.instance import Instance, InstanceSpec
from tdredis.planning.ending import grace_s
from tdredis.planning.plan import Ruling
from tdredis.planning.rolling import Next, Replace, Shard, Terms, next_in
from tdredis.planning.snapshot import PodFacts, Ref, Snapshot, Trouble
from tdredis.planning.steps import ReplacePod
from tdredis.planning.surplus import is_claim_going


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckPod:
    """A pod with trouble, made from a template that has changed since."""

    pod: PodFacts
    trouble: Trouble
    grace_s: int | None = None  # for its process to end; None: the pod's own

    @property
    def name(self) -> str:
        return self.pod.name

    def replace(self, because: str) -> ReplacePod:
        why = f"{because}, {self.trouble.reason}, and its template has changed since"
        return ReplacePod(pod=self.pod.name, uid=self.pod.uid, grace_s=self.grace_s, why=why)


def stuck_pods(
    snapshot: Snapshot, effective: Instance, statefulset: str, pods: Iterable[PodFacts]
) -> tuple[StuckPod, ...]:
    """Those of *pods*, all of *statefulset*. *effective*: what holds of spec."""
    live = snapshot.children.get(Ref("StatefulSet", statefulset))
    revision = live.revision if live else None
    return tuple(
        StuckPod(pod=pod, trouble=pod.trouble, grace_s=grace_s(snapshot, effective, pod.name))
        for pod in pods
        if pod.trouble and not pod.deleting and revision and pod.revision != revision
    )


def replace_stuck(
    stuck: tuple[StuckPod, ...],
    *,
    nothing_to_lose: Callable[[PodFacts], str],
    primary: str,
    may_disrupt: bool,
    next_replica: Callable[[Sequence[StuckPod]], Ruling],
    hand_over: Callable[[], Ruling],
) -> Ruling:
    """Pods of one shard. Those with *nothing_to_lose* (why) go at once. One that runs (the exporter beside Redis fails,
    say) goes if nothing else is wrong (*may_disrupt*): replicas first, one at a time (*next_replica*), then the
    *primary*, which hands over before.
    """
    idle = [(each, why) for each in stuck if (why := nothing_to_lose(each.pod))]
    if idle:
        return Ruling(steps=tuple(each.replace(why) for each, why in idle))
    if not stuck or not may_disrupt:
        return Ruling()
    replicas = [each for each in stuck if each.name != primary]
    if replicas:
        return next_replica(replicas)
    return hand_over()


def replace_next(shard: Shard, stuck: Sequence[StuckPod], terms: Terms, carry_out: Callable[[Next], Ruling]) -> Ruling:
    """The next of *stuck*, which are the outdated copies of *shard*: its replicas, or a primary without any. As where
    pods are recreated by spec, it leaves no fewer copies than there should be; one without a copy of its own goes at
    once.
    """
    by_name = {each.name: each for each in stuck}
    behind = [each.name for each in shard.copies if each.name in by_name and not each.is_whole]
    if behind:
        return Ruling(steps=(by_name[behind[0]].replace("it is a replica without a whole copy"),))
    step = next_in(shard, terms)
    if step is None:
        return Ruling()
    if isinstance(step, Replace) and step.pod in by_name:
        return Ruling(steps=(by_name[step.pod].replace(step.why),))
    return carry_out(step)


def nothing_to_lose(snapshot: Snapshot, pod: PodFacts, effective: InstanceSpec, *, never: str, owner: str) -> str:
    """Why nothing is lost with *pod*, in which no process runs; "": something may be, or one does. *never*: why there
    never was data, "" if there was; *owner*: who has it, "" if nobody. What is on a volume is so by the
    *effective* spec: an edit of storageclass moves no data.
    """
    if not pod.ever_ran:
        return "it never ran"
    if pod.name in snapshot.nodes or pod.main_trouble is None:
        return ""  # one whose exporter fails comes back by itself
    if effective.storage_class and not is_claim_going(snapshot, pod.name):
        return "it does not run, its data is on a volume"
    if never:
        return f"it does not run, {never}"
    return f"it does not run, {owner} has the data" if owner else ""
