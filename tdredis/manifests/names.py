"""Decides what every object is called and labelled: names that users' scripts and dashboards depend on.

Children that the Go operator made too: ConfigMap <name>, StatefulSets <name>-<i> (one a shard) or <name>, Service
<name>, predixy-<name> for all of the proxy, sentinel-<app> for the Sentinels.
"""

from __future__ import annotations

import re
from typing import Final

from tdredis.api.fields import API_VERSION
from tdredis.api.instance import Instance
from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.rediscluster import RedisCluster
from tdredis.api.redisstandby import RedisStandby

MANAGER: Final = "td-redis-operator"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
KIND_LABEL: Final = "cache.tongdun.net/kind"
MANAGED_BY_SELECTOR: Final = f"{MANAGED_BY_LABEL}={MANAGER}"
RESOURCE_LABEL: Final = "RESOURCE_ID"
# They tell whose a pod is: its StatefulSet, Services and budgets select by them, and so do our caches.
IDENTITY_LABELS: Final = frozenset((MANAGED_BY_LABEL, INSTANCE_LABEL, COMPONENT_LABEL, KIND_LABEL, RESOURCE_LABEL))

REDIS_COMPONENT: Final = "redis"
PROXY_COMPONENT: Final = "proxy"
SENTINEL_COMPONENT: Final = "sentinel"
REDIS_CONTAINER: Final = "redis"
EXPORTER_CONTAINER: Final = "exporter"
PROXY_CONTAINER: Final = "proxy"
SENTINEL_CONTAINER: Final = "sentinel"
ROLE_LABEL: Final = "cache.tongdun.net/role"  # of a Redis pod: primary or replica
# Annotation of a StatefulSet: the ordinal of a pod that it has beyond what spec asks for, while others are recreated.
SURPLUS: Final = "cache.tongdun.net/surplus"
SHARDS: Final = "cache.tongdun.net/shards"  # annotation: the size that a shard was made for
PASSWORD_KEY: Final = "password"  # noqa: S105 a key, not a password
PROXY_PASSWORD_KEY: Final = "proxy-password"  # noqa: S105 a key, not a password

_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def shard_names(cluster: RedisCluster) -> tuple[str, ...]:
    """Names of the StatefulSets, by shard."""
    return tuple(f"{cluster.name}-{index}" for index in range(cluster.spec.size))


def statefulset_names(instance: Instance) -> tuple[str, ...]:
    """Names of the StatefulSets of Redis pods, by shard."""
    return shard_names(instance) if isinstance(instance, RedisCluster) else (instance.name,)


def pods_per_statefulset(instance: Instance) -> int:
    match instance:
        case RedisCluster() | RedisStandby():
            return 1 + instance.spec.replicas
        case _:
            return 1


def pod_names(instance: Instance) -> tuple[str, ...]:
    """Names of all Redis pods."""
    count = pods_per_statefulset(instance)
    return tuple(f"{name}-{ordinal}" for name in statefulset_names(instance) for ordinal in range(count))


def sentinel_name(standby: RedisStandby) -> str:
    """StatefulSet and Service of the Sentinels."""
    return f"sentinel-{standby.spec.app}"


def sentinel_pod_names(standby: RedisStandby) -> tuple[str, ...]:
    return tuple(f"{sentinel_name(standby)}-{ordinal}" for ordinal in range(standby.spec.sentinel.replicas))


def replica_service_name(name: str) -> str:
    """The Service of a standby that leads to its replicas."""
    return f"{name}-ro"


def client_service_name(name: str) -> str:
    """The Service that leads to the primary; in a cluster, to the pods that own slots."""
    return name


def entrance_name(instance: Instance) -> str:
    """The Service whose address status tells clients."""
    behind_proxy = isinstance(instance, RedisCluster) and instance.spec.proxy.enabled
    return proxy_name(instance.name) if behind_proxy else client_service_name(instance.name)


def nodes_service_name(name: str) -> str:
    """The headless Service that gives pods their names."""
    return f"{name}-nodes"


def auth_secret_name(name: str) -> str:
    return f"{name}-auth"


def proxy_name(name: str) -> str:
    """Deployment, Service, ConfigMap and Secret of the proxy."""
    return f"predixy-{name}"


def build_labels(instance: Instance, component: str, *, shard: str | None = None) -> dict[str, JSON]:
    """Labels of a child; the Go operator's on Redis itself and Sentinels, RESOURCE_ID where it belongs to one shard.

    A value that is no legal label value (dc and env are free text) is left out: a label must never stop an instance.
    """
    labels = {
        "app.kubernetes.io/name": "redis",
        INSTANCE_LABEL: instance.name,
        COMPONENT_LABEL: component,
        MANAGED_BY_LABEL: MANAGER,
        KIND_LABEL: instance.KIND,
        **_labels_of_old(instance, component, shard),
    }
    return {name: value for name, value in labels.items() if _LABEL_VALUE.fullmatch(value)}


def _labels_of_old(instance: Instance, component: str, shard: str | None) -> dict[str, str]:
    app = instance.spec.app
    if component == PROXY_COMPONENT:
        return {"app": "predixy", "name": proxy_name(instance.name)}
    about = {"APP": app, "DC": instance.spec.dc, "ENV": instance.spec.env}
    if component == SENTINEL_COMPONENT:
        return {**about, "APPNAME": "sentinel", "CLUSTER": f"sentinel-{app}", "RESOURCE_ID": f"sentinel-{app}"}
    of_cluster = f"redis-{app}" if isinstance(instance, RedisCluster) else instance.name
    return {**about, "APPNAME": "redis", "CLUSTER": of_cluster, "RESOURCE_ID": shard or instance.name}


def build_owner(instance: Instance, *, controller: bool = True) -> JSONObject:
    """An ownerReference to *instance*: what has it is deleted with it."""
    found: JSONObject = {
        "apiVersion": API_VERSION,
        "kind": instance.KIND,
        "name": instance.name,
        "uid": instance.metadata.uid,
    }
    return {**found, "controller": True, "blockOwnerDeletion": True} if controller else found


def build_metadata(
    instance: Instance, name: str, component: str, *, shard: str | None = None, labels: dict[str, str] | None = None
) -> JSONObject:
    """metadata of a child: its name, labels, and the resource as its controller, so that deleting that deletes it."""
    return {
        "name": name,
        "namespace": instance.namespace,
        "labels": {**build_labels(instance, component, shard=shard), **(labels or {})},
        "ownerReferences": [build_owner(instance)],
    }
