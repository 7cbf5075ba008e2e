"""Who answers for a Service: its Endpoints and EndpointSlices, from the pods its selector picks and their readiness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from localkube.controllers.pods import is_ready, is_terminal, is_terminating, labels_of
from localkube.controllers.settings import MANAGER, Settings
from localkube.controllers.slices import MANAGED_BY, SERVICE_NAME, SLICES, write_slices
from localkube.controllers.workqueue import KeyedQueue
from localkube.registry import Event, Obj, Registry

HEADLESS = "service.kubernetes.io/headless"
OURS = "endpointslice-controller.k8s.io"
ZONE = "topology.kubernetes.io/zone"
# As many endpoints as a real cluster puts into one slice.
SLICE_SIZE = 100

Key = tuple[str, str]  # namespace and name of a Service


class Port(NamedTuple):
    """A port of a Service as one pod has it: a named target may be another number in each pod."""

    name: str
    number: int
    protocol: str
    app_protocol: str


@dataclass(frozen=True, slots=True)
class Backend:
    pod: Obj
    ports: tuple[Port, ...]

    @property
    def name(self) -> str:
        name: str = self.pod["metadata"]["name"]
        return name


class EndpointsController:
    """Writes Endpoints and EndpointSlices of every Service with a selector; leaves those without to their owners."""

    def __init__(self, registry: Registry, settings: Settings) -> None:  # noqa: ARG002 - all controllers are made alike
        self._registry = registry
        self._queue: KeyedQueue[Key] = KeyedQueue("endpoints", self._reconcile)
        self._selectors: dict[str, dict[str, Mapping[str, str]]] = {}  # by namespace and name of the Service
        self._ends: list[Callable[[], None]] = []

    def start(self) -> None:
        subscribe = self._registry.subscribe
        self._ends = [
            subscribe("services", self._on_service),
            subscribe("pods", self._on_pod),
            subscribe("endpoints", self._on_result),
            subscribe(SLICES, self._on_slice),
        ]

    async def stop(self) -> None:
        for end in self._ends:
            end()
        self._queue.stop()

    def _on_service(self, event: Event) -> None:
        metadata = event.object["metadata"]
        known = self._selectors.setdefault(metadata["namespace"], {})
        known.pop(metadata["name"], None)
        if event.type != "DELETED" and (selector := _selector_of(event.object)):
            known[metadata["name"]] = selector
        self._queue.mark((metadata["namespace"], metadata["name"]))

    def _on_pod(self, event: Event) -> None:
        before, after = event.old, event.object
        if event.type == "MODIFIED" and before is not None and _facts(before) == _facts(after):
            return
        namespace = after["metadata"]["namespace"]
        seen = [labels_of(pod) for pod in (before, after) if pod is not None]
        for name, selector in self._selectors.get(namespace, {}).items():
            if any(_picks(selector, labels) for labels in seen):
                self._queue.mark((namespace, name))

    def _on_result(self, event: Event) -> None:
        self._mark_known(event.object["metadata"]["namespace"], event.object["metadata"]["name"])

    def _on_slice(self, event: Event) -> None:
        labels = labels_of(event.object)
        if labels.get(MANAGED_BY) == OURS:
            self._mark_known(event.object["metadata"]["namespace"], labels.get(SERVICE_NAME, ""))

    def _mark_known(self, namespace: str, name: str) -> None:
        # Whoever edits or deletes what we wrote gets it back.
        if name in self._selectors.get(namespace, {}):
            self._queue.mark((namespace, name))

    def _reconcile(self, key: Key) -> None:
        namespace, name = key
        service = self._registry.find("services", namespace, name)
        if service is None:
            # Slices go with their owner, the Service; Endpoints have none.
            if self._registry.find("endpoints", namespace, name) is not None:
                self._registry.delete("endpoints", namespace, name)
            return
        selector = _selector_of(service)
        if not selector:
            return
        pods = [
            pod
            for pod in self._registry.list("pods", namespace)
            if _picks(selector, labels_of(pod)) and not is_terminal(pod) and (pod.get("status") or {}).get("podIP")
        ]
        backends = [Backend(pod, build_ports(service, pod)) for pod in pods]
        if service["spec"].get("ports"):
            backends = [one for one in backends if one.ports]
        self._write_endpoints(service, backends)
        wanted = build_slices(service, backends, self._zones())
        write_slices(self._registry, service, manager=OURS, labels=_labels_for(service), wanted=wanted)

    def _write_endpoints(self, service: Obj, backends: Sequence[Backend]) -> None:
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        labels = _labels_for(service)
        subsets = build_subsets(service, backends)
        known = self._registry.find("endpoints", namespace, name)
        if known is None:
            metadata = {"name": name, "namespace": namespace, "labels": labels}
            fresh = {"metadata": metadata, **({"subsets": subsets} if subsets else {})}
            self._registry.create("endpoints", fresh, manager=MANAGER)
        elif known.get("subsets", []) != subsets or labels_of(known) != labels:
            changed = {**known, "metadata": {**known["metadata"], "labels": labels}}
            changed.pop("subsets", None)
            self._registry.update(
                "endpoints", {**changed, **({"subsets": subsets} if subsets else {})}, manager=MANAGER
            )

    def _zones(self) -> dict[str, str]:
        return {
            node["metadata"]["name"]: zone
            for node in self._registry.list("nodes")
            if (zone := labels_of(node).get(ZONE)) is not None
        }


def _selector_of(service: Obj) -> Mapping[str, str]:
    spec = service["spec"]
    return {} if spec.get("type") == "ExternalName" else spec.get("selector") or {}


def _picks(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def _facts(pod: Obj) -> tuple[object, ...]:
    """All that a pod's change can mean to a Service."""
    address = (pod.get("status") or {}).get("podIP")
    return labels_of(pod), address, is_ready(pod), is_terminal(pod), is_terminating(pod)


def _labels_for(service: Obj) -> dict[str, str]:
    labels = dict(labels_of(service))
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS] = ""
    return labels


def build_ports(service: Obj, pod: Obj) -> tuple[Port, ...]:
    """The Service's ports as *pod* has them; a name that no container of the pod knows is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol") or "TCP"
        number = _target_number(port, protocol, pod)
        if number is not None:
            found.append(Port(port.get("name") or "", number, protocol, port.get("appProtocol") or ""))
    return tuple(sorted(found))


def _target_number(port: Mapping[str, Any], protocol: str, pod: Obj) -> int | None:
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    spec = pod["spec"]
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        for one in container.get("ports") or ():
            if one.get("name") == target and (one.get("protocol") or "TCP") == protocol:
                number: int = one["containerPort"]
                return number
    return None


def _ready(service: Obj, pod: Obj) -> bool:
    return bool(service["spec"].get("publishNotReadyAddresses")) or (is_ready(pod) and not is_terminating(pod))


def _port_objects(ports: Sequence[Port]) -> list[Obj]:
    return [
        {
            **({"name": port.name} if port.name else {}),
            "port": port.number,
            "protocol": port.protocol,
            **({"appProtocol": port.app_protocol} if port.app_protocol else {}),
        }
        for port in ports
    ]


def _grouped(backends: Sequence[Backend]) -> list[tuple[tuple[Port, ...], list[Backend]]]:
    groups: dict[tuple[Port, ...], list[Backend]] = {}
    for backend in sorted(backends, key=lambda one: one.name):
        groups.setdefault(backend.ports, []).append(backend)
    return sorted(groups.items())


def _shared(service: Obj, pod: Obj) -> Obj:
    """What an address of Endpoints and an endpoint of a slice say alike."""
    metadata, spec = pod["metadata"], pod["spec"]
    target = {
        "kind": "Pod",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    said: Obj = {"targetRef": target}
    if spec.get("nodeName"):
        said["nodeName"] = spec["nodeName"]
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        said["hostname"] = spec["hostname"]
    return said


def build_subsets(service: Obj, backends: Sequence[Backend]) -> list[Obj]:
    """`subsets` of the Endpoints: pods with the same ports together, those that are not ready apart."""
    subsets = []
    for ports, members in _grouped(backends):
        by_ready: dict[bool, list[Obj]] = {True: [], False: []}
        for backend in members:
            ready = _ready(service, backend.pod)
            if is_terminating(backend.pod) and not ready:
                continue
            address = {"ip": backend.pod["status"]["podIP"], **_shared(service, backend.pod)}
            by_ready[ready].append(address)
        subset: Obj = {}
        if by_ready[True]:
            subset["addresses"] = by_ready[True]
        if by_ready[False]:
            subset["notReadyAddresses"] = by_ready[False]
        if subset:
            if ports:
                subset["ports"] = _port_objects(ports)
            subsets.append(subset)
    return subsets


def build_slices(service: Obj, backends: Sequence[Backend], zones: Mapping[str, str]) -> list[Obj]:
    """Endpoints and ports of each slice. Without a pod there is one empty slice, as on a real server."""
    slices = []
    for ports, members in _grouped(backends):
        for start in range(0, len(members), SLICE_SIZE):
            endpoints = [_build_endpoint(service, one.pod, zones) for one in members[start : start + SLICE_SIZE]]
            # A slice names each port, if only with nothing: so the server stores it.
            named = [{"name": "", **port} for port in _port_objects(ports)]
            slices.append({"endpoints": endpoints, "ports": named})
    return slices or [{"endpoints": [], "ports": []}]


def _build_endpoint(service: Obj, pod: Obj, zones: Mapping[str, str]) -> Obj:
    conditions = {
        "ready": _ready(service, pod),
        "serving": is_ready(pod) or bool(service["spec"].get("publishNotReadyAddresses")),
        "terminating": is_terminating(pod),
    }
    endpoint = {"addresses": [pod["status"]["podIP"]], "conditions": conditions, **_shared(service, pod)}
    zone = zones.get(endpoint.get("nodeName", ""))
    return {**endpoint, "zone": zone} if zone is not None else endpoint
