"""Decides which files the pods of an instance find in /etc/tdredis."""

from __future__ import annotations

from typing import Final

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.redisstandalone import RedisStandalone
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.names import REDIS_COMPONENT, build_metadata
from tdredis.manifests.redis_config import build_redis_conf
from tdredis.manifests.sentinel_config import SENTINEL_CONF, build_sentinel_ids
from tdredis.manifests.start_scripts import CLUSTER_NODE, SENTINEL, STANDALONE, STANDBY_NODE, STOP

_START: Final = {"RedisCluster": CLUSTER_NODE, "RedisStandby": STANDBY_NODE, "RedisStandalone": STANDALONE}


def build_config_map(instance: Instance) -> JSONObject:
    files: dict[str, JSON] = {"redis.conf": build_redis_conf(instance), "start.sh": _START[instance.KIND]}
    if not isinstance(instance, RedisStandalone):
        files["stop.sh"] = STOP
    if isinstance(instance, RedisStandby):
        files |= {"sentinel.conf": SENTINEL_CONF, "start-sentinel.sh": SENTINEL, **build_sentinel_ids(instance)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": build_metadata(instance, instance.name, REDIS_COMPONENT),
        "data": files,
    }
