"""What spec.service says holds for the Services that netmode is about, and only where Kubernetes takes it."""

from __future__ import annotations

from typing import Any

import pytest

from tdredis.api.instance import Instance
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.proxy import build_proxy_service
from tdredis.manifests.redis_pods import build_redis_statefulset
from tdredis.manifests.services import (
    build_client_service,
    build_external_services,
    build_nodes_service,
    build_replica_service,
    build_sentinel_service,
)
from tests.kit.builders import SITE, sample, standalone, standby

SERVICE = {
    "annotations": {"example.com/internal": "true"},
    "loadBalancerClass": "example.com/l4",
    "loadBalancerSourceRanges": ["10.0.0.0/8"],
    "externalTrafficPolicy": "Local",
}
OF_BALANCERS = {
    "loadBalancerClass": "example.com/l4",
    "loadBalancerSourceRanges": ["10.0.0.0/8"],
    "externalTrafficPolicy": "Local",
}
OF_NODES = {"externalTrafficPolicy": "Local"}


def settings(service: Any) -> dict[str, Any]:
    return {name: service["spec"][name] for name in OF_BALANCERS if name in service["spec"]}


@pytest.mark.parametrize(
    ("netmode", "expected"), [("ClusterIP", {}), ("NodePort", OF_NODES), ("LoadBalancer", OF_BALANCERS)]
)
def test_a_service_has_what_its_type_may_have(netmode: str, expected: dict[str, Any]) -> None:
    services: list[Any] = [
        build_client_service(standby(netmode=netmode, service=SERVICE)),
        build_client_service(standalone(netmode=netmode, service=SERVICE)),
        build_client_service(sample(netmode=netmode, service=SERVICE, proxy={"enabled": False})),
        build_proxy_service(sample(netmode=netmode, service=SERVICE), SITE),
        build_sentinel_service(standby(netmode=netmode, service=SERVICE, sentinel={"external": True})),
        *build_external_services(standby(netmode=netmode, service=SERVICE, sentinel={"external": True})),
    ]

    assert [settings(service) for service in services] == [expected] * len(services)
    assert {service["metadata"]["annotations"]["example.com/internal"] for service in services} == {"true"}


def test_services_that_netmode_is_not_about_have_nothing_of_it() -> None:
    cluster = sample(netmode="LoadBalancer", service=SERVICE)
    pair = standby(netmode="LoadBalancer", service=SERVICE)
    inside: list[Any] = [
        build_client_service(cluster),  # who is outside goes by the proxy's
        build_nodes_service(cluster),
        build_replica_service(pair),
        build_sentinel_service(pair),
    ]

    assert [settings(service) for service in inside] == [{}] * 4
    assert [service["metadata"].get("annotations") for service in inside] == [None] * 4


@pytest.mark.parametrize(
    "instance", [sample(netmode="LoadBalancer", proxy={"enabled": False}), standby(netmode="NodePort")]
)
def test_a_service_of_which_nothing_is_said_is_as_it_was(instance: Instance) -> None:
    found: Any = build_client_service(instance)

    assert set(found["spec"]) == {"type", "ports"}
    assert "annotations" not in found["metadata"]


@pytest.mark.parametrize(
    ("exporter", "expected"),
    [
        ({}, {"requests": {"cpu": "10m", "memory": "20Mi"}, "limits": {"cpu": "100m", "memory": "200Mi"}}),
        ({"resources": {}}, {}),
        ({"resources": {"limits": {"memory": "300Mi", "cpu": 1}}}, {"limits": {"memory": "300Mi", "cpu": "1"}}),
    ],
)
def test_the_exporter_has_the_resources_that_spec_gives_it(exporter: Any, expected: dict[str, Any]) -> None:
    pair: RedisStandby = standby(exporter=exporter)
    made: Any = build_redis_statefulset(pair, SITE, pair.name)
    containers = {each["name"]: each for each in made["spec"]["template"]["spec"]["containers"]}

    assert containers["exporter"]["resources"] == expected
