"""Decides which objects make a RedisCluster, in an order in which each finds what it needs."""

from __future__ import annotations

from tdredis.api.json_object import JSONObject
from tdredis.api.rediscluster import RedisCluster
from tdredis.manifests.auth import build_auth_secret
from tdredis.manifests.config_map import build_config_map
from tdredis.manifests.names import shard_names
from tdredis.manifests.network_policy import build_network_policies
from tdredis.manifests.pod_monitor import build_pod_monitors
from tdredis.manifests.redis_pods import build_redis_budget, build_redis_statefulset
from tdredis.manifests.services import build_client_service, build_nodes_service
from tdredis.manifests.site import Passwords, Site


def build_children(cluster: RedisCluster, site: Site, passwords: Passwords) -> tuple[JSONObject, ...]:
    """Everything but the proxy, the endpoints and the pods' own Services. Equal input gives equal output."""
    shards = shard_names(cluster)
    return (
        build_config_map(cluster),
        build_auth_secret(cluster, passwords),
        build_client_service(cluster),
        build_nodes_service(cluster),
        *build_network_policies(cluster),
        *build_pod_monitors(cluster, site),
        *(build_redis_budget(cluster, shard) for shard in shards if site.disruption_budgets),
        *(build_redis_statefulset(cluster, site, shard) for shard in shards),
    )
