"""How a node reaches the API server, and what it goes on believing while it cannot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from localkube.errors import ApiError
from localkube.registry import Event, Handler, Obj, Registry

# What a kubelet reads: as it was when the line was cut is all that it knows afterwards.
_READ = (
    "pods", "nodes", "services", "configmaps", "secrets", "persistentvolumeclaims", "persistentvolumes",
    "leases.coordination.k8s.io",
)  # fmt: skip


class Uplink(Registry):
    """The registry as one node sees it. Cut: reads give what was, changes are heard of later, writes are lost.

    The end of a pod is not lost: a kubelet says it again until somebody hears it.
    """

    def __init__(self, registry: Registry) -> None:
        # Not the parent's: everything is the real registry's, and what is not passed on here must not seem to work.
        self._real = registry
        self._memory: Registry | None = None
        self._missed: list[tuple[Handler, Event]] = []
        self._farewells: list[tuple[str, str | None, str, str | None]] = []

    @property
    def is_cut(self) -> bool:
        return self._memory is not None

    def cut(self) -> None:
        memory = Registry()
        for resource in _READ:
            for obj in self._real.list(resource):
                memory.restore(resource, obj)
        self._memory = memory

    def mend(self) -> None:
        """Says what could not be said, and hears what was missed, in order."""
        self._memory = None
        farewells, self._farewells = self._farewells, []
        for resource, namespace, name, uid in farewells:
            with contextlib.suppress(ApiError):  # it has gone by itself, or another one has its name
                self._real.delete(resource, namespace, name, grace_s=0, uid=uid)
        missed, self._missed = self._missed, []
        for handler, event in missed:
            handler(event)

    # ---- the registry, as far as a kubelet uses it

    def get(self, resource: str, namespace: str | None, name: str) -> Obj:
        return (self._memory or self._real).get(resource, namespace, name)

    def find(self, resource: str, namespace: str | None, name: str) -> Obj | None:
        return (self._memory or self._real).find(resource, namespace, name)

    def list(
        self, resource: str, namespace: str | None = None, *, labels: str | Mapping[str, str] | None = None
    ) -> list[Obj]:
        return (self._memory or self._real).list(resource, namespace, labels=labels)

    def create(self, resource: str, obj: Obj, *, manager: str = "localkube", dry_run: bool = False) -> Obj:
        if self._memory is not None:
            return obj
        return self._real.create(resource, obj, manager=manager, dry_run=dry_run)

    def update(self, resource: str, obj: Obj, **options: Any) -> Obj:
        if self._memory is not None:
            return obj
        return self._real.update(resource, obj, **options)

    def delete(self, resource: str, namespace: str | None, name: str, **options: Any) -> Obj:
        if self._memory is not None:
            self._farewells.append((resource, namespace, name, options.get("uid")))
            return self._memory.get(resource, namespace, name)
        return self._real.delete(resource, namespace, name, **options)

    def subscribe(self, resource: str, handler: Handler, *, replay: bool = True) -> Callable[[], None]:
        live = True

        def hear(event: Event) -> None:
            if self._memory is not None:
                self._missed.append((deliver, event))
            else:
                handler(event)

        def deliver(event: Event) -> None:
            if live:
                handler(event)

        end = self._real.subscribe(resource, hear, replay=replay)

        def unsubscribe() -> None:
            nonlocal live
            live = False
            end()

        return unsubscribe
