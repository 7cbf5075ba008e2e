"""Which address and node ports a Service has: given in the write that creates it, freed when it goes."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Callable, Iterator
from typing import Any

from localkube.controllers.settings import MANAGER, Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.errors import FieldError, invalid, invalid_value
from localkube.registry import Event, Obj, Registry

NODE_PORTS = range(30000, 32768)
NODE_PORT_ADDRESS = "127.0.0.1"
# 127.S.0.1 to 127.S.127.254 are for cluster IPs; a load balancer's is the one 128 above in the third byte.
_THIRD_BYTES = 128
_HOSTS = range(1, 255)


class ServiceController:
    """Allocates inside the write, so that the answer to a create shows the addresses, as on a real server.

    What is taken is what the stored Services say: a refused or dry-run write takes nothing.
    """

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._registry = registry
        self._block = settings.service_block
        self._given = 0  # how many cluster IPs were handed out: the next one is searched above, so none comes back soon
        self._addresses: dict[str, str] = {}  # cluster IP -> uid of its Service
        self._ports: dict[tuple[str, int], str] = {}  # protocol and node port -> uid
        self._random = random.Random(settings.block)  # noqa: S311 - only to choose a port
        self._queue: KeyedQueue[tuple[str, str]] = KeyedQueue("services", self._reconcile)
        self._end: Callable[[], None] | None = None

    def start(self) -> None:
        for service in self._registry.list("services"):
            self._take(service)
        self._registry.on_commit(self._on_commit)
        self._registry.admit("services", self._admit)
        self._end = self._registry.subscribe("services", self._on_service)

    async def stop(self) -> None:
        if self._end is not None:
            self._end()
        self._queue.stop()

    # ---- what is taken

    def _on_commit(self, resource: str, event: Event) -> None:
        if resource != "services":
            return
        if event.old is not None:
            self._free(event.old)
        if event.type != "DELETED":
            self._take(event.object)

    def _take(self, service: Obj) -> None:
        uid = service["metadata"]["uid"]
        for address in _addresses_of(service):
            self._addresses[address] = uid
        for port in _node_ports_of(service):
            self._ports[port] = uid

    def _free(self, service: Obj) -> None:
        for address in _addresses_of(service):
            self._addresses.pop(address, None)
        for port in _node_ports_of(service):
            self._ports.pop(port, None)

    # ---- in the write

    def _admit(self, new: Obj, old: Obj | None) -> Obj:
        spec = new.get("spec") or {}
        if old is not None and _ingress_of(new) and _ingress_of(new) != _ingress_of(old):
            _check_is_balancer(new)
        if old is not None and spec == old.get("spec"):
            return new
        if not all(isinstance(port.get("port"), int) for port in spec.get("ports") or ()):
            return new  # refused by the validation that follows
        found = self._admit_address(new)
        found += self._admit_node_ports(new, (old or {}).get("spec") or {})
        if found:
            raise invalid("", "Service", new["metadata"]["name"], found)
        return new

    def _admit_address(self, service: Obj) -> list[FieldError]:
        spec, uid = service["spec"], service["metadata"]["uid"]
        if spec.get("type") == "ExternalName":
            for name in ("clusterIP", "clusterIPs"):
                spec.pop(name, None)
            return []
        wanted = spec.get("clusterIP")
        if wanted == "None":
            return []
        if not wanted:
            spec["clusterIP"] = self._free_address()
            spec["clusterIPs"] = [spec["clusterIP"]]
            return []
        if self._addresses.get(wanted) == uid:
            return []
        if wanted in self._addresses:
            why = f"failed to allocate IP {wanted}: provided IP is already allocated"
            return [invalid_value("spec.clusterIPs", [wanted], why)]
        if not self._in_range(wanted):
            why = (
                f"failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid range. "
                f"The range of valid IPs is 127.{self._block}.0.0/17"
            )
            return [invalid_value("spec.clusterIPs", [wanted], why)]
        return []

    def _in_range(self, address: str) -> bool:
        parts = address.split(".")
        if len(parts) != 4 or not all(part.isdigit() for part in parts):
            return False
        first, second, third, fourth = map(int, parts)
        return (first, second) == (127, self._block) and third < _THIRD_BYTES and fourth in _HOSTS

    def _free_address(self) -> str:
        count = _THIRD_BYTES * len(_HOSTS)
        for _ in range(count):
            third, fourth = divmod(self._given % count, len(_HOSTS))
            self._given += 1
            address = f"127.{self._block}.{third}.{_HOSTS[fourth]}"
            if address not in self._addresses:
                return address
        raise RuntimeError("all cluster IPs are taken")

    def _admit_node_ports(self, service: Obj, before: Obj) -> list[FieldError]:
        spec, uid = service["spec"], service["metadata"]["uid"]
        former = {
            (port.get("protocol"), port["port"]): port["nodePort"]
            for port in before.get("ports") or ()
            if port.get("nodePort")
        }
        ports = spec.get("ports") or ()
        if not _has_node_ports(spec):
            found = []
            for index, port in enumerate(ports):
                if _has_node_ports(before) and port.get("nodePort") in former.values():
                    del port["nodePort"]
                elif port.get("nodePort"):
                    why = f"Forbidden: may not be used when `type` is '{spec.get('type')}'"
                    found.append(FieldError(f"spec.ports[{index}].nodePort", "FieldValueForbidden", why))
            return found
        # First what is asked for by number, so that none of it is given away to a port that asks for any.
        mine: set[tuple[str, int]] = set()
        found = []
        for index, port in enumerate(ports):
            if not port.get("nodePort") and (kept := former.get((port.get("protocol"), port["port"]))):
                port["nodePort"] = kept
            if not port.get("nodePort"):
                continue
            key = (port.get("protocol") or "TCP", port["nodePort"])
            holder = self._ports.get(key)
            if holder not in (None, uid) or key in mine:
                why = "provided port is already allocated"
                found.append(invalid_value(f"spec.ports[{index}].nodePort", port["nodePort"], why))
            elif port["nodePort"] not in NODE_PORTS:
                span = f"{NODE_PORTS[0]}-{NODE_PORTS[-1]}"
                why = f"provided port is not in the valid range. The range of valid ports is {span}"
                found.append(invalid_value(f"spec.ports[{index}].nodePort", port["nodePort"], why))
            mine.add(key)
        if found or (spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False):
            return found
        for port in ports:
            if not port.get("nodePort"):
                port["nodePort"] = self._free_node_port(port.get("protocol") or "TCP", mine)
                mine.add((port.get("protocol") or "TCP", port["nodePort"]))
        return []

    def _free_node_port(self, protocol: str, mine: set[tuple[str, int]]) -> int:
        """A port nobody asked for, and that nothing else on this machine holds: all nodes are this machine."""
        first = self._random.randrange(len(NODE_PORTS))
        for number in itertools.chain(NODE_PORTS[first:], NODE_PORTS[:first]):
            if (protocol, number) not in self._ports and (protocol, number) not in mine and _can_be_bound(number):
                return number
        raise RuntimeError("all node ports are taken")

    # ---- load balancers

    def _on_service(self, event: Event) -> None:
        metadata = event.object["metadata"]
        self._queue.mark((metadata["namespace"], metadata["name"]))

    def _reconcile(self, key: tuple[str, str]) -> None:
        service = self._registry.find("services", *key)
        if service is None or service["spec"].get("loadBalancerClass"):
            return  # a class names another implementation
        address = load_balancer_address(service)
        if address is not None and any(one.get("ip") != address for one in _ingress_of(service)):
            return  # somebody else serves it: what they wrote is theirs
        wanted: Obj = {"ingress": [{"ip": address}]} if address is not None else {}
        status = service.get("status") or {}
        if (status.get("loadBalancer") or {}) != wanted:
            again = {**service, "status": {**status, "loadBalancer": wanted}}
            self._registry.update("services", again, subresource="status", manager=MANAGER)


def has_cluster_ip(service: Obj) -> bool:
    return service["spec"].get("type") != "ExternalName" and service["spec"].get("clusterIP") not in (None, "", "None")


def load_balancer_address(service: Obj) -> str | None:
    """The outside address of a Service of type LoadBalancer: its cluster IP, moved to the upper half of the block."""
    if service["spec"].get("type") != "LoadBalancer" or not has_cluster_ip(service):
        return None
    first, second, third, fourth = service["spec"]["clusterIP"].split(".")
    return f"{first}.{second}.{int(third) + _THIRD_BYTES}.{fourth}"


def shown_address(service: Obj) -> str | None:
    """The outside address that localkube itself serves: none where somebody else has put theirs."""
    address = load_balancer_address(service)
    return address if {"ip": address} in _ingress_of(service) else None


def _ingress_of(service: Obj) -> list[Obj]:
    return ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []


def _check_is_balancer(service: Obj) -> None:
    if service["spec"].get("type") != "LoadBalancer":
        why = "Forbidden: may only be used when `spec.type` is 'LoadBalancer'"
        error = FieldError("status.loadBalancer.ingress", "FieldValueForbidden", why)
        raise invalid("", "Service", service["metadata"]["name"], [error])


def _has_node_ports(spec: Any) -> bool:
    return spec.get("type") in ("NodePort", "LoadBalancer")


def _addresses_of(service: Obj) -> list[str]:
    return [service["spec"]["clusterIP"]] if has_cluster_ip(service) else []


def _node_ports_of(service: Obj) -> Iterator[tuple[str, int]]:
    for port in service["spec"].get("ports") or ():
        if port.get("nodePort"):
            yield port.get("protocol") or "TCP", port["nodePort"]


def _can_be_bound(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((NODE_PORT_ADDRESS, port))
            attempt.listen(1)
        except OSError:
            return False
        return True
