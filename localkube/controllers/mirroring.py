"""Which slices stand for Endpoints that people write themselves, for a Service without a selector."""

from __future__ import annotations

from collections.abc import Callable

from localkube.controllers.pods import is_terminating, labels_of
from localkube.controllers.settings import Settings
from localkube.controllers.slices import MANAGED_BY, SERVICE_NAME, SLICES, write_slices
from localkube.controllers.workqueue import KeyedQueue
from localkube.registry import Event, Obj, Registry

OURS = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
# Endpoints that are no more than the lock of a leader election.
LEADER = "control-plane.alpha.kubernetes.io/leader"

Key = tuple[str, str]


class MirroringController:
    """Whoever follows slices only sees written Endpoints as well. Slices that people write are left alone."""

    def __init__(self, registry: Registry, settings: Settings) -> None:  # noqa: ARG002 - all controllers are made alike
        self._registry = registry
        self._queue: KeyedQueue[Key] = KeyedQueue("endpoint mirroring", self._reconcile)
        self._ends: list[Callable[[], None]] = []

    def start(self) -> None:
        subscribe = self._registry.subscribe
        self._ends = [
            subscribe("endpoints", self._on_named),
            subscribe("services", self._on_named),
            subscribe(SLICES, self._on_slice, replay=False),
        ]

    async def stop(self) -> None:
        for end in self._ends:
            end()
        self._queue.stop()

    def _on_named(self, event: Event) -> None:
        metadata = event.object["metadata"]
        self._queue.mark((metadata["namespace"], metadata["name"]))

    def _on_slice(self, event: Event) -> None:
        labels = labels_of(event.object)
        if labels.get(MANAGED_BY) == OURS:
            self._queue.mark((event.object["metadata"]["namespace"], labels.get(SERVICE_NAME, "")))

    def _reconcile(self, key: Key) -> None:
        namespace, name = key
        endpoints = self._registry.find("endpoints", namespace, name)
        service = self._registry.find("services", namespace, name)
        if endpoints is not None and not is_terminating(endpoints) and service is not None:
            wanted = build_mirror(endpoints) if _is_mirrored(endpoints, service) else []
            write_slices(self._registry, endpoints, manager=OURS, labels=labels_of(endpoints), wanted=wanted)
            return
        for one in self._registry.list(SLICES, namespace, labels={SERVICE_NAME: name, MANAGED_BY: OURS}):
            self._registry.delete(SLICES, namespace, one["metadata"]["name"])


def _is_mirrored(endpoints: Obj, service: Obj) -> bool:
    if service["spec"].get("selector") or labels_of(endpoints).get(SKIP) == "true":
        return False
    return LEADER not in (endpoints["metadata"].get("annotations") or {})


def build_mirror(endpoints: Obj) -> list[Obj]:
    """One slice for each subset that has an IPv4 address."""
    slices = []
    for subset in endpoints.get("subsets") or ():
        ends = [
            _endpoint(address, ready=ready)
            for kind, ready in (("addresses", True), ("notReadyAddresses", False))
            for address in subset.get(kind) or ()
            if ":" not in address["ip"]
        ]
        ports = [{"name": "", "protocol": "TCP", **port} for port in subset.get("ports") or ()]
        if ends:
            slices.append({"endpoints": ends, "ports": ports})
    return slices


def _endpoint(address: Obj, *, ready: bool) -> Obj:
    said = {name: address[name] for name in ("hostname", "nodeName", "targetRef") if address.get(name)}
    return {"addresses": [address["ip"]], "conditions": {"ready": ready}, **said}
