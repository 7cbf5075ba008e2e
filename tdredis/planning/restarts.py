"""Decides what is said of `kubectl rollout restart` whose new pod does not come up: nothing else goes, or goes back.

The template of such a restart is the one before, but for when it was asked for: what does not come up from it would not
come up from that one either. So it is not given up as an edit is. It goes on by itself when its pod is up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tdredis.manifests.names import REDIS_COMPONENT
from tdredis.planning.conditions import timestamp
from tdredis.planning.pending import Group
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import PodFacts, Ref, Snapshot

MOST_WORDS: Final = 400  # letters of what others say


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """*hold*: what a person should read. *look_s*: until it is looked at again; None: at any time. *says*: what comes
    if nothing changes, as the end of a sentence.
    """

    hold: Hold | None = None
    look_s: float | None = None
    says: str = ""


def watch_restart(snapshot: Snapshot, groups: Sequence[Group]) -> Restart:
    """The first of *groups*' StatefulSets of which some pod was restarted, is not up, and others wait for it."""
    failing = sorted(
        (pod.created, statefulset, pod.name, f"{pod.trouble.reason}: {pod.trouble.message}")
        for group in groups
        for statefulset, pod in _restarted(snapshot, group)
        if pod.trouble is not None and not pod.deleting
    )
    if not failing:
        return Restart()
    since, statefulset, name, words = failing[0]
    limit_s = snapshot.resource.spec.rollout.progress_deadline_seconds
    if snapshot.now < since + limit_s:
        says = f"if {name} is not up by {timestamp(since + limit_s)}, status says what can be done"
        return Restart(look_s=since + limit_s - snapshot.now, says=says)
    why = (
        f"StatefulSet {statefulset} was restarted with kubectl, and pod {name} did not come up in {limit_s} s:"
        f" {words[:MOST_WORDS]}. Its template is as before, so there is nothing to go back to, and no other pod is"
        f" recreated before it is up. Correct that, and the restart goes on; to leave the others as they are: kubectl"
        f" rollout undo statefulset/{statefulset}"
    )
    return Restart(hold=Hold(guard="restarted_pods_come_up", about="spec", why=why))


def _restarted(snapshot: Snapshot, group: Group) -> Iterator[tuple[str, PodFacts]]:
    """Pods that were made since, with their StatefulSet, where some pod of it was not."""
    waiting = {_statefulset(pod) for pod in group.pods if _asked(snapshot, pod) not in ("", pod.restarted_at)}
    pods = snapshot.pods.values() if group.component == REDIS_COMPONENT else group.pods  # one more may come first
    for pod in pods:
        if _statefulset(pod) in waiting and _asked(snapshot, pod) == pod.restarted_at:
            yield _statefulset(pod), pod


def _statefulset(pod: PodFacts) -> str:
    return pod.name.rpartition("-")[0]


def _asked(snapshot: Snapshot, pod: PodFacts) -> str:
    """When its restart was asked for last; "": never."""
    live = snapshot.children.get(Ref("StatefulSet", _statefulset(pod)))
    return live.statefulset.restarted_at if live else ""
