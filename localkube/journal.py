"""What survives the end of localkube: every write as one line of a file, read back at the next start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from localkube.registry import Event, Registry

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
# A journal this big is mostly history: it is rewritten as what exists now.
COMPACT_AT_BYTES = 64 * 1024 * 1024


class _Line(msgspec.Struct, rename={"resource": "r", "version": "v", "namespace": "s", "name": "n", "obj": "o"}):
    resource: str
    version: int
    namespace: str
    name: str
    obj: dict[str, Any] | None = None  # None: the object is gone


class Journal:
    """One write, one system call: what a client was told is on record, even if localkube is killed the next moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._size_bytes = 0
        self._registry: Registry | None = None

    def open(self, registry: Registry) -> None:
        """Restores what the file remembers, then records every further write."""
        self._registry = registry
        if self._path.exists():
            self._restore(registry)
        self._rewrite(registry)
        registry.on_commit(self._record)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _restore(self, registry: Registry) -> None:
        decoder = msgspec.json.Decoder(_Line)
        objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        with self._path.open("rb") as lines:
            for raw in lines:
                try:
                    line = decoder.decode(raw)
                except msgspec.DecodeError:
                    break  # the last line of a process that was killed while writing
                key = (line.resource, line.namespace, line.name)
                if line.obj is None:
                    objects.pop(key, None)
                else:
                    objects[key] = line.obj
                registry.restore_version(line.resource, line.version)
        # Definitions first: their resources must be known before their objects.
        for (resource, _, _), obj in sorted(objects.items(), key=lambda one: one[0][0] != CRDS):
            registry.restore(resource, obj)

    def _rewrite(self, registry: Registry) -> None:
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        size = 0
        for resource, version, obj in registry.everything():
            metadata = obj["metadata"] if obj else {}
            line = _Line(resource, version, metadata.get("namespace", ""), metadata.get("name", ""), obj)
            size += os.write(descriptor, msgspec.json.encode(line) + b"\n")
        fresh.replace(self._path)
        self.close()
        self._file, self._size_bytes = descriptor, size

    def _record(self, resource: str, event: Event) -> None:
        metadata = event.object["metadata"]
        head = msgspec.json.encode(_Line(resource, event.version, metadata.get("namespace", ""), metadata["name"]))
        line = head.removesuffix(b"null}") + (b"null}" if event.type == "DELETED" else event.encoded + b"}") + b"\n"
        self._size_bytes += os.write(self._file, line)
        if self._size_bytes > COMPACT_AT_BYTES and self._registry is not None:
            self._rewrite(self._registry)
