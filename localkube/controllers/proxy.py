"""Where each Service's addresses lead now: from cluster IP, node port and load balancer to the ready endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from localkube.controllers.events import Recorder
from localkube.controllers.forwarder import Address, Connections, Listener
from localkube.controllers.pods import labels_of
from localkube.controllers.services import NODE_PORT_ADDRESS, has_cluster_ip, shown_address
from localkube.controllers.settings import Settings
from localkube.controllers.slices import SERVICE_NAME, SLICES
from localkube.controllers.workqueue import KeyedQueue
from localkube.registry import Event, Obj, Registry

# An address that something else holds is tried again after this long.
TAKEN_RETRY_S = 5.0
AFFINITY_S = 10_800

Key = tuple[str, str]


class ServiceProxy:
    """Follows Services and all their slices, whoever wrote them: owners of selector-less Services write their own."""

    def __init__(self, registry: Registry, settings: Settings) -> None:  # noqa: ARG002 - all controllers are made alike
        self._registry = registry
        self._recorder = Recorder(registry, "localkube-proxy")
        self._queue: KeyedQueue[Key] = KeyedQueue("service proxy", self._reconcile)
        self._listeners: dict[Key, dict[Address, Listener]] = {}
        self._refused: set[tuple[str, str]] = set()  # uid and message, said once
        self._connections = Connections()
        self._ends: list[Callable[[], None]] = []

    def start(self) -> None:
        self._ends = [
            self._registry.subscribe("services", self._on_service),
            self._registry.subscribe(SLICES, self._on_slice),
            self._registry.subscribe("nodes", self._on_node, replay=False),
        ]

    async def stop(self) -> None:
        for end in self._ends:
            end()
        self._queue.stop()
        for listeners in self._listeners.values():
            for listener in listeners.values():
                listener.close()
        self._listeners.clear()
        await self._connections.stop()

    def _on_service(self, event: Event) -> None:
        metadata = event.object["metadata"]
        self._queue.mark((metadata["namespace"], metadata["name"]))

    def _on_slice(self, event: Event) -> None:
        for obj in (event.old, event.object):
            name = labels_of(obj).get(SERVICE_NAME) if obj is not None else None
            if name:
                self._queue.mark((event.object["metadata"]["namespace"], name))

    def _on_node(self, event: Event) -> None:
        if event.old is None or event.type == "DELETED" or _internal_ips(event.old) != _internal_ips(event.object):
            for key in self._listeners:
                self._queue.mark(key)

    def _node_addresses(self) -> tuple[str, ...]:
        """Where node ports answer: on the machine itself, and on every node."""
        return (NODE_PORT_ADDRESS, *(ip for node in self._registry.list("nodes") for ip in _internal_ips(node)))

    def _reconcile(self, key: Key) -> float | None:
        service = self._registry.find("services", *key)
        ports = _addresses(service, self._node_addresses()) if service is not None else {}
        held = self._listeners.setdefault(key, {})
        for address in [one for one in held if one not in ports]:
            held.pop(address).close()
        if service is None or not ports:
            if not held:
                del self._listeners[key]
            if service is not None:
                self._say_what_is_missing(service)
            return None
        targets = self._targets(key)
        affinity_s = _affinity_s(service)
        again_s: float | None = None
        for address, port_name in ports.items():
            listener = held.get(address) or held.setdefault(address, Listener(address, self._connections))
            try:
                listener.serve(targets.get(port_name, ()), affinity_s=affinity_s)
            except OSError as error:
                again_s = TAKEN_RETRY_S
                self._say(service, "FailedToListen", f"cannot listen on {address.ip}:{address.port}: {error.strerror}")
        self._say_what_is_missing(service)
        return again_s

    def _targets(self, key: Key) -> dict[str, tuple[Address, ...]]:
        """Ready endpoints by the name of the Service's port."""
        namespace, name = key
        found: dict[str, set[Address]] = {}
        for one in self._registry.list(SLICES, namespace, labels={SERVICE_NAME: name}):
            if one.get("addressType") != "IPv4":
                continue
            ready = [
                end for end in one.get("endpoints") or () if (end.get("conditions") or {}).get("ready") is not False
            ]
            for port in one.get("ports") or ():
                if port.get("port") and (port.get("protocol") or "TCP") == "TCP":
                    known = found.setdefault(port.get("name") or "", set())
                    # Only the first address of an endpoint counts; what others would mean is not specified.
                    known.update(Address(end["addresses"][0], port["port"]) for end in ready if end.get("addresses"))
        return {name: tuple(sorted(addresses)) for name, addresses in found.items()}

    def _say_what_is_missing(self, service: Obj) -> None:
        spec = service["spec"]
        if not has_cluster_ip(service):
            return
        for port in spec.get("ports") or ():
            if (protocol := port.get("protocol") or "TCP") != "TCP":
                self._say(service, "NotForwarded", f"localkube forwards TCP only, not {protocol} port {port['port']}")
        for policy in ("internalTrafficPolicy", "externalTrafficPolicy"):
            if spec.get(policy) == "Local":
                self._say(
                    service, "NotHonoured", f"localkube leads to the endpoints of all nodes in spite of {policy} Local"
                )
        if spec.get("externalIPs"):
            self._say(service, "NotForwarded", "localkube does not listen on externalIPs")

    def _say(self, service: Obj, reason: str, message: str) -> None:
        once = (service["metadata"]["uid"], message)
        if once not in self._refused:
            self._refused.add(once)
            self._recorder.warning(service, reason, message)


def _internal_ips(node: Obj) -> list[str]:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return [one["address"] for one in addresses if one["type"] == "InternalIP"]


def _addresses(service: Obj, nodes: Sequence[str]) -> Mapping[Address, str]:
    """Every address to listen on, with the name of the port it stands for."""
    if not has_cluster_ip(service):
        return {}
    found: dict[Address, str] = {}
    balancer = shown_address(service)
    for port in service["spec"].get("ports") or ():
        if (port.get("protocol") or "TCP") != "TCP":
            continue
        name = port.get("name") or ""
        found[Address(service["spec"]["clusterIP"], port["port"])] = name
        if balancer is not None:
            found[Address(balancer, port["port"])] = name
        if port.get("nodePort"):
            found |= {Address(node, port["nodePort"]): name for node in nodes}
    return found


def _affinity_s(service: Obj) -> float | None:
    spec: Mapping[str, Any] = service["spec"]
    if spec.get("sessionAffinity") != "ClientIP":
        return None
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return float(config.get("timeoutSeconds") or AFFINITY_S)
