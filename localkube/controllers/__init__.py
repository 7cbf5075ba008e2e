"""Which controllers a cluster has, in which order they start."""

from __future__ import annotations

import importlib
from typing import Any

from localkube.controllers.endpoints import EndpointsController
from localkube.controllers.gc import GarbageCollector
from localkube.controllers.namespaces import NamespaceController
from localkube.controllers.proxy import ServiceProxy
from localkube.controllers.services import ServiceController
from localkube.controllers.settings import Settings
from localkube.registry import Registry

_OTHERS = {
    "scheduler": "Scheduler",
    "statefulset": "StatefulSetController",
    "deployment": "DeploymentController",
    "replicaset": "ReplicaSetController",
    "pvc": "VolumeController",
}


def _kinds() -> list[Any]:
    found: list[Any] = [ServiceController, GarbageCollector, NamespaceController, EndpointsController, ServiceProxy]
    for module, name in _OTHERS.items():
        try:
            found.append(getattr(importlib.import_module(f"localkube.controllers.{module}"), name))
        except (ImportError, AttributeError):
            continue
    return found


class Controllers:
    """All that makes objects act on each other. `await stop()` leaves no task, timer or listening port behind."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._all = [one(registry, settings) for one in _kinds()]

    def start(self) -> None:
        for one in self._all:
            one.start()

    async def stop(self) -> None:
        for one in reversed(self._all):
            await one.stop()


def start_all(registry: Registry, settings: Settings) -> Controllers:
    """Starts every controller on the running loop."""
    controllers = Controllers(registry, settings)
    controllers.start()
    return controllers


__all__ = ["Controllers", "Settings", "start_all"]
