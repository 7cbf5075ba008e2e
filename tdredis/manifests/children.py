"""Decides which objects make a RedisCluster, in an order in which each finds what it needs."""

from __future__ import annotations

import json
from typing import Final

from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.rediscluster import RedisCluster
from tdredis.manifests.drift import encode_data
from tdredis.manifests.names import (
    COMPONENT_LABEL,
    EXPORTER_CONTAINER,
    INSTANCE_LABEL,
    REDIS_COMPONENT,
    REDIS_CONTAINER,
    SHARDS,
    auth_secret_name,
    build_labels,
    build_metadata,
    client_service_name,
    nodes_service_name,
    pod_names,
    shard_names,
)
from tdredis.manifests.redis_config import build_auth_conf, build_redis_conf
from tdredis.manifests.site import Passwords, Site
from tdredis.manifests.start_scripts import REDIS

PORT: Final = 6379
BUS_PORT: Final = 16379
EXPORTER_PORT: Final = 9121
HOSTNAME_KEY: Final = "kubernetes.io/hostname"


def build_children(cluster: RedisCluster, site: Site, passwords: Passwords) -> tuple[JSONObject, ...]:
    """Everything but the proxy and the endpoints. Equal input gives equal output."""
    budgets = [build_budget(cluster, shard) for shard in shard_names(cluster)] if site.disruption_budgets else []
    return (
        build_config_map(cluster),
        build_auth_secret(cluster, passwords),
        build_client_service(cluster),
        build_nodes_service(cluster),
        *budgets,
        *(build_statefulset(cluster, site, shard) for shard in shard_names(cluster)),
    )


def build_config_map(cluster: RedisCluster) -> JSONObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": build_metadata(cluster, cluster.name, REDIS_COMPONENT),
        "data": {"redis.conf": build_redis_conf(cluster), "start.sh": REDIS},
    }


def build_auth_secret(cluster: RedisCluster, passwords: Passwords) -> JSONObject:
    """`exporter.json` is redis_exporter's password file: it looks a password up by the address that it scrapes."""
    exporter = {f"redis://{pod}:{PORT}": passwords.redis for pod in pod_names(cluster)}
    texts = {
        "auth.conf": build_auth_conf(passwords.redis),
        "exporter.json": json.dumps(exporter, sort_keys=True),
        "password": passwords.redis,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": build_metadata(cluster, auth_secret_name(cluster.name), REDIS_COMPONENT),
        "type": "Opaque",
        "data": encode_data(texts),
    }


def build_client_service(cluster: RedisCluster) -> JSONObject:
    """No selector: which pods own slots is Redis' to say, and the operator writes the endpoints."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": build_metadata(cluster, client_service_name(cluster.name), REDIS_COMPONENT),
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": "redis", "port": PORT, "protocol": "TCP", "targetPort": PORT}],
        },
    }


def build_nodes_service(cluster: RedisCluster) -> JSONObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": build_metadata(cluster, nodes_service_name(cluster.name), REDIS_COMPONENT),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            # Nodes meet each other before any of them is ready.
            "publishNotReadyAddresses": True,
            "selector": {INSTANCE_LABEL: cluster.name, COMPONENT_LABEL: REDIS_COMPONENT},
            "ports": [
                {"name": "redis", "port": PORT, "protocol": "TCP", "targetPort": PORT},
                {"name": "bus", "port": BUS_PORT, "protocol": "TCP", "targetPort": BUS_PORT},
            ],
        },
    }


def build_budget(cluster: RedisCluster, shard: str) -> JSONObject:
    """Of each shard one pod may be evicted at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _shard_metadata(cluster, shard),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"RESOURCE_ID": shard}}},
    }


def build_statefulset(cluster: RedisCluster, site: Site, shard: str) -> JSONObject:
    """One shard. OnDelete: the operator decides which pod goes when, so that a primary is handed over first."""
    spec: JSONObject = {
        "replicas": cluster.spec.pods_per_shard,
        "serviceName": nodes_service_name(cluster.name),
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"},
        "selector": {"matchLabels": {"RESOURCE_ID": shard}},
        "template": {
            "metadata": {
                "labels": build_labels(cluster, REDIS_COMPONENT, shard=shard),
                "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(EXPORTER_PORT)},
            },
            "spec": _build_pod_spec(cluster, site, shard),
        },
    }
    if cluster.spec.storage_class:
        spec["volumeClaimTemplates"] = [
            {
                "metadata": {"name": "redis-data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": cluster.spec.storage_class,
                    "resources": {"requests": {"storage": cluster.spec.storage.size}},
                },
            }
        ]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": _shard_metadata(cluster, shard),
        "spec": spec,
    }


def _shard_metadata(cluster: RedisCluster, shard: str) -> JSONObject:
    metadata = build_metadata(cluster, shard, REDIS_COMPONENT, shard=shard)
    return {**metadata, "annotations": {SHARDS: str(cluster.spec.size)}}


def _build_pod_spec(cluster: RedisCluster, site: Site, shard: str) -> JSONObject:
    volumes: list[JSON] = [
        {"name": "config", "configMap": {"name": cluster.name}},
        {"name": "auth", "secret": {"secretName": auth_secret_name(cluster.name)}},
    ]
    if not cluster.spec.storage_class:
        volumes.append({"name": "redis-data", "emptyDir": {}})
    spec: JSONObject = {
        "terminationGracePeriodSeconds": 30,
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        # The name of old: sites with a private registry have it; where it does not exist it does no harm.
        "imagePullSecrets": [{"name": "harbor-secret"}],
        "containers": [_build_redis(cluster, site), _build_exporter(cluster, site)],
        "volumes": volumes,
    }
    affinity = _build_affinity(cluster, shard)
    if affinity:
        spec["affinity"] = affinity
    return spec


def _build_redis(cluster: RedisCluster, site: Site) -> JSONObject:
    container: JSONObject = {
        "name": REDIS_CONTAINER,
        "image": site.image(cluster.spec.image),
        "command": ["sh", "/etc/tdredis/start.sh"],
        "env": [_field("POD_IP", "status.podIP")],
        "ports": [
            {"name": "redis", "containerPort": PORT, "protocol": "TCP"},
            {"name": "bus", "containerPort": BUS_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1, "failureThreshold": 3},
        # Generous: a Redis that is busy for a minute must not be killed for it.
        "livenessProbe": {
            "tcpSocket": {"port": PORT},
            "initialDelaySeconds": 20,
            "periodSeconds": 10,
            "failureThreshold": 6,
        },
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/tdredis"},
            {"name": "auth", "mountPath": "/etc/tdredis-auth"},
            {"name": "redis-data", "mountPath": "/data"},
        ],
    }
    if cluster.spec.env == "production":
        container["resources"] = {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}
    return container


def _build_exporter(cluster: RedisCluster, site: Site) -> JSONObject:
    return {
        "name": EXPORTER_CONTAINER,
        "image": site.image(cluster.spec.monitor_image),
        "env": [
            _field("POD_IP", "status.podIP"),
            _field("POD_NAME", "metadata.name"),
            {"name": "REDIS_ADDR", "value": f"redis://$(POD_NAME):{PORT}"},
            {"name": "REDIS_PASSWORD_FILE", "value": "/etc/tdredis-auth/exporter.json"},
            {"name": "REDIS_EXPORTER_WEB_LISTEN_ADDRESS", "value": f"[$(POD_IP)]:{EXPORTER_PORT}"},
        ],
        "ports": [{"name": "metrics", "containerPort": EXPORTER_PORT, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "100m", "memory": "200Mi"}, "requests": {"cpu": "10m", "memory": "20Mi"}},
        "volumeMounts": [{"name": "auth", "mountPath": "/etc/tdredis-auth"}],
    }


def _field(name: str, path: str) -> JSONObject:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _build_affinity(cluster: RedisCluster, shard: str) -> JSONObject:
    """production: one Redis pod of the app on a node. staging: pods of a shard apart, the rest if possible."""
    app: JSONObject = {
        "labelSelector": {"matchLabels": {"APP": cluster.spec.app, COMPONENT_LABEL: REDIS_COMPONENT}},
        "topologyKey": HOSTNAME_KEY,
    }
    same_shard: JSONObject = {
        "labelSelector": {"matchLabels": {"RESOURCE_ID": shard}},
        "topologyKey": HOSTNAME_KEY,
    }
    required, preferred = (
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    )
    match cluster.spec.env:
        case "production":
            return {"podAntiAffinity": {required: [app]}}
        case "staging":
            return {"podAntiAffinity": {required: [same_shard], preferred: [{"weight": 100, "podAffinityTerm": app}]}}
        case _:
            return {}
