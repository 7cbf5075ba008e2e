"""Who may connect where a policy is asked for; what Prometheus is told."""

from __future__ import annotations

from typing import Any

import pytest

from tdredis.api.instance import Instance
from tdredis.manifests.names import build_labels
from tdredis.manifests.network_policy import build_network_policies
from tdredis.manifests.pod_monitor import build_pod_monitors
from tdredis.manifests.site import Site
from tests.kit.builders import sample, standalone, standby

ON: dict[str, Any] = {"networkPolicy": {"enabled": True}}
PEER = {"namespaceSelector": {"matchLabels": {"team": "a"}}}


def reachable(instance: Instance, component: str) -> list[tuple[int, str]]:
    """Ports of a pod of *component* that are open by some rule, and to whom: everybody, peer, or own."""
    found = set()
    labels = build_labels(instance, component)
    for policy in build_network_policies(instance):
        spec: Any = policy["spec"]
        selector = spec["podSelector"]
        selected = selector["matchLabels"].items() <= labels.items() and all(
            labels[each["key"]] in each["values"] for each in selector.get("matchExpressions", ())
        )
        for rule in spec["ingress"] if selected else ():
            who = "everybody" if "from" not in rule else "peer" if rule["from"] == [PEER] else "own"
            found |= {(port["port"], who) for port in rule.get("ports", [{"port": 0}])}
    return sorted(found)


OWN, METRICS = (0, "own"), (9121, "everybody")


@pytest.mark.parametrize(
    ("instance", "component", "expected"),
    [
        (sample(**ON), "redis", [OWN, METRICS]),
        (sample(**ON), "proxy", [OWN, (6379, "everybody"), (6380, "everybody"), METRICS]),
        (sample(**ON, proxy={"enabled": False}), "redis", [OWN, (6379, "everybody"), METRICS]),
        (
            sample(**ON, proxy={"enabled": False}, netmode="NodePort"),
            "redis",
            [OWN, (6379, "everybody"), METRICS, (16379, "everybody")],
        ),
        (
            standby(networkPolicy={"enabled": True, "allowFrom": [PEER]}),
            "redis",
            [OWN, (6379, "peer"), METRICS, (26379, "peer")],
        ),
        (standby(**ON), "sentinel", [OWN, (6379, "everybody"), METRICS, (26379, "everybody")]),
        (standalone(**ON), "redis", [OWN, (6379, "everybody"), METRICS]),
        (standalone(), "redis", []),
    ],
)
def test_only_what_clients_are_for_is_open_to_them(
    instance: Instance, component: str, expected: list[tuple[int, str]]
) -> None:
    assert reachable(instance, component) == expected


def test_the_operator_may_connect_from_any_namespace() -> None:
    inner: Any = build_network_policies(standby(**ON))[0]

    (rule, _) = inner["spec"]["ingress"]
    assert rule["from"] == [
        {"podSelector": {"matchLabels": inner["spec"]["podSelector"]["matchLabels"]}},
        {
            "namespaceSelector": {},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "td-redis-operator"}},
        },
    ]


def test_a_pod_monitor_is_made_where_it_is_asked_for_and_served() -> None:
    served = Site(pod_monitors=True)

    (monitor,) = build_pod_monitors(sample(podMonitor=True), served)
    spec: Any = monitor["spec"]
    assert spec["podTargetLabels"] == ["app.kubernetes.io/managed-by"], "alerts ask for it"
    assert build_pod_monitors(sample(podMonitor=True), Site()) == ()
    assert build_pod_monitors(sample(), served) == ()
