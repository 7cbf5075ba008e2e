"""Decides which names in its namespace a resource takes for itself: two resources may want the same one."""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.api.instance import Instance
from tdredis.api.rediscluster import RedisCluster
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.names import (
    auth_secret_name,
    client_service_name,
    nodes_service_name,
    pod_names,
    proxy_name,
    replica_service_name,
    sentinel_name,
    sentinel_pod_names,
    statefulset_names,
)
from tdredis.manifests.services import has_external_pods


def derived_names(instance: Instance) -> frozenset[tuple[str, str]]:
    """Kind and name of its objects; of those that are named after another of them, only that one."""
    return frozenset(_names(instance))


def _names(instance: Instance) -> Iterator[tuple[str, str]]:
    name = instance.name
    yield "ConfigMap", name
    yield "Secret", auth_secret_name(name)
    yield "Service", client_service_name(name)
    yield "Service", nodes_service_name(name)
    for statefulset in statefulset_names(instance):
        yield "StatefulSet", statefulset
    if isinstance(instance, RedisStandby):
        sentinels = sentinel_name(instance)
        yield "Service", replica_service_name(name)
        yield "Service", sentinels
        yield "Service", nodes_service_name(sentinels)
        yield "StatefulSet", sentinels
    if isinstance(instance, RedisCluster) and instance.spec.proxy.enabled:
        for kind in ("Deployment", "Service", "ConfigMap", "Secret"):
            yield kind, proxy_name(name)
    if has_external_pods(instance):
        sentinels_too = sentinel_pod_names(instance) if isinstance(instance, RedisStandby) else ()
        for pod in (*pod_names(instance), *sentinels_too):
            yield "Service", pod
