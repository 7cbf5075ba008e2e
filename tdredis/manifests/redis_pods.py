"""Decides what runs in a Redis pod of any kind, which volume it has, and how many of a shard's pods there are."""

from __future__ import annotations

from typing import Final

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.rediscluster import RedisCluster
from tdredis.api.redisstandalone import RedisStandalone
from tdredis.manifests.asked import ASKED, asked_for, build_asked
from tdredis.manifests.claims import CLAIM, build_claim_template
from tdredis.manifests.names import (
    COMPONENT_LABEL,
    EXPORTER_CONTAINER,
    REDIS_COMPONENT,
    REDIS_CONTAINER,
    SHARDS,
    auth_secret_name,
    build_metadata,
    nodes_service_name,
    pods_per_statefulset,
)
from tdredis.manifests.pods import PREFERRED, REQUIRED, build_apart, build_field, build_pod_template, build_resources
from tdredis.manifests.site import Site
from tdredis.redis.ports import BUS_PORT, EXPORTER_PORT, REDIS_PORT

METRICS_PORT_NAME: Final = "metrics"
_CPU: Final = "cpu"
_EXPORTER_RESOURCES: Final[JSONObject] = {
    "limits": {"cpu": "100m", "memory": "200Mi"},
    "requests": {"cpu": "10m", "memory": "20Mi"},
}
# A primary without anybody in sync waits for that before it goes (stop.sh); others go at once. What is deleted while it
# hangs is to be gone within a minute all the same.
GRACE_S: Final = 50
_ALONE_GRACE_S: Final = 30  # a standalone waits for nobody; what else it needs is asked for when it is recreated
# A replica is ready when it has its primary's data: budgets count with that, whether an operator is there or not.
_READINESS: Final[JSONObject] = {
    "exec": {"command": ["sh", "/etc/tdredis/ready.sh"]},
    "periodSeconds": 2,
    "timeoutSeconds": 10,
    "failureThreshold": 3,
}


def build_redis_statefulset(instance: Instance, site: Site, shard: str) -> JSONObject:
    """One shard. OnDelete: the operator decides which pod goes when, so that a primary is handed over first."""
    spec: JSONObject = {
        "replicas": pods_per_statefulset(instance),
        "serviceName": nodes_service_name(instance.name),
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"},
        "selector": {"matchLabels": {"RESOURCE_ID": shard}},
        "template": _build_template(instance, site, shard),
    }
    if instance.spec.storage_class:
        spec["volumeClaimTemplates"] = [build_claim_template(instance, shard)]
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": _shard_metadata(instance, shard), "spec": spec}


def build_redis_budget(instance: Instance, shard: str) -> JSONObject:
    """Of each shard one pod may be evicted at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _shard_metadata(instance, shard),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"RESOURCE_ID": shard}}},
    }


def container_resources(instance: Instance) -> tuple[dict[str, str], dict[str, str]]:
    """Requests and limits of the Redis container: what resources says; CPUs by env where it says nothing of them;
    memory by capacity where memoryOverheadPercent asks for that.
    """
    settings = instance.spec.resources
    requests = {name: str(value) for name, value in settings.requests.items()}
    limits = {name: str(value) for name, value in settings.limits.items()}
    if instance.spec.env == "production" and _CPU not in requests and _CPU not in limits:
        requests[_CPU] = limits[_CPU] = "2"
    overhead_percent = instance.spec.memory_overhead_percent
    if overhead_percent is not None and instance.spec.maxmemory_mib:
        mib = -(-instance.spec.maxmemory_mib * (100 + overhead_percent) // 100)
        requests["memory"] = limits["memory"] = f"{mib}Mi"
    return requests, limits


def grace_of(instance: Instance) -> int:
    """Seconds that a Redis pod is given to end by its template, whoever deletes it."""
    return _ALONE_GRACE_S if isinstance(instance, RedisStandalone) else GRACE_S


def _shard_metadata(instance: Instance, shard: str) -> JSONObject:
    metadata = build_metadata(instance, shard, REDIS_COMPONENT, shard=shard)
    if isinstance(instance, RedisCluster):
        metadata["annotations"] = {SHARDS: str(instance.spec.size)}
    return metadata


def _build_template(instance: Instance, site: Site, shard: str) -> JSONObject:
    volumes: list[JSONObject] = [
        {"name": "config", "configMap": {"name": instance.name}},
        {"name": "auth", "secret": {"secretName": auth_secret_name(instance.name)}},
    ]
    if not instance.spec.storage_class:
        volumes.append({"name": CLAIM, "emptyDir": {}})
    asked = asked_for(*container_resources(instance))
    containers, annotations = [_build_redis(instance, site)], {ASKED: build_asked(asked)}
    if instance.spec.monitor_image:
        containers.append(_build_exporter(instance, site))
        annotations |= {"prometheus.io/scrape": "true", "prometheus.io/port": str(EXPORTER_PORT)}
    return build_pod_template(
        instance,
        REDIS_COMPONENT,
        instance.spec.pod,
        containers=containers,
        volumes=volumes,
        pull_secret=site.pull_secret,
        affinity=_build_affinity(instance, shard),
        annotations=annotations,
        shard=shard,
        grace_s=grace_of(instance),
    )


def _build_redis(instance: Instance, site: Site) -> JSONObject:
    ports: list[JSON] = [{"name": "redis", "containerPort": REDIS_PORT, "protocol": "TCP"}]
    if isinstance(instance, RedisCluster):
        ports.append({"name": "bus", "containerPort": BUS_PORT, "protocol": "TCP"})
    requests, limits = container_resources(instance)
    resources: JSONObject = {name: {**part} for name, part in (("requests", requests), ("limits", limits)) if part}
    return {
        "name": REDIS_CONTAINER,
        "image": site.image(instance.spec.image),
        "command": ["sh", "/etc/tdredis/start.sh"],
        "env": [build_field("POD_IP", "status.podIP")],
        "ports": ports,
        **build_probes(REDIS_PORT),
        "readinessProbe": _READINESS,
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/tdredis"},
            {"name": "auth", "mountPath": "/etc/tdredis-auth"},
            {"name": CLAIM, "mountPath": "/data"},
        ],
        **({"resources": resources} if resources else {}),
        **_build_lifecycle(instance),
    }


def _build_lifecycle(instance: Instance) -> JSONObject:
    """A standalone has nobody to hand over to."""
    if isinstance(instance, RedisStandalone):
        return {}
    return {"lifecycle": {"preStop": {"exec": {"command": ["sh", "/etc/tdredis/stop.sh"]}}}}


def build_probes(port: int) -> JSONObject:
    """Probes of a Redis or Sentinel process."""
    return {
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1, "failureThreshold": 3},
        # Generous: a Redis that is busy for a minute must not be killed for it.
        "livenessProbe": {
            "tcpSocket": {"port": port},
            "initialDelaySeconds": 20,
            "periodSeconds": 10,
            "failureThreshold": 6,
        },
    }


def _build_exporter(instance: Instance, site: Site) -> JSONObject:
    resources = instance.spec.exporter.resources
    return {
        "name": EXPORTER_CONTAINER,
        "image": site.image(instance.spec.monitor_image),
        "env": [
            build_field("POD_IP", "status.podIP"),
            build_field("POD_NAME", "metadata.name"),
            {"name": "REDIS_ADDR", "value": f"redis://$(POD_NAME):{REDIS_PORT}"},
            {"name": "REDIS_PASSWORD_FILE", "value": "/etc/tdredis-auth/exporter.json"},
            {"name": "REDIS_EXPORTER_WEB_LISTEN_ADDRESS", "value": f"[$(POD_IP)]:{EXPORTER_PORT}"},
        ],
        "ports": [{"name": METRICS_PORT_NAME, "containerPort": EXPORTER_PORT, "protocol": "TCP"}],
        "resources": _EXPORTER_RESOURCES if resources is None else build_resources(resources),
        "volumeMounts": [{"name": "auth", "mountPath": "/etc/tdredis-auth"}],
    }


def _build_affinity(instance: Instance, shard: str) -> JSONObject:
    """production: one Redis pod of the app on a node. staging: pods of a shard apart, the rest if possible."""
    app = build_apart({"APP": instance.spec.app, COMPONENT_LABEL: REDIS_COMPONENT})
    same_shard = build_apart({"RESOURCE_ID": shard})
    match instance.spec.env:
        case "production":
            return {"podAntiAffinity": {REQUIRED: [app]}}
        case "staging":
            return {"podAntiAffinity": {REQUIRED: [same_shard], PREFERRED: [{"weight": 100, "podAffinityTerm": app}]}}
        case _:
            return {}
