"""What a node has promised to its pods, and whether a pod that asks for more while it runs can have it.

Facts: Kubernetes documentation "Resize CPU and Memory Resources assigned to Containers"; the sentences are a kubelet's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from localkube.units import quantity_value

Obj = dict[str, Any]
Resources = Mapping[str, Any]  # as in the API: requests and limits
HoldState = Literal["Deferred", "Infeasible", "InProgress", "Error"]
_NOTHING: Mapping[str, Any] = {}
# What is counted, and how many of its units a message counts in one.
_COUNTED = {"cpu": 1000, "memory": 1}


@dataclass(frozen=True, slots=True)
class Refusal:
    """*reason*: Infeasible, never on this node; Deferred, not until another pod needs less."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Hold:
    """How far a fault lets a resize go.

    *state*: Deferred or Infeasible, nothing is promised; InProgress or Error, it is promised and not given.
    """

    state: HoldState
    message: str = ""

    @property
    def refuses(self) -> bool:
        return self.state in ("Deferred", "Infeasible")


class Allocations:
    """Of one node. A pod that has been bound to it has what it asked for: to look for room was the scheduler's work."""

    def __init__(self, allocatable: Mapping[str, str]) -> None:
        self._allocatable = {name: _count(name, allocatable.get(name)) for name in _COUNTED}
        self._given: dict[str, dict[str, Resources]] = {}  # pod's uid -> container's name -> its resources
        self._sums: dict[str, dict[str, int]] = {}

    def admit(self, pod: Obj) -> None:
        """What was promised before the node went down still holds, not what has been asked for since."""
        before = _promised(pod)
        self._put(pod, {name: before.get(name, wanted) for name, wanted in _wanted(pod).items()})

    def release(self, uid: str) -> None:
        self._given.pop(uid, None)
        self._sums.pop(uid, None)

    def of(self, uid: str) -> Mapping[str, Resources]:
        return self._given.get(uid, {})

    def resize(self, pod: Obj, hold: Hold | None = None) -> Refusal | None:
        """Promises what *pod* asks for now, or says why not; then what was promised before holds."""
        uid: str = pod["metadata"]["uid"]
        wanted = _wanted(pod)
        if wanted == self._given.get(uid):
            return None
        asked = _sum_of(pod, wanted)
        before = self._sums.get(uid, {})
        if hold is not None and hold.refuses:
            return Refusal(hold.state, hold.message or self._refusal_words(hold.state, asked, before))
        for name, capacity in self._allocatable.items():
            if asked[name] > capacity:
                return Refusal("Infeasible", _infeasible(name, asked[name], capacity))
        for name, capacity in self._allocatable.items():
            used = sum(one[name] for other, one in self._sums.items() if other != uid)
            if asked[name] > before.get(name, 0) and used + asked[name] > capacity:
                return Refusal("Deferred", _deferred(name, asked[name], used, capacity))
        self._put(pod, wanted)
        return None

    def _refusal_words(self, state: str, asked: Mapping[str, int], before: Mapping[str, int]) -> str:
        """What a kubelet would say of a node that is as full, or as small, as *state* has it."""
        name = next((one for one in ("memory", "cpu") if asked[one] > before.get(one, 0)), "memory")
        if state == "Infeasible":
            return _infeasible(name, asked[name], max(asked[name] - 1, 0))
        capacity = self._allocatable[name]
        return _deferred(name, asked[name], max(capacity - asked[name] + 1, 0), capacity)

    def _put(self, pod: Obj, wanted: dict[str, Resources]) -> None:
        uid: str = pod["metadata"]["uid"]
        self._given[uid] = wanted
        self._sums[uid] = _sum_of(pod, wanted)


def restarting(container: Obj, before: Resources, now: Resources) -> bool:
    """Whether a change of these resources is one that the container wants to be restarted for."""
    policies = {one.get("resourceName"): one.get("restartPolicy") for one in container.get("resizePolicy") or ()}
    changed = {
        name
        for part in ("requests", "limits")
        for name in _COUNTED
        if (before.get(part) or _NOTHING).get(name) != (now.get(part) or _NOTHING).get(name)
    }
    return any(policies.get(name) == "RestartContainer" for name in changed)


def _infeasible(name: str, asked: int, capacity: int) -> str:
    return f"Node didn't have enough capacity: {name}, requested: {asked}, capacity: {capacity}"


def _deferred(name: str, asked: int, used: int, capacity: int) -> str:
    return f"Node didn't have enough resource: {name}, requested: {asked}, used: {used}, capacity: {capacity}"


def _wanted(pod: Obj) -> dict[str, Resources]:
    containers = (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])
    return {one["name"]: one.get("resources") or {} for one in containers}


def _promised(pod: Obj) -> dict[str, Resources]:
    """Container's name -> what its status says it was promised."""
    status = pod.get("status") or {}
    told = [one for group in ("initContainerStatuses", "containerStatuses") for one in status.get(group) or ()]
    return {one["name"]: one["resources"] for one in told if "resources" in one}


def _sum_of(pod: Obj, wanted: Mapping[str, Resources]) -> dict[str, int]:
    """The pod's containers and sidecars together, or its largest init container when that is more."""
    together = dict.fromkeys(_COUNTED, 0)
    largest = dict.fromkeys(_COUNTED, 0)
    plain_init = {
        one["name"] for one in pod["spec"].get("initContainers") or () if one.get("restartPolicy") != "Always"
    }
    for container, resources in wanted.items():
        for name in _COUNTED:
            count = _count(name, (resources.get("requests") or _NOTHING).get(name))
            if container in plain_init:
                largest[name] = max(largest[name], count)
            else:
                together[name] += count
    overhead = pod["spec"].get("overhead") or _NOTHING
    return {name: max(together[name], largest[name]) + _count(name, overhead.get(name)) for name in _COUNTED}


def _count(name: str, quantity: object) -> int:
    return round((quantity_value(quantity) or 0) * _COUNTED[name])
