"""Decides what the Sentinels of a standby run as."""

from __future__ import annotations

from tdredis.api.json_object import JSONObject
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.names import (
    SENTINEL_COMPONENT,
    SENTINEL_CONTAINER,
    auth_secret_name,
    build_metadata,
    nodes_service_name,
    sentinel_name,
)
from tdredis.manifests.pods import (
    build_field,
    build_pod_template,
    build_preferably_apart,
    build_resources,
    component_selector,
)
from tdredis.manifests.redis_pods import build_probes
from tdredis.manifests.sentinel_config import AUTH_PASS_KEY, SENTINEL_AUTH_KEY
from tdredis.manifests.site import Site
from tdredis.redis.ports import SENTINEL_PORT


def build_sentinel_statefulset(standby: RedisStandby, site: Site) -> JSONObject:
    """OnDelete: a rolling change would not wait until the restarted one has found the others again."""
    name = sentinel_name(standby)
    ours = component_selector(standby, SENTINEL_COMPONENT)
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": build_metadata(standby, name, SENTINEL_COMPONENT),
        "spec": {
            "replicas": standby.spec.sentinel.replicas,
            "serviceName": nodes_service_name(name),
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": ours},
            "template": build_pod_template(
                standby,
                SENTINEL_COMPONENT,
                standby.spec.sentinel.pod,
                containers=[_build_container(standby, site)],
                volumes=[
                    {"name": "config", "configMap": {"name": standby.name}},
                    {
                        "name": "auth",
                        "secret": {
                            "secretName": auth_secret_name(standby.name),
                            "items": [{"key": key, "path": key} for key in (SENTINEL_AUTH_KEY, AUTH_PASS_KEY)],
                        },
                    },
                    {"name": "data", "emptyDir": {}},
                ],
                pull_secret=site.pull_secret,
                affinity=build_preferably_apart(ours),
            ),
        },
    }


def build_sentinel_budget(standby: RedisStandby) -> JSONObject:
    """One at a time: the majority must be there when the primary's node is drained."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": build_metadata(standby, sentinel_name(standby), SENTINEL_COMPONENT),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": component_selector(standby, SENTINEL_COMPONENT)},
        },
    }


def _build_container(standby: RedisStandby, site: Site) -> JSONObject:
    resources = build_resources(standby.spec.sentinel.resources)
    return {
        "name": SENTINEL_CONTAINER,
        "image": site.image(standby.spec.sentinel_image),
        "command": ["sh", "/etc/tdredis/start-sentinel.sh"],
        "env": [build_field("POD_IP", "status.podIP"), build_field("POD_NAME", "metadata.name")],
        "ports": [{"name": "sentinel", "containerPort": SENTINEL_PORT, "protocol": "TCP"}],
        **build_probes(SENTINEL_PORT),
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/tdredis"},
            {"name": "auth", "mountPath": "/etc/tdredis-auth"},
            {"name": "data", "mountPath": "/data"},
        ],
        **({"resources": resources} if resources else {}),
    }
