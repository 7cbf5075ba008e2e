"""Decides which address a pod tells others where clients from outside are sent from pod to pod: its own Service's."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from tdredis.api.json_object import JSON, JSONObject
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import PodFacts, Snapshot
from tdredis.redis.facts import Announced


def external_target(
    snapshot: Snapshot, pod: PodFacts, service: JSONObject | None, port_names: Sequence[str]
) -> Announced | Hold | None:
    """Where others reach *pod* by its own *service*: the ports of *port_names*, of which the second, if there is one,
    is the cluster bus. None: there is no such address yet. A Hold: there will be none until a person does something.
    """
    spec = snapshot.resource.spec
    live = service.get("spec") if service else None
    if not isinstance(live, dict) or live.get("type") != spec.net_mode:
        return None
    if spec.net_mode == "NodePort":
        ports = _ports(live, port_names, "nodePort")
        return _at(spec.vip or pod.host_ip, ports, guard="vip_is_an_ip", field="vip")
    assert service is not None  # noqa: S101 live is a part of it
    return _at(_balancer(service), _ports(live, port_names, "port"), guard="balancer_has_an_ip", field="the balancer")


def leads_from(service: JSONObject, host: str, port: int) -> bool:
    """Whether a pod's own *service* is what takes connections at *host* and *port*."""
    live = service.get("spec")
    ports = live.get("ports") if isinstance(live, dict) else None
    listed = [each for each in ports if isinstance(each, dict)] if isinstance(ports, list) else []
    if port in [each.get("nodePort") for each in listed]:
        return True
    return host == _balancer(service) and port in [each.get("port") for each in listed]


def resting_place(pod: PodFacts, *, port: int = 6379) -> Announced:
    """What the start script has a process announce: its pod's own address."""
    return Announced(host=pod.ip or "", port=port)


def _at(host: str | None, ports: list[int], *, guard: str, field: str) -> Announced | Hold | None:
    if not host or not ports:
        return None
    try:
        host = str(ip_address(host))  # as Redis and Sentinels write it: fd00:0::1 would never be what they say
    except ValueError:
        advice = "write its IP address" if field == "vip" else "use one that has an IP address, or netmode: NodePort"
        why = f"Redis knows others by IP address only, and {field} is the name {host!r}: {advice}"
        return Hold(guard=guard, why=why)
    return Announced(host=host, port=ports[0], bus_port=ports[1] if len(ports) > 1 else 0)


def _ports(live: JSONObject, names: Sequence[str], field: str) -> list[int]:
    """*field* of the ports called *names*, in that order; empty while one of them has none."""
    ports = live.get("ports")
    by_name: dict[str, JSON] = {}
    for port in ports if isinstance(ports, list) else ():
        if isinstance(port, dict) and isinstance(name := port.get("name"), str):
            by_name[name] = port.get(field)
    found = [by_name.get(name) for name in names]
    numbers = [number for number in found if isinstance(number, int) and number]
    return numbers if len(numbers) == len(names) else []


def _balancer(service: JSONObject) -> str | None:
    """ip of the load balancer, else its hostname; None: none yet."""
    match service.get("status"):
        case {"loadBalancer": {"ingress": [{**first}, *_]}}:
            found = first.get("ip") or first.get("hostname")
            return str(found) if found else None
        case _:
            return None
