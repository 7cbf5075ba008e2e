"""Which pods nobody runs any more: bound to a node that is not there, they would stay for ever."""

from __future__ import annotations

from collections.abc import Callable

from localkube.controllers.pods import is_terminal, now_text
from localkube.controllers.settings import MANAGER, Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.registry import Event, Obj, Registry

# A node may be deleted and come again: its pods live through that for as long as they do on a real server.
QUARANTINE_S = 40.0

Key = tuple[str, str]


class PodGarbageCollector:
    def __init__(self, registry: Registry, settings: Settings, *, quarantine_s: float = QUARANTINE_S) -> None:  # noqa: ARG002 - all controllers are made alike
        self._registry = registry
        self._quarantine_s = quarantine_s
        self._queue: KeyedQueue[Key] = KeyedQueue("pod garbage collector", self._reconcile)
        self._ends: list[Callable[[], None]] = []

    def start(self) -> None:
        self._ends = [
            self._registry.subscribe("nodes", self._on_node, replay=False),
            self._registry.subscribe("pods", self._on_pod),
        ]

    async def stop(self) -> None:
        for end in self._ends:
            end()
        self._queue.stop()

    def _on_node(self, event: Event) -> None:
        if event.type != "DELETED":
            return
        name = event.object["metadata"]["name"]
        for pod in self._registry.list("pods"):
            if pod["spec"].get("nodeName") == name:
                self._queue.mark_later(_key(pod), self._quarantine_s)

    def _on_pod(self, event: Event) -> None:
        if event.type != "DELETED" and self._is_stranded(event.object):
            self._queue.mark_later(_key(event.object), self._quarantine_s)

    def _reconcile(self, key: Key) -> None:
        pod = self._registry.find("pods", *key)
        if pod is None or not self._is_stranded(pod):
            return
        metadata = pod["metadata"]
        if not is_terminal(pod):
            # Its owner is to see that it has not succeeded, and those who wait for its end why it came.
            pod = self._registry.update("pods", _ended(pod), subresource="status", manager=MANAGER)
        self._registry.delete("pods", metadata["namespace"], metadata["name"], grace_s=0, uid=metadata["uid"])

    def _is_stranded(self, pod: Obj) -> bool:
        node = pod["spec"].get("nodeName")
        return bool(node) and self._registry.find("nodes", None, node) is None


def _key(pod: Obj) -> Key:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def _ended(pod: Obj) -> Obj:
    status = pod.get("status") or {}
    said = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByPodGC",
        "message": "PodGC: node no longer exists",
        "lastTransitionTime": now_text(),
    }
    others = [one for one in status.get("conditions") or () if one["type"] != "DisruptionTarget"]
    return {**pod, "status": {**status, "phase": "Failed", "conditions": [*others, said]}}
