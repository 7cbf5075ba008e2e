"""What becomes of a node that is silent, and of the pods on it: Unknown, tainted, not Ready, at last deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from localkube.controllers.events import Recorder
from localkube.controllers.pods import condition, is_terminal, is_terminating, seconds_since
from localkube.controllers.settings import Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.registry import Event, Obj, Registry, time_text

LEASES = "leases.coordination.k8s.io"
LEASE_NAMESPACE = "kube-node-lease"
# Without a lease: what a kubelet promises in its own.
DEFAULT_GRACE_S = 40
UNREACHABLE = "node.kubernetes.io/unreachable"
# A real server's admission gives every pod these two, for so long; here they are understood without being written.
TOLERATED_BY_ALL = frozenset((UNREACHABLE, "node.kubernetes.io/not-ready"))
TOLERATED_FOR_S = 300.0
MANAGER = "kube-controller-manager"


class NodeController:
    """A node is alive while its lease is renewed within the time that the lease itself names."""

    def __init__(self, registry: Registry, settings: Settings) -> None:  # noqa: ARG002 - all controllers are made alike
        self._registry = registry
        self._recorder = Recorder(registry, "node-controller")
        self._queue: KeyedQueue[str] = KeyedQueue("node lifecycle", self._reconcile)
        # By this process's clock, from when it saw the renewal: what the lease says may come from an earlier life.
        self._renewed: dict[str, tuple[str, float]] = {}
        self._ends: list[Callable[[], None]] = []

    def start(self) -> None:
        self._ends = [
            self._registry.subscribe("nodes", lambda event: self._queue.mark(event.object["metadata"]["name"])),
            self._registry.subscribe(LEASES, self._on_lease),
            self._registry.subscribe("pods", self._on_pod, replay=False),
        ]

    async def stop(self) -> None:
        for end in self._ends:
            end()
        self._queue.stop()

    def _on_lease(self, event: Event) -> None:
        metadata = event.object["metadata"]
        if metadata["namespace"] == LEASE_NAMESPACE:
            self._queue.mark(metadata["name"])

    def _on_pod(self, event: Event) -> None:
        # A pod that comes to a tainted node may have to go again.
        if event.type == "ADDED" or (event.old or {}).get("spec") != event.object["spec"]:
            node = event.object["spec"].get("nodeName")
            if node and self._is_tainted(node):
                self._queue.mark(node)

    def _is_tainted(self, name: str) -> bool:
        node = self._registry.find("nodes", None, name)
        return node is not None and bool(node["spec"].get("taints"))

    def _reconcile(self, name: str) -> float | None:
        node = self._registry.find("nodes", None, name)
        if node is None:
            self._renewed.pop(name, None)
            return None
        left_s = self._alive_for_s(name)
        if left_s > 0:
            node = self._with_taints(node, silent=False)
        else:
            node = self._with_taints(self._unknown(node), silent=True)
            for pod in self._pods_on(name):
                self._mark_not_ready(pod)
        waits = [wait for wait in (self._evict(node), left_s) if wait is not None and wait > 0]
        return min(waits, default=None)

    def _alive_for_s(self, name: str) -> float:
        now = asyncio.get_running_loop().time()
        lease = self._registry.find(LEASES, LEASE_NAMESPACE, name)
        spec = (lease or {}).get("spec") or {}
        renewal = str(spec.get("renewTime"))
        known, since = self._renewed.get(name, ("", 0.0))
        if known != renewal:
            since = now
            self._renewed[name] = (renewal, since)
        return float(since + (spec.get("leaseDurationSeconds") or DEFAULT_GRACE_S) - now)

    def _unknown(self, node: Obj) -> Obj:
        status = node.get("status") or {}
        ready = condition(node, "Ready")
        if ready is None or ready["status"] == "Unknown":
            return node
        now = time_text(self._registry.now())
        told = {"status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
        conditions = [{**one, **told, "lastTransitionTime": now} for one in status["conditions"]]
        name = node["metadata"]["name"]
        self._recorder.normal(node, "NodeNotReady", f"Node {name} status is now: NodeNotReady")
        changed = {**node, "status": {**status, "conditions": conditions}}
        return self._registry.update("nodes", changed, subresource="status", manager=MANAGER)

    def _with_taints(self, node: Obj, *, silent: bool) -> Obj:
        taints = node["spec"].get("taints") or []
        others = [one for one in taints if one["key"] != UNREACHABLE]
        if silent == (len(others) != len(taints)):
            return node
        if silent:
            now = time_text(self._registry.now())
            others += [
                {"key": UNREACHABLE, "effect": "NoSchedule", "timeAdded": now},
                {"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": now},
            ]
        spec = {key: value for key, value in node["spec"].items() if key != "taints"}
        changed = {**node, "spec": {**spec, "taints": others} if others else spec}
        return self._registry.update("nodes", changed, manager=MANAGER)

    def _pods_on(self, name: str) -> Iterator[Obj]:
        return (pod for pod in self._registry.list("pods") if pod["spec"].get("nodeName") == name)

    def _mark_not_ready(self, pod: Obj) -> None:
        ready = condition(pod, "Ready")
        if ready is None or ready["status"] != "True":
            return
        self._recorder.warning(pod, "NodeNotReady", "Node is not ready")
        gone = {**ready, "status": "False", "lastTransitionTime": time_text(self._registry.now())}
        conditions = [gone if one["type"] == "Ready" else one for one in pod["status"]["conditions"]]
        changed = {**pod, "status": {**pod["status"], "conditions": conditions}}
        self._registry.update("pods", changed, subresource="status", manager=MANAGER)

    def _evict(self, node: Obj) -> float | None:
        """Deletes pods that do not bear a NoExecute taint (any longer). Returns when the next one's time is up."""
        taints = [one for one in node["spec"].get("taints") or [] if one.get("effect") == "NoExecute"]
        if not taints:
            return None
        next_s: float | None = None
        for pod in self._pods_on(node["metadata"]["name"]):
            if is_terminating(pod) or is_terminal(pod):
                continue
            left_s = _borne_for_s(pod, taints)
            if left_s is None:
                continue
            if left_s > 0:
                next_s = left_s if next_s is None else min(next_s, left_s)
                continue
            namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            self._recorder.normal(pod, "TaintManagerEviction", f"Marking for deletion Pod {namespace}/{name}")
            self._registry.delete("pods", namespace, name, uid=pod["metadata"]["uid"])
        return next_s


def _borne_for_s(pod: Obj, taints: list[Obj]) -> float | None:
    """How much longer the pod bears all of *taints*; None: for ever."""
    longest: list[float] = []
    for taint in taints:
        added = taint.get("timeAdded")
        age_s = seconds_since(added) if added else 0.0
        bearing = [one for one in pod["spec"].get("tolerations") or [] if _tolerates(one, taint)]
        if not bearing:
            limit = TOLERATED_FOR_S if taint["key"] in TOLERATED_BY_ALL else 0.0
            longest.append(limit - age_s)
            continue
        limits = [float(one["tolerationSeconds"]) for one in bearing if one.get("tolerationSeconds") is not None]
        if limits:
            longest.append(min(limits) - age_s)
    return min(longest, default=None)


def _tolerates(toleration: Mapping[str, Any], taint: Obj) -> bool:
    if toleration.get("effect") not in {None, "", taint["effect"]}:
        return False
    if toleration.get("key") not in {None, "", taint["key"]}:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")
