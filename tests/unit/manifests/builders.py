"""The published sample as a resource; a test says only what is different."""

from __future__ import annotations

import msgspec

from tdredis.api.metadata import ObjectMeta
from tdredis.api.rediscluster import RedisCluster, RedisClusterSpec
from tdredis.manifests.site import Passwords, Site

SITE = Site(images={"tongduncloud/predixy:1.0": "envoyproxy/envoy:v1.40"})
PASSWORDS = Passwords(redis="vault", proxy="door")


def sample(name: str = "redis-cluster-rat", **spec: object) -> RedisCluster:
    """RedisCluster of samples/redis-cluster-rat.yaml, with *spec* (manifest names) changed."""
    fields = {
        "app": "cluster-rat",
        "capacity": 32768,
        "dc": "hz",
        "env": "production",
        "image": "tongduncloud/redis-cluster:0.2",
        "monitorimage": "tongduncloud/redis-exporter:1.0",
        "netmode": "ClusterIP",
        "proxyimage": "tongduncloud/predixy:1.0",
        "proxysecret": "door",
        "realname": "dba",
        "secret": "vault",
        "size": 3,
        "storageclass": "",
        "vip": "",
    }
    return RedisCluster(
        metadata=ObjectMeta(name=name, namespace="redis-cluster", uid="uid-rat", generation=1),
        spec=msgspec.convert({**fields, **spec}, RedisClusterSpec),
    )
