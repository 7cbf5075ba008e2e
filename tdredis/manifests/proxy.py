"""Decides what stands in front of a Redis Cluster so that plain clients work: Envoy or predixy, and its configuration.

Both are told one address: the cluster's own Service, whose endpoints own slots. No DNS is needed, and the address lasts
as long as the resource does.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Final

from tdredis.api.json_object import JSONObject
from tdredis.api.rediscluster import RedisCluster
from tdredis.manifests.drift import encode_data
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
from tdredis.manifests.services import REDIS_PORT as PORT
from tdredis.manifests.services import REDIS_PORTS, build_service
from tdredis.manifests.site import Passwords, Site
from tdredis.manifests.start_scripts import ENVOY, PREDIXY

REDIS_PASSWORD_KEY: Final = "redis-password"  # noqa: S105 a key, not a password
VERSION_KEY: Final = "version"
CONFIG_HASH: Final = "cache.tongdun.net/proxy-config"
SECRET_VERSION: Final = "cache.tongdun.net/proxy-secret-version"  # noqa: S105 an annotation
_TYPES: Final = "type.googleapis.com/envoy.extensions"


def build_proxy_access(
    cluster: RedisCluster, site: Site, passwords: Passwords, seed_ip: str, *, secret_version: str
) -> tuple[JSONObject, ...]:
    """Service, Secret and ConfigMap of the proxy. *seed_ip*: clusterIP of the cluster's own Service."""
    return (
        build_proxy_service(cluster),
        build_proxy_secret(cluster, passwords, seed_ip, secret_version=secret_version),
        build_proxy_config_map(cluster, site, passwords, seed_ip),
    )


def proxy_kind(cluster: RedisCluster, site: Site) -> str:
    """``envoy`` or ``predixy``: as spec says, else by the name of the image that will run."""
    if cluster.spec.proxy.kind != "auto":
        return cluster.spec.proxy.kind
    return "envoy" if "envoy" in site.image(cluster.spec.proxy_image) else "predixy"


def build_proxy_service(cluster: RedisCluster) -> JSONObject:
    return build_service(
        cluster,
        proxy_name(cluster.name),
        PROXY_COMPONENT,
        REDIS_PORTS,
        type_=cluster.spec.net_mode,
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
        "metadata": build_metadata(cluster, name, PROXY_COMPONENT),
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
                affinity=build_preferably_apart(selector),
                annotations={CONFIG_HASH: digest, SECRET_VERSION: secret_version},
            ),
        },
    }


def _build_container(cluster: RedisCluster, site: Site) -> JSONObject:
    resources = build_resources(cluster.spec.proxy.resources)
    return {
        "name": PROXY_CONTAINER,
        "image": site.image(cluster.spec.proxy_image),
        "command": ["sh", "/etc/proxy/start.sh"],
        "env": [build_field("POD_IP", "status.podIP")],
        "ports": [{"name": "redis", "containerPort": PORT, "protocol": "TCP"}],
        # Envoy opens its port when it has found the slots: from then on the probe means what it says.
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1, "failureThreshold": 3},
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
    return {
        "envoy.json": json.dumps(build_envoy(seed_ip, authenticated=bool(passwords.redis)), indent=1),
        "listener.json": json.dumps(build_listener(authenticated=bool(passwords.proxy))),
        "start.sh": ENVOY,
    }


# ---- Envoy. Source: envoyproxy.io, "Redis proxy" and "Redis Cluster" (extensions.clusters.redis)


def build_envoy(seed_ip: str, *, authenticated: bool) -> JSONObject:
    """The upstream: Redis Cluster discovery from one seed, refreshed at the first sign that slots have moved."""
    cluster: JSONObject = {
        "name": "redis",
        "connect_timeout": "0.25s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.redis",
            "typed_config": {
                "@type": f"{_TYPES}.clusters.redis.v3.RedisClusterConfig",
                "cluster_refresh_rate": "1s",
                "cluster_refresh_timeout": "1s",
                "redirect_refresh_interval": "0.1s",
                "redirect_refresh_threshold": 1,
                "failure_refresh_threshold": 1,
            },
        },
        "load_assignment": {
            "cluster_name": "redis",
            "endpoints": [
                {
                    "lb_endpoints": [
                        {"endpoint": {"address": {"socket_address": {"address": seed_ip, "port_value": PORT}}}}
                    ]
                }
            ],
        },
    }
    if authenticated:
        cluster["typed_extension_protocol_options"] = {
            "envoy.filters.network.redis_proxy": {
                "@type": f"{_TYPES}.filters.network.redis_proxy.v3.RedisProtocolOptions",
                "auth_password": {"filename": f"/etc/proxy-secret/{REDIS_PASSWORD_KEY}"},
            }
        }
    return {"static_resources": {"clusters": [cluster]}}


def build_listener(*, authenticated: bool) -> JSONObject:
    """Laid over the rest by the start script, with the address in the place of LISTEN_ADDRESS."""
    proxy: JSONObject = {
        "@type": f"{_TYPES}.filters.network.redis_proxy.v3.RedisProxy",
        "stat_prefix": "redis",
        "settings": {
            "op_timeout": "3s",
            "enable_redirection": True,
            "enable_hashtagging": True,
            "read_policy": "MASTER",
        },
        "prefix_routes": {"catch_all_route": {"cluster": "redis"}},
    }
    if authenticated:
        proxy["downstream_auth_passwords"] = [{"filename": f"/etc/proxy-secret/{PROXY_PASSWORD_KEY}"}]
    listener: JSONObject = {
        "name": "redis",
        "address": {"socket_address": {"address": "LISTEN_ADDRESS", "port_value": PORT}},
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.redis_proxy", "typed_config": proxy}]}],
    }
    return {"static_resources": {"listeners": [listener]}}


# ---- predixy. Source: its conf/*.conf

PREDIXY_CONF: Final = """\
Name PredixyTD
WorkerThreads 4
ClientTimeout 300
LogVerbSample 0
LogDebugSample 0
LogInfoSample 10000
LogNoticeSample 1
LogWarnSample 1
LogErrorSample 1
Include /etc/proxy-secret/auth.conf
Include /etc/proxy-secret/cluster.conf
"""


def build_predixy_auth(password: str) -> str:
    return f"Authority {{\n    Auth {_quoted(password)}{{\n        Mode admin\n    }}\n}}\n"


def build_predixy_pool(password: str, seed_ip: str) -> str:
    host = f"[{seed_ip}]" if ":" in seed_ip else seed_ip
    return (
        "ClusterServerPool {\n"
        "    MasterReadPriority 60\n"
        "    StaticSlaveReadPriority 50\n"
        "    DynamicSlaveReadPriority 50\n"
        "    RefreshInterval 1\n"
        "    ServerTimeout 1\n"
        "    ServerFailureLimit 10\n"
        "    ServerRetryTimeout 1\n"
        "    KeepAlive 120\n"
        + (f"    Password {_quoted(password)}\n" if password else "")
        + f"    Servers {{\n        + {host}:{PORT}\n    }}\n}}\n"
    )


def _quoted(password: str) -> str:
    """A word of predixy's configuration, or nothing for no password."""
    if not password:
        return ""
    escaped = password.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" '
