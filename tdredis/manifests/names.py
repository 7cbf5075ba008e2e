"""Decides what every object is called and labelled: names that users' scripts and dashboards depend on.

Children of old: ConfigMap <name>, StatefulSets <name>-<i>, Service <name>, and predixy-<name> for all of the proxy.
"""

from __future__ import annotations

import re
from typing import Final

from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.rediscluster import API_VERSION, KIND, RedisCluster

MANAGER: Final = "td-redis-operator"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
KIND_LABEL: Final = "cache.tongdun.net/kind"
MANAGED_BY_SELECTOR: Final = f"{MANAGED_BY_LABEL}={MANAGER}"

REDIS_COMPONENT: Final = "redis"
PROXY_COMPONENT: Final = "proxy"
REDIS_CONTAINER: Final = "redis"
EXPORTER_CONTAINER: Final = "exporter"
PROXY_CONTAINER: Final = "proxy"
SHARDS: Final = "cache.tongdun.net/shards"  # annotation: the size that a shard was made for
PROXY_PASSWORD_KEY: Final = "proxy-password"  # noqa: S105 a key, not a password

_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def shard_names(cluster: RedisCluster) -> tuple[str, ...]:
    """Names of the StatefulSets, by shard."""
    return tuple(f"{cluster.name}-{index}" for index in range(cluster.spec.size))


def pod_names(cluster: RedisCluster) -> tuple[str, ...]:
    """Names of all Redis pods."""
    return tuple(
        f"{shard}-{ordinal}" for shard in shard_names(cluster) for ordinal in range(cluster.spec.pods_per_shard)
    )


def client_service_name(name: str) -> str:
    """The Service whose endpoints own slots."""
    return name


def nodes_service_name(name: str) -> str:
    """The headless Service that gives pods their names."""
    return f"{name}-nodes"


def auth_secret_name(name: str) -> str:
    return f"{name}-auth"


def proxy_name(name: str) -> str:
    """Deployment, Service, ConfigMap and Secret of the proxy."""
    return f"predixy-{name}"


def build_labels(cluster: RedisCluster, component: str, *, shard: str | None = None) -> dict[str, JSON]:
    """Labels of a child; those of old on what Redis itself needs, RESOURCE_ID where it belongs to one shard.

    A value that is no legal label value (dc and env are free text) is left out: a label must never stop a cluster.
    """
    labels = {
        "app.kubernetes.io/name": "redis",
        INSTANCE_LABEL: cluster.name,
        COMPONENT_LABEL: component,
        MANAGED_BY_LABEL: MANAGER,
        KIND_LABEL: KIND,
    }
    if component == REDIS_COMPONENT:
        labels |= {
            "APPNAME": "redis",
            "APP": cluster.spec.app,
            "CLUSTER": f"redis-{cluster.spec.app}",
            "DC": cluster.spec.dc,
            "ENV": cluster.spec.env,
            "RESOURCE_ID": shard or cluster.name,
        }
    else:
        labels |= {"app": "predixy", "name": proxy_name(cluster.name)}
    return {name: value for name, value in labels.items() if _LABEL_VALUE.fullmatch(value)}


def build_metadata(
    cluster: RedisCluster, name: str, component: str, *, shard: str | None = None, labels: dict[str, str] | None = None
) -> JSONObject:
    """metadata of a child: its name, labels, and the resource as its controller, so that deleting that deletes it."""
    return {
        "name": name,
        "namespace": cluster.namespace,
        "labels": {**build_labels(cluster, component, shard=shard), **(labels or {})},
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": cluster.name,
                "uid": cluster.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
