"""Decides which objects make a RedisStandby or a RedisStandalone, in an order in which each finds what it needs."""

from __future__ import annotations

from tdredis.api.json_object import JSONObject
from tdredis.api.redisstandalone import RedisStandalone
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.auth import build_auth_secret
from tdredis.manifests.config_map import build_config_map
from tdredis.manifests.network_policy import build_network_policies
from tdredis.manifests.pod_monitor import build_pod_monitors
from tdredis.manifests.redis_pods import build_redis_budget, build_redis_statefulset
from tdredis.manifests.sentinels import build_sentinel_budget, build_sentinel_statefulset
from tdredis.manifests.services import (
    build_client_service,
    build_nodes_service,
    build_replica_service,
    build_sentinel_nodes_service,
    build_sentinel_service,
)
from tdredis.manifests.site import Passwords, Site


def build_replication_children(
    instance: RedisStandby | RedisStandalone, site: Site, passwords: Passwords, *, primary: str = "", surplus: int = 0
) -> tuple[JSONObject, ...]:
    """Everything but the endpoints and the pods' own Services. Equal input gives equal output.

    *primary*: pod to which a standalone's Service leads, "": its first. *surplus*: pods that a standalone has beside
    its own for a while.
    """
    shared = (
        build_config_map(instance, surplus=surplus),
        build_auth_secret(instance, passwords),
        build_client_service(instance, primary),
        build_nodes_service(instance),
        *build_network_policies(instance),
        *build_pod_monitors(instance, site),
    )
    redis = build_redis_statefulset(instance, site, instance.name)
    if isinstance(instance, RedisStandalone):
        return (*shared, redis)
    budgets = (build_redis_budget(instance, instance.name), build_sentinel_budget(instance))
    return (
        *shared,
        build_replica_service(instance),
        build_sentinel_service(instance),
        build_sentinel_nodes_service(instance),
        *(budgets if site.disruption_budgets else ()),
        redis,
        build_sentinel_statefulset(instance, site),
    )
