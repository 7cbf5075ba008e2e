"""Which events the controllers leave for people to read: an equal one is counted, not repeated."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Any

from localkube.errors import ApiError
from localkube.registry import Registry, time_text

Obj = dict[str, Any]
REMEMBERED = 2000


class Recorder:
    """Writes the events of one *component*, such as `statefulset-controller`."""

    def __init__(self, registry: Registry, component: str) -> None:
        self._registry = registry
        self._component = component
        self._names: OrderedDict[tuple[str, ...], str] = OrderedDict()

    def normal(self, about: Obj, reason: str, message: str) -> None:
        self._write(about, "Normal", reason, message)

    def warning(self, about: Obj, reason: str, message: str) -> None:
        self._write(about, "Warning", reason, message)

    def _write(self, about: Obj, kind: str, reason: str, message: str) -> None:
        metadata = about["metadata"]
        # Events about what has no namespace live in the default one, as on a real server.
        namespace = metadata.get("namespace") or "default"
        key = (metadata["uid"], kind, reason, message)
        try:
            self._count_or_create(key, about, namespace)
        except ApiError as error:
            # The namespace is being removed: its events go with it, and nobody is left to read this one.
            if error.code not in (403, 404):
                raise

    def _count_or_create(self, key: tuple[str, str, str, str], about: Obj, namespace: str) -> None:
        now = time_text(self._registry.now())
        name = self._names.get(key)
        known = self._registry.find("events", namespace, name) if name else None
        if known is not None:
            again = {**known, "count": known.get("count", 1) + 1, "lastTimestamp": now}
            self._registry.update("events", again, manager=self._component)
            self._names.move_to_end(key)
            return
        metadata = about["metadata"]
        involved = {
            "apiVersion": about["apiVersion"], "kind": about["kind"], "name": metadata["name"],
            "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
        }  # fmt: skip
        if metadata.get("namespace"):
            involved["namespace"] = metadata["namespace"]
        _, kind, reason, message = key
        event = {
            "metadata": {"name": f"{metadata['name']}.{secrets.token_hex(8)}", "namespace": namespace},
            "involvedObject": involved,
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": "",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "eventTime": None,
            "count": 1,
        }
        created = self._registry.create("events", event, manager=self._component)
        self._names[key] = created["metadata"]["name"]
        if len(self._names) > REMEMBERED:
            self._names.popitem(last=False)
