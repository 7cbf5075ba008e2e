"""Decides which address a pod tells others where clients from outside are sent from pod to pod: its own Service's."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from tdredis.api.instance import InstanceSpec
from tdredis.planning.live import Live
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import PodFacts
from tdredis.redis.facts import Announced
from tdredis.redis.ports import REDIS_PORT


def external_target(
    spec: InstanceSpec, pod: PodFacts, service: Live | None, port_names: Sequence[str]
) -> Announced | Hold | None:
    """Where others reach *pod* by its own *service*: the ports of *port_names*, of which the second, if there is one,
    is the cluster bus. None: there is no such address yet. A Hold: there will be none until a person does something.
    """
    if service is None or service.service.type != spec.net_mode:
        return None
    ports = {port.name: port for port in service.service.ports}
    if not all(name in ports for name in port_names):
        return None
    if spec.net_mode == "NodePort":
        numbers = [ports[name].node_port for name in port_names]
        return _at(spec.vip or pod.host_ip, numbers, guard="vip_is_an_ip", field="vip")
    numbers = [ports[name].port for name in port_names]
    return _at(service.balancer_address, numbers, guard="balancer_has_an_ip", field="the balancer")


def leads_from(service: Live, host: str, port: int) -> bool:
    """Whether a pod's own *service* is what takes connections at *host* and *port*."""
    ports = service.service.ports
    if port in [each.node_port for each in ports if each.node_port]:
        return True
    return host == service.balancer_address and port in [each.port for each in ports]


def resting_place(pod: PodFacts, *, port: int = REDIS_PORT) -> Announced:
    """What the start script has a process announce: its pod's own address."""
    return Announced(host=pod.ip or "", port=port)


def _at(host: str | None, ports: list[int], *, guard: str, field: str) -> Announced | Hold | None:
    if not host or not all(ports):
        return None
    try:
        host = str(ip_address(host))  # as Redis and Sentinels write it: fd00:0::1 would never be what they say
    except ValueError:
        advice = "write its IP address" if field == "vip" else "use one that has an IP address, or netmode: NodePort"
        why = f"Redis knows others by IP address only, and {field} is the name {host!r}: {advice}"
        return Hold(guard=guard, about="spec", why=why)
    return Announced(host=host, port=ports[0], bus_port=ports[1] if len(ports) > 1 else 0)
