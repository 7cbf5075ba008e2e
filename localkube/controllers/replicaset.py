"""Keeps the number of pods of each ReplicaSet, and decides which of too many goes first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from localkube.controllers.events import Recorder
from localkube.controllers.ownership import Children
from localkube.controllers.pod_template import build_pod
from localkube.controllers.pods import (
    Obj,
    condition,
    controller_ref,
    is_active,
    is_ready,
    is_terminating,
    labels_of,
    now_text,
    phase,
    seconds_to_available,
)
from localkube.controllers.settings import Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.errors import ApiError
from localkube.registry import Event, Registry
from localkube.selectors import selector_predicate

NAME = "replicaset-controller"
REPLICA_SETS = "replicasets.apps"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
Key = tuple[str, str]
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def in_order_of_deletion(pods: Iterable[Obj]) -> list[Obj]:
    """The one that is missed least first: unbound, not running, not ready, cheap, crowded, young, often restarted."""
    listed = list(pods)
    crowd = Counter(pod["spec"].get("nodeName") for pod in listed)

    def missed(pod: Obj) -> Any:
        ready = condition(pod, "Ready")
        since = (ready or {}).get("lastTransitionTime") or ""
        cost = int((pod["metadata"].get("annotations") or {}).get(DELETION_COST) or 0)
        restarts = max(
            (one.get("restartCount", 0) for one in (pod.get("status") or {}).get("containerStatuses") or ()), default=0
        )
        return (
            bool(pod["spec"].get("nodeName")),
            _PHASES.get(phase(pod), 2),
            is_ready(pod),
            cost,
            -crowd[pod["spec"].get("nodeName")],
            _newest_first(since) if is_ready(pod) else (),
            -restarts,
            _newest_first(pod["metadata"]["creationTimestamp"]),
            pod["metadata"]["name"],
        )

    return sorted(listed, key=missed)


def _newest_first(timestamp: str) -> tuple[int, ...]:
    return tuple(-ord(letter) for letter in timestamp)


class ReplicaSetController:
    def __init__(self, registry: Registry, settings: Settings) -> None:
        del settings
        self._registry = registry
        self._recorder = Recorder(registry, NAME)
        self._pods = Children(registry, "pods", NAME)
        self._queue: KeyedQueue[Key] = KeyedQueue("replicaset", self._reconcile)
        self._unsubscribe: list[Callable[[], None]] = []

    def start(self) -> None:
        self._unsubscribe = [
            self._registry.subscribe(REPLICA_SETS, self._on_set),
            self._registry.subscribe("pods", self._on_pod, replay=False),
        ]

    async def stop(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._queue.stop()

    def _on_set(self, event: Event) -> None:
        metadata = event.object["metadata"]
        self._queue.mark((metadata["namespace"], metadata["name"]))

    def _on_pod(self, event: Event) -> None:
        pod = event.object
        namespace = pod["metadata"]["namespace"]
        for one in (event.old, pod):
            ref = controller_ref(one) if one else None
            if ref is not None and ref["kind"] == "ReplicaSet":
                self._queue.mark((namespace, ref["name"]))
        if controller_ref(pod) is None:
            for owner in self._registry.list(REPLICA_SETS, namespace):
                if selector_predicate(owner["spec"].get("selector"))(labels_of(pod)):
                    self._queue.mark((namespace, owner["metadata"]["name"]))

    def _reconcile(self, key: Key) -> float | None:
        owner = self._registry.find(REPLICA_SETS, *key)
        if owner is None:
            return None
        claimed = self._pods.claim(owner, is_active)
        pods = [pod for pod in claimed if is_active(pod)]
        refused: ApiError | None = None
        if not is_terminating(owner):
            try:
                pods = self._adjust(owner, pods)
            except ApiError as error:
                refused = error
                self._recorder.warning(owner, "FailedCreate", f"Error creating: {error.message}")
        status, again_s = self._build_status(owner, pods, refused)
        if status != (owner.get("status") or {}):
            latest = self._registry.find(REPLICA_SETS, *key)
            if latest is not None:
                self._registry.update(REPLICA_SETS, {**latest, "status": status}, subresource="status", manager=NAME)
        if refused is not None:
            raise refused
        return again_s

    def _adjust(self, owner: Obj, pods: list[Obj]) -> list[Obj]:
        wanted: int = owner["spec"]["replicas"]
        if len(pods) < wanted:
            made = list(pods)
            for _ in range(wanted - len(pods)):
                pod = self._registry.create("pods", build_pod(owner["spec"]["template"], owner), manager=NAME)
                self._recorder.normal(owner, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
                made.append(pod)
            return made
        if len(pods) == wanted:
            return pods
        surplus = in_order_of_deletion(pods)[: len(pods) - wanted]
        for pod in surplus:
            metadata = pod["metadata"]
            self._registry.delete("pods", metadata["namespace"], metadata["name"], uid=metadata["uid"])
            self._recorder.normal(owner, "SuccessfulDelete", f"Deleted pod: {metadata['name']}")
        gone = {pod["metadata"]["uid"] for pod in surplus}
        return [pod for pod in pods if pod["metadata"]["uid"] not in gone]

    def _build_status(self, owner: Obj, pods: list[Obj], refused: ApiError | None) -> tuple[Obj, float | None]:
        spec = owner["spec"]
        template_labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
        full = sum(1 for pod in pods if template_labels.items() <= labels_of(pod).items())
        waits = [seconds_to_available(pod, spec.get("minReadySeconds") or 0) for pod in pods]
        status: Obj = {"replicas": len(pods), "observedGeneration": owner["metadata"]["generation"]}
        counts = {
            "fullyLabeledReplicas": full,
            "readyReplicas": sum(1 for pod in pods if is_ready(pod)),
            "availableReplicas": sum(1 for left_s in waits if left_s == 0.0),
        }
        status.update({name: count for name, count in counts.items() if count})
        if refused is not None:
            told = {
                "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refused.message,
                "lastTransitionTime": (condition(owner, "ReplicaFailure") or {}).get("lastTransitionTime", now_text()),
            }  # fmt: skip
            status["conditions"] = [told]
        return status, min((left_s for left_s in waits if left_s), default=None)
