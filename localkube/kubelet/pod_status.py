"""What a pod's status says, from what its containers are doing now: phase, conditions, container statuses. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Obj = dict[str, Any]
RESIZE_PENDING = "PodResizePending"
RESIZE_IN_PROGRESS = "PodResizeInProgress"


@dataclass(slots=True, kw_only=True)
class ContainerFacts:
    """What is known of one container. *state* and *last_state* are as in the API: one key of waiting, running, ..."""

    name: str
    image: str
    restartable_init: bool = False
    state: Obj = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last_state: Obj = field(default_factory=dict)
    restart_count: int = 0
    ready: bool = False
    started: bool = False
    image_id: str = ""
    container_id: str = ""
    allocated: Obj = field(default_factory=dict)  # what the node has promised it
    resources: Obj = field(default_factory=dict)  # what it has, which comes a moment later

    @property
    def running(self) -> bool:
        return "running" in self.state

    @property
    def succeeded(self) -> bool:
        return "terminated" in self.state and self.state["terminated"]["exitCode"] == 0


def build_container_status(facts: ContainerFacts, *, init: bool = False) -> Obj:
    """An init container is ready when it has done its work, a sidecar when it serves."""
    done = init and not facts.restartable_init and facts.succeeded
    status: Obj = {
        "name": facts.name,
        "state": facts.state,
        "lastState": facts.last_state,
        "ready": facts.ready or done,
        "restartCount": facts.restart_count,
        "image": facts.image,
        "imageID": facts.image_id,
        "started": facts.started,
        "resources": facts.resources,
    }
    if facts.allocated.get("requests"):
        status["allocatedResources"] = facts.allocated["requests"]
    if facts.container_id:
        status["containerID"] = facts.container_id
    return status


def phase_of(
    init: Sequence[ContainerFacts], containers: Sequence[ContainerFacts], restart_policy: str, *, over: bool
) -> str:
    """*over*: no container will be started again."""
    failed_init = False
    for facts in init:
        if facts.restartable_init:
            if not facts.started and not over:
                return "Pending"
        elif not facts.succeeded:
            ended = facts.state.get("terminated") or (facts.last_state.get("terminated") if over else None)
            if ended is None or restart_policy != "Never":
                return "Failed" if over and ended else "Pending"
            failed_init = True
    if failed_init:
        return "Failed"
    running = sum(facts.running for facts in containers)
    ended = sum(
        "terminated" in facts.state or "terminated" in facts.last_state for facts in containers if not facts.running
    )
    if running + ended < len(containers):
        return "Pending"
    if any(facts.restartable_init and facts.running for facts in init):
        return "Running"  # what ended is not reported as such while its sidecars still run
    if running or (restart_policy == "Always" and not over):
        return "Running"
    if all(facts.succeeded for facts in containers):
        return "Succeeded"
    return "Failed" if over or restart_policy == "Never" else "Running"


def build_conditions(
    init: Sequence[ContainerFacts],
    containers: Sequence[ContainerFacts],
    phase: str,
    *,
    before: Sequence[Obj],
    gates: Sequence[str],
    now: str,
    resize: Mapping[str, tuple[str, str]] = MappingProxyType({}),
    generation: int | None = None,
) -> list[Obj]:
    """The kubelet's own conditions, and those of others as they are. A transition time changes with the status only.

    *resize*: reason and message of PodResizePending and PodResizeInProgress, as far as they are true. *generation*: of
    the pod that was looked at.
    """
    kept = {condition["type"]: condition for condition in before}
    resizing = {kind: kept.pop(kind, None) for kind in (RESIZE_PENDING, RESIZE_IN_PROGRESS)}
    seen = {} if generation is None else {"observedGeneration": generation}
    values = kept.copy()
    waiting_init = [one.name for one in init if not (one.succeeded or (one.restartable_init and one.started))]
    if phase in ("Succeeded", "Failed"):
        # What an ended pod says of its beginning stays as it was.
        initialized = (
            _ok() if not waiting_init else _no("ContainersNotInitialized", _listed("incomplete", waiting_init))
        )
        if phase == "Succeeded":
            initialized = _ok(reason="PodCompleted")
        why = "PodCompleted" if phase == "Succeeded" else "PodFailed"
        ready = containers_ready = _no(why, "")
    else:
        initialized = (
            _ok() if not waiting_init else _no("ContainersNotInitialized", _listed("incomplete", waiting_init))
        )
        sidecars = [one for one in init if one.restartable_init]
        unready = [one.name for one in (*sidecars, *containers) if not one.ready]
        containers_ready = _ok() if not unready else _no("ContainersNotReady", _listed("unready", unready))
        ready = containers_ready
        closed = [gate for gate in gates if kept.get(gate, {}).get("status") != "True"]
        if not unready and closed:
            listed = ", ".join(
                f'corresponding condition of pod readiness gate "{gate}" does not exist.' for gate in closed
            )
            ready = _no("ReadinessGatesNotReady", listed)
    for name, value in (("Initialized", initialized), ("Ready", ready), ("ContainersReady", containers_ready)):
        old = kept.get(name)
        changed = old is None or old["status"] != value["status"]
        when = now if changed else (old or {}).get("lastTransitionTime", now)
        values[name] = {"type": name, **seen, "lastProbeTime": None, "lastTransitionTime": when, **value}
    if kept.get("PodScheduled", {}).get("status") != "True":
        # It is here: whatever the scheduler said before it found a place is over.
        values["PodScheduled"] = {
            "type": "PodScheduled",
            **seen,
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": now,
        }
    for kind, (reason, message) in resize.items():
        said = {name: text for name, text in (("reason", reason), ("message", message)) if text}
        former = resizing[kind]
        when = former["lastTransitionTime"] if former is not None and former.get("reason", "") == reason else now
        values[kind] = {
            "type": kind, **seen, "status": "True", "lastProbeTime": None, "lastTransitionTime": when, **said
        }  # fmt: skip
    first = ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    return [values[name] for name in first] + [value for name, value in values.items() if name not in first]


def _ok(*, reason: str = "") -> Obj:
    return {"status": "True", **({"reason": reason} if reason else {})}


def _no(reason: str, message: str) -> Obj:
    return {"status": "False", "reason": reason, **({"message": message} if message else {})}


def _listed(what: str, names: Sequence[str]) -> str:
    return f"containers with {what} status: [{' '.join(names)}]"


def restore_facts(status: Mapping[str, Any], name: str) -> Obj | None:
    """A container's status as written before, by name."""
    for group in ("containerStatuses", "initContainerStatuses"):
        for one in status.get(group) or []:
            if one["name"] == name:
                found: Obj = one
                return found
    return None
