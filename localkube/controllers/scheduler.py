"""Binds each new pod to a node, or says in its status and in an event why no node can take it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localkube.controllers.events import Recorder
from localkube.controllers.fit import NodeView, choose_node, resize_is_infeasible, seeks_company
from localkube.controllers.nodeterms import node_term_matches
from localkube.controllers.pods import Obj, condition, is_terminal, is_terminating, labels_of, now_text
from localkube.controllers.settings import Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.registry import Event, Registry

NAME = "default-scheduler"
Key = tuple[str, str]


class Scheduler:
    """Looks again at the pods that found no place whenever something changes that could make one."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        del settings
        self._registry = registry
        self._recorder = Recorder(registry, NAME)
        self._queue: KeyedQueue[Key] = KeyedQueue("scheduler", self._schedule)
        self._waiting: dict[Key, bool] = {}  # without a place -> whether a pod more could make one
        self._bound: dict[str, dict[str, Obj]] = {}  # node -> uid -> pod that takes room there
        self._views: dict[str, NodeView] = {}  # what is derived from _bound, until it changes
        self._unsubscribe: list[Callable[[], None]] = []

    def start(self) -> None:
        # Before the first pod is placed, all that take room are known: the replay may hand out a new one first.
        for pod in self._registry.list("pods"):
            node = pod["spec"].get("nodeName")
            if node and not is_terminal(pod):
                self._bound.setdefault(node, {})[pod["metadata"]["uid"]] = pod
        for resource, handler in (
            ("nodes", self._on_node),
            ("pods", self._on_pod),
            ("persistentvolumeclaims", self._on_claim),
            ("namespaces", self._on_namespace),
        ):
            self._unsubscribe.append(self._registry.subscribe(resource, handler))

    async def stop(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._queue.stop()

    # ---- what changes

    def _on_pod(self, event: Event) -> None:
        pod = event.object
        metadata = pod["metadata"]
        key = (metadata["namespace"], metadata["name"])
        node = pod["spec"].get("nodeName")
        if node:
            self._follow_bound(node, event)
            return
        if event.type == "DELETED":
            self._waiting.pop(key, None)
        elif event.old is None or _wishes(event.old) != _wishes(pod):
            self._queue.mark(key)

    def _follow_bound(self, node: str, event: Event) -> None:
        pod, uid = event.object, event.object["metadata"]["uid"]
        placed = self._bound.setdefault(node, {})
        before = placed.get(uid)
        if before is None and event.type == "ADDED":
            self._views.pop(node, None)
            placed[uid] = pod
            self._retry_seekers()
            return
        if event.type == "DELETED" or is_terminal(pod):
            if placed.pop(uid, None) is not None:
                self._views.pop(node, None)
                self._retry_waiting()
            return
        placed[uid] = pod
        if before is None or _takes(before) != _takes(pod):
            self._views.pop(node, None)
            self._retry_waiting()

    def _on_node(self, event: Event) -> None:
        name = event.object["metadata"]["name"]
        if event.type == "MODIFIED" and event.old is not None and _offers(event.old) == _offers(event.object):
            return
        self._views.pop(name, None)
        self._retry_waiting()

    def _on_claim(self, event: Event) -> None:
        def bound(claim: Obj | None) -> Any:
            phase = ((claim or {}).get("status") or {}).get("phase")
            return claim and (claim["spec"].get("volumeName"), phase, is_terminating(claim))

        if event.type != "MODIFIED" or bound(event.old) != bound(event.object):
            self._retry_waiting()

    def _on_namespace(self, event: Event) -> None:
        if event.old is not None and labels_of(event.old) != labels_of(event.object):
            self._retry_waiting()

    def _retry_waiting(self) -> None:
        for key in self._waiting:
            self._queue.mark(key)

    def _retry_seekers(self) -> None:
        """A pod more takes room; it helps only those who seek company or an even spread."""
        for key, seeks in self._waiting.items():
            if seeks:
                self._queue.mark(key)

    # ---- what is done

    def _schedule(self, key: Key) -> None:
        pod = self._registry.find("pods", *key)
        self._waiting.pop(key, None)
        if pod is None or pod["spec"].get("nodeName") or is_terminating(pod) or is_terminal(pod):
            return
        if pod["spec"].get("schedulerName", NAME) != NAME:
            return
        if pod["spec"].get("schedulingGates"):
            self._tell(pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
            return
        nodes = [self._view(node) for node in self._registry.list("nodes")]
        claims_refuse, usable = self._claims_of(pod, nodes)
        if claims_refuse is not None:
            self._refuse(key, pod, f"0/{len(nodes)} nodes are available: {claims_refuse}.")
            return
        namespaces = {one["metadata"]["name"]: one for one in self._registry.list("namespaces")}
        placement = choose_node(pod, usable, namespaces)
        if placement.node is None:
            left_out = len(nodes) - len(usable)
            message = placement.message
            if left_out:
                conflicts = f"{left_out} node(s) had volume node affinity conflict"
                message = f"0/{len(nodes)} nodes are available: {conflicts}" + (
                    f", {message.partition(': ')[2]}" if usable else "."
                )
            self._refuse(key, pod, message)
            return
        self._bind(pod, placement.node)

    def _view(self, node: Obj) -> NodeView:
        name = node["metadata"]["name"]
        view = self._views.get(name)
        if view is None or _offers(view.node) != _offers(node):
            view = self._views[name] = NodeView(node)
            for pod in self._bound.get(name, {}).values():
                view.place(pod)
        return view

    def _claims_of(self, pod: Obj, nodes: list[NodeView]) -> tuple[str | None, list[NodeView]]:
        """Why the pod's claims forbid every node, or None and the nodes that its volumes can be reached from."""
        usable = nodes
        for volume in pod["spec"].get("volumes") or ():
            source = volume.get("persistentVolumeClaim")
            if source is None:
                continue
            claim = self._registry.find("persistentvolumeclaims", pod["metadata"]["namespace"], source["claimName"])
            if claim is None:
                return f'persistentvolumeclaim "{source["claimName"]}" not found', []
            if is_terminating(claim):
                return f'persistentvolumeclaim "{source["claimName"]}" is being deleted', []
            name = claim["spec"].get("volumeName")
            if not name or (claim.get("status") or {}).get("phase") != "Bound":
                return "pod has unbound immediate PersistentVolumeClaims", []
            found = self._registry.find("persistentvolumes", None, name)
            required = (((found or {}).get("spec") or {}).get("nodeAffinity") or {}).get("required")
            if required is not None:
                terms = required.get("nodeSelectorTerms") or ()
                usable = [
                    node
                    for node in usable
                    if any(node_term_matches(term, labels_of(node.node), node.name) for term in terms)
                ]
        return None, usable

    def _bind(self, pod: Obj, node: str) -> None:
        bound = self._registry.update("pods", {**pod, "spec": {**pod["spec"], "nodeName": node}}, manager=NAME)
        # Counted at once: the next pod is placed before the event of this one arrives.
        self._bound.setdefault(node, {})[bound["metadata"]["uid"]] = bound
        view = self._views.get(node)
        if view is not None:
            view.place(bound)
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        self._recorder.normal(bound, "Scheduled", f"Successfully assigned {name} to {node}")
        self._retry_seekers()

    def _refuse(self, key: Key, pod: Obj, message: str) -> None:
        self._waiting[key] = seeks_company(pod)
        if self._tell(pod, "Unschedulable", message):
            self._recorder.warning(pod, "FailedScheduling", message)

    def _tell(self, pod: Obj, reason: str, message: str) -> bool:
        """Puts the reason into the pod's status. Returns whether it is news."""
        known = condition(pod, "PodScheduled")
        if known is not None and known.get("reason") == reason and known.get("message") == message:
            return False
        same = known is not None and known.get("status") == "False"
        since = known["lastTransitionTime"] if same and known is not None else now_text()
        told = {
            "type": "PodScheduled",
            "status": "False",
            "reason": reason,
            "message": message,
            "lastProbeTime": None,
            "lastTransitionTime": since,
        }
        status = pod.get("status") or {}
        others = [one for one in status.get("conditions") or () if one["type"] != "PodScheduled"]
        updated = {**pod, "status": {**status, "conditions": [*others, told]}}
        self._registry.update("pods", updated, subresource="status", manager=NAME)
        return True


def _wishes(pod: Obj) -> Any:
    """What of an unbound pod bears on where it may go."""
    return pod["spec"], labels_of(pod), is_terminating(pod)


def _takes(pod: Obj) -> Any:
    """What of a bound pod bears on others: its labels, whether it is leaving, its spec, and what it has been given."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    given = [one.get("allocatedResources") for one in statuses if "allocatedResources" in one]
    return labels_of(pod), is_terminating(pod), pod["spec"], given, resize_is_infeasible(pod)


def _offers(node: Obj) -> Any:
    status = node.get("status") or {}
    return node.get("spec"), labels_of(node), status.get("allocatable") or status.get("capacity")
