"""Decides what stands in front of a Redis Cluster so that plain clients work: Envoy or predixy, and its configuration.

Both are told one address: the cluster's own Service, whose endpoints own slots. No DNS is needed, and the address lasts
as long as the resource does.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Final

import msgspec

from tdredis.api.json_object import JSONObject
from tdredis.api.rediscluster import RedisCluster, RedisClusterSpec
from tdredis.manifests.drift import encode_data
from tdredis.manifests.envoy import REDIS_PASSWORD_KEY, build_envoy_files
from tdredis.manifests.names import (
    PROXY_COMPONENT,
    PROXY_CONTAINER,
    PROXY_PASSWORD_KEY,
    build_metadata,
    proxy_name,
)
from tdredis.manifests.pods import (
    build_field,
    build_pod_template,
    build_preferably_apart,
    build_resources,
    component_selector,
)
from tdredis.manifests.predixy import PREDIXY_CONF, build_predixy_auth, build_predixy_pool
from tdredis.manifests.services import REDIS_PORTS, RESP3_PORTS, build_service
from tdredis.manifests.site import Passwords, Site
from tdredis.manifests.start_scripts import ENVOY, PREDIXY
from tdredis.redis.ports import REDIS_PORT

VERSION_KEY: Final = "version"
CONFIG_HASH: Final = "cache.tongdun.net/proxy-config"
MADE_OF: Final = "cache.tongdun.net/proxy-made-of"  # of the Deployment, and not of its pods: a digest of `proxy_values`
SECRET_VERSION: Final = "cache.tongdun.net/proxy-secret-version"  # noqa: S105 an annotation


def proxy_values(spec: RedisClusterSpec) -> dict[str, Any]:
    """What pods of the proxy are made from, by path of spec."""
    proxy = msgspec.to_builtins(spec.proxy)
    return {"proxyimage": spec.proxy_image, **{f"proxy.{name}": proxy[name] for name in ("kind", "pod", "resources")}}


def proxy_digest(spec: RedisClusterSpec) -> str:
    return hashlib.sha256(msgspec.json.encode(proxy_values(spec), order="sorted")).hexdigest()[:16]


def build_proxy_access(
    cluster: RedisCluster, site: Site, passwords: Passwords, seed_ip: str, *, secret_version: str
) -> tuple[JSONObject, ...]:
    """Service, Secret and ConfigMap of the proxy. *seed_ip*: clusterIP of the cluster's own Service."""
    return (
        build_proxy_service(cluster, site),
        build_proxy_secret(cluster, passwords, seed_ip, secret_version=secret_version),
        build_proxy_config_map(cluster, site, passwords, seed_ip),
    )


def proxy_kind(cluster: RedisCluster, site: Site) -> str:
    """``envoy`` or ``predixy``: as spec says, else by the name of the image that will run."""
    if cluster.spec.proxy.kind != "auto":
        return cluster.spec.proxy.kind
    return "envoy" if "envoy" in site.image(cluster.spec.proxy_image) else "predixy"


def proxy_ports(cluster: RedisCluster, site: Site) -> dict[str, int]:
    """By name, as clients find them. Whether an Envoy is new enough for RESP3 is seen when it runs, not by its image's
    name: where it is not, nobody listens there, and status.addresses does not have it.
    """
    return {**REDIS_PORTS, **(RESP3_PORTS if proxy_kind(cluster, site) == "envoy" else {})}


def build_proxy_service(cluster: RedisCluster, site: Site) -> JSONObject:
    return build_service(
        cluster,
        proxy_name(cluster.name),
        PROXY_COMPONENT,
        proxy_ports(cluster, site),
        type_=cluster.spec.net_mode,
        is_for_clients=True,
        selector=component_selector(cluster, PROXY_COMPONENT),
    )


def next_secret_version(live: JSONObject | None, cluster: RedisCluster, passwords: Passwords, seed_ip: str) -> str:
    """The version of the proxy's Secret: the live one's while its content is what is wanted, else one more.

    Pods roll by it. A hash of a password would be a thing to guess at, and the resourceVersion changes with every
    annotation that somebody's tool writes.
    """
    data = live.get("data") if live else None
    if not isinstance(data, dict):
        return "1"
    encoded = data.get(VERSION_KEY)
    version = base64.b64decode(encoded).decode() if isinstance(encoded, str) else "0"
    wanted = build_proxy_secret(cluster, passwords, seed_ip, secret_version=version)["data"]
    if wanted == data or not version.isdecimal():
        return version if version.isdecimal() else "1"
    return str(int(version) + 1)


def build_proxy_secret(cluster: RedisCluster, passwords: Passwords, seed_ip: str, *, secret_version: str) -> JSONObject:
    texts = {
        PROXY_PASSWORD_KEY: passwords.proxy,
        REDIS_PASSWORD_KEY: passwords.redis,
        "auth.conf": build_predixy_auth(passwords.proxy),
        "cluster.conf": build_predixy_pool(passwords.redis, seed_ip),
        VERSION_KEY: secret_version,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": build_metadata(cluster, proxy_name(cluster.name), PROXY_COMPONENT),
        "type": "Opaque",
        "data": encode_data(texts),
    }


def build_proxy_config_map(cluster: RedisCluster, site: Site, passwords: Passwords, seed_ip: str) -> JSONObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": build_metadata(cluster, proxy_name(cluster.name), PROXY_COMPONENT),
        "data": _files(cluster, site, passwords, seed_ip),
    }


def build_proxy_deployment(
    cluster: RedisCluster, site: Site, passwords: Passwords, seed_ip: str, *, secret_version: str
) -> JSONObject:
    """Rolls when its configuration changes, or the content of its Secret (*secret_version*)."""
    name = proxy_name(cluster.name)
    files = _files(cluster, site, passwords, seed_ip)
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
    selector = component_selector(cluster, PROXY_COMPONENT)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            **build_metadata(cluster, name, PROXY_COMPONENT),
            "annotations": {MADE_OF: proxy_digest(cluster.spec)},
        },
        "spec": {
            "replicas": cluster.spec.proxy.replicas,
            "selector": {"matchLabels": selector},
            # A new proxy first, then one of the old ones goes: clients always find one.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": build_pod_template(
                cluster,
                PROXY_COMPONENT,
                cluster.spec.proxy.pod,
                containers=[_build_container(cluster, site)],
                volumes=[
                    {"name": "config", "configMap": {"name": name}},
                    {"name": "secret", "secret": {"secretName": name}},
                    {"name": "tmp", "emptyDir": {}},
                ],
                pull_secret=site.pull_secret,
                affinity=build_preferably_apart(selector),
                annotations={CONFIG_HASH: digest, SECRET_VERSION: secret_version},
            ),
        },
    }


def build_proxy_budget(cluster: RedisCluster) -> JSONObject:
    """One at a time: whoever drains a node leaves clients the others."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": build_metadata(cluster, proxy_name(cluster.name), PROXY_COMPONENT),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": component_selector(cluster, PROXY_COMPONENT)},
        },
    }


def _build_container(cluster: RedisCluster, site: Site) -> JSONObject:
    resources = build_resources(cluster.spec.proxy.resources)
    return {
        "name": PROXY_CONTAINER,
        "image": site.image(cluster.spec.proxy_image),
        "command": ["sh", "/etc/proxy/start.sh"],
        "env": [build_field("POD_IP", "status.podIP")],
        "ports": [
            {"name": port_name, "containerPort": port, "protocol": "TCP"}
            for port_name, port in proxy_ports(cluster, site).items()
        ],
        # Envoy opens its port when it has found the slots: from then on the probe means what it says.
        "readinessProbe": {"tcpSocket": {"port": REDIS_PORT}, "periodSeconds": 1, "failureThreshold": 3},
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/proxy"},
            {"name": "secret", "mountPath": "/etc/proxy-secret"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 predixy's start script writes there
        ],
        **({"resources": resources} if resources else {}),
    }


def _files(cluster: RedisCluster, site: Site, passwords: Passwords, seed_ip: str) -> JSONObject:
    if proxy_kind(cluster, site) == "predixy":
        return {"predixy.conf": PREDIXY_CONF, "start.sh": PREDIXY}
    upstream_auth, downstream_auth = bool(passwords.redis), bool(passwords.proxy)
    return {
        **build_envoy_files(seed_ip, upstream_auth=upstream_auth, downstream_auth=downstream_auth),
        "start.sh": ENVOY,
    }
