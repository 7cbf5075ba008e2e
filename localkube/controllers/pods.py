"""Decides what a pod's status means to the controllers: ready, available, active, and whose it is."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

Obj = dict[str, Any]


def now_text() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_since(text: str) -> float:
    """Age in seconds of an API timestamp (with or without fractions)."""
    return (datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(text)).total_seconds()


def phase(pod: Obj) -> str:
    found: str = (pod.get("status") or {}).get("phase") or "Pending"
    return found


def is_terminating(obj: Obj) -> bool:
    return obj["metadata"].get("deletionTimestamp") is not None


def is_terminal(pod: Obj) -> bool:
    return phase(pod) in {"Succeeded", "Failed"}


def is_active(pod: Obj) -> bool:
    return not is_terminal(pod) and not is_terminating(pod)


def condition(obj: Obj, kind: str) -> Obj | None:
    for found in (obj.get("status") or {}).get("conditions") or []:
        if found.get("type") == kind:
            return found  # type: ignore[no-any-return] # objects are JSON
    return None


def is_ready(pod: Obj) -> bool:
    ready = condition(pod, "Ready")
    return ready is not None and ready.get("status") == "True"


def is_running_and_ready(pod: Obj) -> bool:
    return phase(pod) == "Running" and is_ready(pod)


def seconds_to_available(pod: Obj, min_ready_s: int) -> float | None:
    """0.0: available now. Positive: will be after so long if it stays ready. None: not ready."""
    ready = condition(pod, "Ready")
    if ready is None or ready.get("status") != "True":
        return None
    since = ready.get("lastTransitionTime")
    if min_ready_s == 0 or since is None:
        return 0.0
    # Timestamps are whole seconds: waiting one more keeps us from calling a pod available too early.
    return max(0.0, min_ready_s + 1 - seconds_since(since))


def controller_ref(obj: Obj) -> Obj | None:
    for ref in obj["metadata"].get("ownerReferences") or []:
        if ref.get("controller"):
            return ref  # type: ignore[no-any-return] # objects are JSON
    return None


def build_controller_ref(owner: Obj) -> Obj:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def labels_of(obj: Obj) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}
