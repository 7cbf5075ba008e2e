"""Decides which files the pods of an instance find in /etc/tdredis."""

from __future__ import annotations

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.rediscluster import RedisCluster
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.names import REDIS_COMPONENT, build_metadata, pods_per_statefulset
from tdredis.manifests.ready_scripts import READY, READY_CLUSTER
from tdredis.manifests.redis_config import build_redis_conf
from tdredis.manifests.sentinel_config import SENTINEL_CONF, build_sentinel_ids
from tdredis.manifests.start_scripts import CLUSTER_NODE, SENTINEL, STANDALONE, STANDALONE_ON_VOLUME, STANDBY_NODE
from tdredis.manifests.stop_scripts import STOP_CLUSTER, STOP_STANDBY


def build_config_map(instance: Instance, *, surplus: int = 0) -> JSONObject:
    """*surplus*: pods that a standalone has beyond its own, for as long as that is recreated."""
    replicas = str(_replicas(instance) + surplus)
    files: dict[str, JSON] = {"redis.conf": build_redis_conf(instance), "replicas": replicas}
    match instance:
        case RedisCluster():
            files |= {"start.sh": CLUSTER_NODE, "ready.sh": READY_CLUSTER, "stop.sh": STOP_CLUSTER}
        case RedisStandby():
            files |= {"start.sh": STANDBY_NODE, "ready.sh": READY, "stop.sh": STOP_STANDBY}
            files |= {"sentinel.conf": SENTINEL_CONF, "start-sentinel.sh": SENTINEL, **build_sentinel_ids(instance)}
            files["master-name"] = instance.spec.sentinel.master_name
        case _:
            alone = STANDALONE_ON_VOLUME if instance.spec.storage_class else STANDALONE
            files |= {"start.sh": alone, "ready.sh": READY}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": build_metadata(instance, instance.name, REDIS_COMPONENT),
        "data": files,
    }


def _replicas(instance: Instance) -> int:
    """Of each primary. Where there are none stop.sh need not wait, and a standalone starts as the primary."""
    return pods_per_statefulset(instance) - 1
