"""How many pods of a PodDisruptionBudget may be disrupted now: what an eviction asks before it deletes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localkube.controllers.events import Recorder
from localkube.controllers.pods import (
    controller_ref,
    is_ready,
    is_terminal,
    is_terminating,
    labels_of,
    now_text,
    seconds_since,
)
from localkube.controllers.quantities import scale_int_or_percent
from localkube.controllers.settings import MANAGER, Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.registry import Event, Obj, Registry
from localkube.resources import ResourceType
from localkube.selectors import selector_predicate
from localkube.server.scale import scale_of

BUDGETS = "poddisruptionbudgets.policy"
# What stands behind the pods, whose number may change what a budget promises.
SCALED = ("statefulsets.apps", "deployments.apps", "replicasets.apps")
# An evicted pod counts as gone at once; if it is still there after so long, the eviction came to nothing.
EVICTION_TIMEOUT_S = 120.0

Key = tuple[str, str]


class NotCounted(Exception):
    """How many pods there should be cannot be told, so none may be disrupted."""


class BudgetController:
    """Looks again when a pod's readiness or an owner's replicas change."""

    def __init__(self, registry: Registry, settings: Settings) -> None:  # noqa: ARG002 - all controllers are made alike
        self._registry = registry
        self._recorder = Recorder(registry, "controllermanager")
        self._queue: KeyedQueue[Key] = KeyedQueue("disruption budgets", self._reconcile)
        self._ends: list[Callable[[], None]] = []

    def start(self) -> None:
        subscribe = self._registry.subscribe
        self._ends = [subscribe(BUDGETS, self._on_budget), subscribe("pods", self._on_pod, replay=False)]
        self._ends += [subscribe(one, self._on_scaled, replay=False) for one in SCALED]

    async def stop(self) -> None:
        for end in self._ends:
            end()
        self._queue.stop()

    def _on_budget(self, event: Event) -> None:
        self._queue.mark(_key(event.object))

    def _on_pod(self, event: Event) -> None:
        before, after = event.old, event.object
        if event.type == "MODIFIED" and before is not None and _facts(before) == _facts(after):
            return
        seen = [labels_of(pod) for pod in (before, after) if pod is not None]
        for budget in self._registry.list(BUDGETS, after["metadata"]["namespace"]):
            matches = selector_predicate(budget["spec"].get("selector"))
            if any(matches(labels) for labels in seen):
                self._queue.mark(_key(budget))

    def _on_scaled(self, event: Event) -> None:
        replicas = event.object["spec"].get("replicas")
        if event.old is not None and event.type == "MODIFIED" and event.old["spec"].get("replicas") == replicas:
            return
        for budget in self._registry.list(BUDGETS, event.object["metadata"]["namespace"]):
            self._queue.mark(_key(budget))

    def _reconcile(self, key: Key) -> float | None:
        budget = self._registry.find(BUDGETS, *key)
        if budget is None or is_terminating(budget):
            return None
        matches = selector_predicate(budget["spec"].get("selector"))
        pods = [pod for pod in self._registry.list("pods", key[0]) if matches(labels_of(pod)) and not is_terminal(pod)]
        if not pods:
            self._recorder.normal(budget, "NoPods", "No matching pods found")
        disrupted, again_s = self._still_disrupted(budget, pods)
        try:
            expected, desired = self._count(budget, pods)
        except NotCounted as error:
            self._recorder.warning(
                budget,
                "CalculateExpectedPodCountFailed",
                f"Failed to calculate the number of expected pods: {error}",
            )
            self._write(budget, {"disruptionsAllowed": 0}, ("False", "SyncFailed", str(error)))
            return again_s
        healthy = sum(
            1 for pod in pods if is_ready(pod) and not is_terminating(pod) and pod["metadata"]["name"] not in disrupted
        )
        allowed = max(0, healthy - desired) if expected > 0 else 0
        facts: Obj = {
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
            "disruptedPods": disrupted,
        }
        self._write(budget, facts, ("True", "SufficientPods", "") if allowed else ("False", "InsufficientPods", ""))
        return again_s

    def _still_disrupted(self, budget: Obj, pods: list[Obj]) -> tuple[dict[str, str], float | None]:
        """Pods whose eviction was granted and which are not yet seen to go, and when to look again."""
        told: dict[str, str] = (budget.get("status") or {}).get("disruptedPods") or {}
        waiting, again_s = {}, None
        for pod in pods:
            since = told.get(pod["metadata"]["name"])
            if since is None or is_terminating(pod):
                continue
            left_s = EVICTION_TIMEOUT_S - seconds_since(since)
            if left_s > 0:
                waiting[pod["metadata"]["name"]] = since
                again_s = left_s if again_s is None else min(again_s, left_s)
        return waiting, again_s

    def _count(self, budget: Obj, pods: list[Obj]) -> tuple[int, int]:
        """Pods there should be, and how many of them must be healthy. Raises NotCounted."""
        spec: Any = budget["spec"]
        if spec.get("maxUnavailable") is not None:
            expected = self._expected_scale(pods)
            return expected, max(0, expected - scale_int_or_percent(spec["maxUnavailable"], expected, round_up=True))
        minimum = spec.get("minAvailable", 0)
        if isinstance(minimum, int):
            return len(pods), minimum
        expected = self._expected_scale(pods)
        return expected, scale_int_or_percent(minimum, expected, round_up=True)

    def _expected_scale(self, pods: list[Obj]) -> int:
        """What the owners of the pods want together; each owner once."""
        replicas: dict[str, int] = {}
        for pod in pods:
            ref = controller_ref(pod)
            if ref is None:
                raise NotCounted(f'found no controller ref for pod "{pod["metadata"]["name"]}"')
            rtype, owner = self._owner_with_scale(pod, ref)
            replicas[owner["metadata"]["uid"]] = scale_of(self._registry, rtype, owner)["spec"].get("replicas", 0)
        return sum(replicas.values())

    def _owner_with_scale(self, obj: Obj, ref: Obj) -> tuple[ResourceType, Obj]:
        """The controller that has a number of replicas: that of a ReplicaSet is its Deployment's to say."""
        group, _, _ = ref["apiVersion"].rpartition("/")
        for rtype in self._registry.types:
            if rtype.kind != ref["kind"] or rtype.group != group or "scale" not in rtype.subresources:
                continue
            owner = self._registry.find(rtype.key, obj["metadata"]["namespace"], ref["name"])
            if owner is None or owner["metadata"]["uid"] != ref["uid"]:
                break
            above = controller_ref(owner) if rtype.kind == "ReplicaSet" else None
            return (rtype, owner) if above is None else self._owner_with_scale(owner, above)
        raise NotCounted(f'found no controllers for pod "{obj["metadata"]["name"]}"')

    def _write(self, budget: Obj, facts: Obj, said: tuple[str, str, str]) -> None:
        status = {key: value for key, value in {**(budget.get("status") or {}), **facts}.items() if value != {}}
        status["observedGeneration"] = budget["metadata"]["generation"]
        others = [one for one in status.get("conditions") or () if one["type"] != "DisruptionAllowed"]
        known = next((one for one in status.get("conditions") or () if one["type"] == "DisruptionAllowed"), None)
        same = known is not None and known["status"] == said[0]
        condition = {
            "type": "DisruptionAllowed",
            "status": said[0],
            "reason": said[1],
            "message": said[2],
            "lastTransitionTime": known["lastTransitionTime"] if same and known is not None else now_text(),
            "observedGeneration": budget["metadata"]["generation"],
        }
        status["conditions"] = [*others, condition]
        if status != budget.get("status"):
            self._registry.update(BUDGETS, {**budget, "status": status}, subresource="status", manager=MANAGER)


def _key(budget: Obj) -> Key:
    return budget["metadata"]["namespace"], budget["metadata"]["name"]


def _facts(pod: Obj) -> tuple[object, ...]:
    return labels_of(pod), is_ready(pod), is_terminal(pod), is_terminating(pod), controller_ref(pod)
