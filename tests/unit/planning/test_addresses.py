"""Which address a pod tells others, by type of its Service and by what the API server has given to that so far."""

from __future__ import annotations

from typing import Any

import pytest

from tdredis.planning.addresses import external_target
from tdredis.planning.live import Live
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import ClusterSnapshot, PodFacts
from tdredis.redis.facts import Announced
from tests.kit.builders import PASSWORDS, SITE, sample

POD = PodFacts(name="p-0", uid="u", created=0.0, ip="10.0.0.1", host_ip="192.168.0.7")


def service(kind: str, *, ports: tuple[int, ...] = (30001, 30002), ingress: object = None) -> Any:
    names = (("redis", 6379), ("bus", 16379))
    listed = [
        {"name": name, "port": port, "nodePort": outside} for (name, port), outside in zip(names, ports, strict=False)
    ]
    return {
        "spec": {"type": kind, "ports": listed},
        "status": {"loadBalancer": {"ingress": [ingress]} if ingress else {}},
    }


@pytest.mark.parametrize(
    ("spec", "live", "expected"),
    [
        ({"netmode": "NodePort"}, None, None),
        ({"netmode": "NodePort"}, service("ClusterIP"), None),
        ({"netmode": "NodePort"}, service("NodePort", ports=(30001,)), None),
        ({"netmode": "NodePort"}, service("NodePort"), Announced(host="192.168.0.7", port=30001, bus_port=30002)),
        (
            {"netmode": "NodePort", "vip": "172.17.0.1"},
            service("NodePort"),
            Announced(host="172.17.0.1", port=30001, bus_port=30002),
        ),
        (
            {"netmode": "NodePort", "vip": "FD00:0:0::1"},  # Redis says fd00::1
            service("NodePort"),
            Announced(host="fd00::1", port=30001, bus_port=30002),
        ),
        ({"netmode": "NodePort", "vip": "redis.example"}, service("NodePort"), "vip_is_an_ip"),
        ({"netmode": "LoadBalancer"}, service("LoadBalancer"), None),
        (
            {"netmode": "LoadBalancer", "vip": "172.17.0.1"},
            service("LoadBalancer", ingress={"ip": "203.0.113.5"}),
            Announced(host="203.0.113.5", port=6379, bus_port=16379),
        ),
        ({"netmode": "LoadBalancer"}, service("LoadBalancer", ingress={"hostname": "x.example"}), "balancer_has_an_ip"),
    ],
)
def test_a_pod_is_where_its_own_service_leads_once_that_has_an_address(
    spec: dict[str, Any], live: Any, expected: Announced | str | None
) -> None:
    snapshot = ClusterSnapshot(now=0.0, site=SITE, passwords=PASSWORDS, cluster=sample(**spec))

    found = external_target(snapshot.cluster.spec, POD, Live.of(live) if live else None, ("redis", "bus"))

    assert (found.guard if isinstance(found, Hold) else found) == expected


def test_one_port_is_no_bus() -> None:
    snapshot = ClusterSnapshot(now=0.0, site=SITE, passwords=PASSWORDS, cluster=sample(netmode="NodePort"))

    found = external_target(snapshot.cluster.spec, POD, Live.of(service("NodePort", ports=(30001,))), ("redis",))

    assert found == Announced(host="192.168.0.7", port=30001)
