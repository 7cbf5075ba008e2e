"""The names that a resource takes are those of the objects that are built for it."""

from __future__ import annotations

import pytest

from tdredis.api.instance import Instance
from tdredis.api.rediscluster import RedisCluster
from tdredis.manifests.children import build_children
from tdredis.manifests.derived import derived_names
from tdredis.manifests.proxy import build_proxy_access, build_proxy_deployment
from tdredis.manifests.replication import build_replication_children
from tdredis.manifests.services import build_external_services
from tests.kit.builders import PASSWORDS, SITE, sample, standalone, standby

# Named after a StatefulSet, a Service or the resource, of which each has its own.
FOLLOW = {"PodDisruptionBudget", "EndpointSlice", "NetworkPolicy", "PodMonitor"}


def built(instance: Instance) -> set[tuple[str, str]]:
    if isinstance(instance, RedisCluster):
        proxy = (
            *build_proxy_access(instance, SITE, PASSWORDS, "10.0.0.1", secret_version="1"),
            build_proxy_deployment(instance, SITE, PASSWORDS, "10.0.0.1", secret_version="1"),
        )
        found = (*build_children(instance, SITE, PASSWORDS), *(proxy if instance.spec.proxy.enabled else ()))
    else:
        found = build_replication_children(instance, SITE, PASSWORDS)  # type: ignore[arg-type]
    manifests = (*found, *build_external_services(instance))
    return {(str(each["kind"]), each["metadata"]["name"]) for each in manifests}  # type: ignore[index, call-overload, misc]


@pytest.mark.parametrize(
    "instance",
    [
        sample(size=5),
        sample(proxy={"enabled": False}, netmode="NodePort", vip="1.2.3.4"),
        standby(replicas=2),
        standby(sentinel={"external": True, "replicas": 5}, netmode="LoadBalancer"),
        standalone(),
    ],
    ids=["cluster", "cluster outside", "standby", "standby outside", "standalone"],
)
def test_every_object_s_name_is_among_them(instance: Instance) -> None:
    assert {each for each in built(instance) if each[0] not in FOLLOW} == derived_names(instance)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (standby("redis-a"), standby("redis-b"), {("StatefulSet", "sentinel-standby-tom")}),
        (standby("redis-a"), sample("redis-a"), {("Service", "redis-a"), ("ConfigMap", "redis-a")}),
        (standby("redis-a"), standalone("redis-a-ro"), {("Service", "redis-a-ro")}),
        (standby("redis-a", app="tom"), standalone("sentinel-tom"), {("Service", "sentinel-tom")}),
        (sample("redis-a"), standalone("redis-a-0"), {("StatefulSet", "redis-a-0")}),
        (sample("redis-a"), standalone("predixy-redis-a"), {("Service", "predixy-redis-a")}),
        (standby("redis-a"), standby("redis-b", app="bob"), set()),
    ],
)
def test_two_resources_that_want_one_name(one: Instance, other: Instance, shared: set[tuple[str, str]]) -> None:
    both = derived_names(one) & derived_names(other)

    assert shared <= both
    assert bool(both) is bool(shared)
