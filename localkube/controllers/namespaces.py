"""What a namespace has from the start, and that nothing of it is left when it goes."""

from __future__ import annotations

from collections.abc import Callable

from localkube.controllers.pods import is_terminating, now_text
from localkube.controllers.settings import MANAGER, Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.errors import ApiError
from localkube.registry import Event, Obj, Registry

FINALIZER = "kubernetes"
DEFAULT_ACCOUNT = "default"


class NamespaceController:
    """Empties a namespace that is being deleted, then lets it go; gives every other one its default account."""

    def __init__(self, registry: Registry, settings: Settings) -> None:  # noqa: ARG002 - all controllers are made alike
        self._registry = registry
        self._queue: KeyedQueue[str] = KeyedQueue("namespaces", self._reconcile)
        self._ends: list[Callable[[], None]] = []
        self._terminating: set[str] = set()
        self._running = False

    def start(self) -> None:
        self._running = True
        self._registry.on_commit(self._on_commit)
        self._ends = [
            self._registry.subscribe("namespaces", self._on_namespace),
            self._registry.subscribe("serviceaccounts", self._on_account, replay=False),
        ]

    async def stop(self) -> None:
        self._running = False
        for end in self._ends:
            end()
        self._queue.stop()

    def _on_namespace(self, event: Event) -> None:
        name = event.object["metadata"]["name"]
        if event.type != "DELETED" and is_terminating(event.object):
            self._terminating.add(name)
        else:
            self._terminating.discard(name)
        self._queue.mark(name)

    def _on_account(self, event: Event) -> None:
        if event.type == "DELETED" and event.object["metadata"]["name"] == DEFAULT_ACCOUNT:
            self._queue.mark(event.object["metadata"]["namespace"])

    def _on_commit(self, _: str, event: Event) -> None:
        # Of every resource, custom ones too: the last object to go may be of any kind.
        if self._running and event.type == "DELETED":
            namespace = event.object["metadata"].get("namespace", "")
            if namespace in self._terminating:
                self._queue.mark(namespace)

    def _reconcile(self, name: str) -> None:
        namespace = self._registry.find("namespaces", None, name)
        if namespace is None:
            return
        if not is_terminating(namespace):
            if self._registry.find("serviceaccounts", name, DEFAULT_ACCOUNT) is None:
                account = {"metadata": {"name": DEFAULT_ACCOUNT, "namespace": name}}
                self._registry.create("serviceaccounts", account, manager=MANAGER)
            return
        left = self._empty(name)
        self._tell(namespace, left)
        finalizers = (namespace.get("spec") or {}).get("finalizers") or []
        if not left and FINALIZER in finalizers:
            kept = [one for one in finalizers if one != FINALIZER]
            current = self._registry.get("namespaces", None, name)
            self._registry.update(
                "namespaces", {**current, "spec": {"finalizers": kept}}, subresource="finalize", manager=MANAGER
            )

    def _empty(self, namespace: str) -> dict[str, list[Obj]]:
        """Deletes what is there. Returns by resource what has to be waited for."""
        left: dict[str, list[Obj]] = {}
        for rtype in tuple(self._registry.types):
            if not rtype.namespaced:
                continue
            for obj in self._registry.list(rtype.key, namespace):
                if not is_terminating(obj):
                    try:
                        self._registry.delete(rtype.key, namespace, obj["metadata"]["name"], propagation=_keeping(obj))
                    except ApiError as refused:
                        if refused.code != 404:
                            raise
            remaining = self._registry.list(rtype.key, namespace)
            if remaining:
                left[rtype.key] = remaining
        return left

    def _tell(self, namespace: Obj, left: dict[str, list[Obj]]) -> None:
        """The condition that tells people what a namespace waits for."""
        if left:
            listed = ", ".join(f"{resource} has {len(objs)} resource instances" for resource, objs in left.items())
            content = ("True", "SomeResourcesRemain", f"Some resources are remaining: {listed}")
        else:
            content = ("False", "ContentRemoved", "All content successfully removed")
        holders: dict[str, int] = {}
        for obj in (one for objs in left.values() for one in objs):
            for finalizer in obj["metadata"].get("finalizers") or ():
                holders[finalizer] = holders.get(finalizer, 0) + 1
        if holders:
            listed = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(holders.items()))
            waits = (
                "True",
                "SomeFinalizersRemain",
                f"Some content in the namespace has finalizers remaining: {listed}",
            )
        else:
            waits = ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished")
        known = {one["type"]: one for one in (namespace.get("status") or {}).get("conditions") or ()}
        conditions = [
            _condition(kind, said, known.get(kind))
            for kind, said in (("NamespaceContentRemaining", content), ("NamespaceFinalizersRemaining", waits))
        ]
        if list(known.values()) != conditions:
            status = {**(namespace.get("status") or {}), "conditions": conditions}
            self._registry.update("namespaces", {**namespace, "status": status}, subresource="status", manager=MANAGER)


def _keeping(obj: Obj) -> str | None:
    # All of the namespace goes anyway: the owner need not wait for what it owns.
    return None if obj["metadata"].get("finalizers") else "Background"


def _condition(kind: str, said: tuple[str, str, str], known: Obj | None) -> Obj:
    status, reason, message = said
    since = known["lastTransitionTime"] if known is not None and known["status"] == status else now_text()
    return {"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
