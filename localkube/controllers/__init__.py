"""Which controllers a cluster has, in which order they start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from localkube.controllers.budget import BudgetController
from localkube.controllers.cronjob import CronJobController
from localkube.controllers.deployment import DeploymentController
from localkube.controllers.endpoints import EndpointsController
from localkube.controllers.gc import GarbageCollector
from localkube.controllers.job import JobController
from localkube.controllers.limit_range import LimitRangeAdmission
from localkube.controllers.mirroring import MirroringController
from localkube.controllers.namespaces import NamespaceController
from localkube.controllers.nodes import NodeController
from localkube.controllers.pod_security import PodSecurityAdmission
from localkube.controllers.podgc import PodGarbageCollector
from localkube.controllers.proxy import ServiceProxy
from localkube.controllers.pvc import VolumeController
from localkube.controllers.quota import QuotaController
from localkube.controllers.replicaset import ReplicaSetController
from localkube.controllers.resize_admission import ResizeAdmission
from localkube.controllers.scheduler import Scheduler
from localkube.controllers.services import ServiceController
from localkube.controllers.settings import Settings
from localkube.controllers.statefulset import StatefulSetController
from localkube.registry import Registry


class Controller(Protocol):
    def start(self) -> None: ...

    async def stop(self) -> None: ...


# Those that change a write while it is made go first: what the others write is to pass through them.
_ALL: tuple[Callable[[Registry, Settings], Controller], ...] = (
    ServiceController,
    VolumeController,
    GarbageCollector,
    NamespaceController,
    ResizeAdmission,
    LimitRangeAdmission,
    PodSecurityAdmission,
    QuotaController,  # the last to be asked: what it refuses, nobody else would
    Scheduler,
    ReplicaSetController,
    DeploymentController,
    StatefulSetController,
    JobController,
    CronJobController,
    EndpointsController,
    MirroringController,
    ServiceProxy,
    BudgetController,
    NodeController,
    PodGarbageCollector,
)


class Controllers:
    """All that makes objects act on each other. `await stop()` leaves no task, timer or listening port behind."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._all = [one(registry, settings) for one in _ALL]

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
