"""The published samples as resources; a test says only what is different."""

from __future__ import annotations

import msgspec

from tdredis.api.metadata import ObjectMeta
from tdredis.api.rediscluster import RedisCluster, RedisClusterSpec
from tdredis.api.redisstandalone import RedisStandalone, RedisStandaloneSpec
from tdredis.api.redisstandby import RedisStandby, RedisStandbySpec
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


def standby(name: str = "redis-standby-tom", **spec: object) -> RedisStandby:
    """RedisStandby of samples/redis-standby-tom.yaml, with *spec* (manifest names) changed."""
    fields = {
        "app": "standby-tom",
        "capacity": 2048,
        "dc": "hz",
        "env": "demo",
        "image": "tongduncloud/redis-standby:1.0",
        "monitorimage": "tongduncloud/redis-exporter:1.0",
        "netmode": "ClusterIP",
        "realname": "sa",
        "secret": "vault",
        "sentinelimage": "tongduncloud/sentinel-standby:latest",
        "storageclass": "",
        "vip": "172.17.128.8",
    }
    return RedisStandby(
        metadata=ObjectMeta(name=name, namespace="redis", uid="uid-tom", generation=1),
        spec=msgspec.convert({**fields, **spec}, RedisStandbySpec),
    )


def standalone(name: str = "redis-one", **spec: object) -> RedisStandalone:
    fields = {"app": "one", "dc": "hz", "env": "demo", "image": "redis:7", "secret": "vault"}
    return RedisStandalone(
        metadata=ObjectMeta(name=name, namespace="redis-one", uid="uid-one", generation=1),
        spec=msgspec.convert({**fields, **spec}, RedisStandaloneSpec),
    )
