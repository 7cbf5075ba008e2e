"""Decides what is said to whoever asks for a restart by `kubectl rollout restart`: which is not done, and what to do.

Pods are replaced in the order of the operator (OnDelete); the annotation that kubectl writes changes the template,
and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from tdredis.planning.news import Transition
from tdredis.planning.snapshot import Snapshot


def unheeded_restarts(snapshot: Snapshot) -> Iterator[Transition]:
    """For each StatefulSet of which a restart was asked for, until all of its pods are younger than that."""
    pods = (*snapshot.pods.values(), *getattr(snapshot, "sentinel_pods", {}).values())
    for ref, live in sorted(snapshot.children.items(), key=lambda item: item[0]):
        asked = _epoch_s(live.statefulset.restarted_at) if ref.kind == "StatefulSet" else None
        if asked is None or all(pod.created > asked for pod in pods if pod.name.rpartition("-")[0] == ref.name):
            continue
        message = (
            f"statefulset/{ref.name} was asked to restart (kubectl rollout restart), which does nothing: its pods are"
            " only replaced one by one. Delete them yourself, replicas first, each when the last one is in sync again,"
            " and the primary's last: it hands over before it goes"
        )
        yield Transition(warning=True, reason="RestartNotDone", message=message)


def _epoch_s(text: str) -> float | None:
    """None: it is no date."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None
