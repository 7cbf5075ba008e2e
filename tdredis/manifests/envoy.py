"""Decides what Envoy is configured with: where it looks for the cluster, on which ports it serves which protocol, and
which commands it refuses because its own answer would be wrong.

Source: envoyproxy.io, "Redis proxy", "Redis Cluster" (extensions.clusters.redis), "Redis fault injection".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tdredis.api.json_object import JSON, JSONObject
from tdredis.manifests.names import PROXY_PASSWORD_KEY
from tdredis.redis.ports import REDIS_PORT, RESP3_PORT

REDIS_PASSWORD_KEY: Final = "redis-password"  # noqa: S105 a key, not a password
# docs/reference/proxy-commands.md is measured against this table.
REFUSED_COMMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cluster": "a client that finds a cluster goes to the pods, past the proxy, with the proxy's password",
        "config": "CONFIG GET answers once for each shard in one list; settings are the operator's anyway",
        "randomkey": "one shard is asked, and answers that there is no key where the others have some",
        "role": "one answer for each shard, in a list that no client expects",
        "scan": "one answer for each shard in one list: clients take the first for all of it",
        "slowlog": "SLOWLOG GET gives so many entries of each shard, with ids that are not unique",
        "watch": "it is forgotten before MULTI: EXEC would overwrite what somebody else has written meanwhile",
    }
)
_TYPES: Final = "type.googleapis.com/envoy.extensions"


def build_envoy_files(seed_ip: str, *, upstream_auth: bool, downstream_auth: bool) -> dict[str, str]:
    """Name to text. The start script lays one of the two listener files over envoy.json: both where Envoy is new
    enough for RESP3, the one that every Envoy knows where it is not.
    """
    resp2 = _build_listener("redis", REDIS_PORT, authenticated=downstream_auth)
    resp3 = _build_listener("redis-resp3", RESP3_PORT, authenticated=downstream_auth, protocol_version="RESP3")
    return {
        "envoy.json": json.dumps(_build_upstream(seed_ip, authenticated=upstream_auth), indent=1),
        "listener.json": json.dumps({"static_resources": {"listeners": [resp2]}}),
        "listener-resp3.json": json.dumps({"static_resources": {"listeners": [resp2, resp3]}}),
    }


def _build_upstream(seed_ip: str, *, authenticated: bool) -> JSONObject:
    """Redis Cluster discovery from one seed, refreshed at the first sign that slots have moved."""
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
                        {"endpoint": {"address": {"socket_address": {"address": seed_ip, "port_value": REDIS_PORT}}}}
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


def _build_listener(name: str, port: int, *, authenticated: bool, **protocol: JSON) -> JSONObject:
    """LISTEN_ADDRESS stands for what only the pod knows. *protocol*: what only a newer Envoy understands."""
    proxy: JSONObject = {
        "@type": f"{_TYPES}.filters.network.redis_proxy.v3.RedisProxy",
        "stat_prefix": name,
        "settings": {
            "op_timeout": "3s",
            "enable_redirection": True,
            "enable_hashtagging": True,
            "read_policy": "MASTER",
        },
        "prefix_routes": {"catch_all_route": {"cluster": "redis"}},
        "faults": [
            {
                "fault_type": "ERROR",
                "fault_enabled": {"default_value": {"numerator": 100, "denominator": "HUNDRED"}},
                "commands": [*REFUSED_COMMANDS],
            }
        ],
        **protocol,
    }
    if authenticated:
        proxy["downstream_auth_passwords"] = [{"filename": f"/etc/proxy-secret/{PROXY_PASSWORD_KEY}"}]
    return {
        "name": name,
        "address": {"socket_address": {"address": "LISTEN_ADDRESS", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.redis_proxy", "typed_config": proxy}]}],
    }
