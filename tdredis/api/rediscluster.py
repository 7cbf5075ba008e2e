"""RedisCluster, field by field: types, defaults, bounds and descriptions, of which the CRD is made."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from tdredis.api.fields import IMAGE, IMAGE_OR_NONE, MOST_MIB, NET_MODE, PASSWORD, TEXT, wire_name
from tdredis.api.instance import Instance, InstanceSpec, InstanceStatus, SecretRef
from tdredis.api.pod_settings import PodSettings, ResourceSettings
from tdredis.api.rollout import RolloutStatus


class ProxySpec(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """spec.proxy: what stands in front of the cluster, so that plain clients work."""

    enabled: Annotated[
        bool,
        Meta(description="Whether a proxy stands in front. Without it, clients must speak the cluster protocol."),
    ] = True
    kind: Annotated[
        str,
        Meta(
            description="Which proxy the image holds. auto: Envoy if the image's name says envoy, else predixy.",
            extra_json_schema={"enum": ["auto", "predixy", "envoy"]},
        ),
    ] = "auto"
    replicas: Annotated[
        int, Meta(description="Number of proxy pods.", extra_json_schema={"minimum": 1, "maximum": 100})
    ] = 2
    resources: Annotated[
        ResourceSettings,
        Meta(
            description="Requests and limits of the proxy containers. Absent: requests of 100m CPU and 64Mi memory,"
            " so that a busy node does not starve them; write {} for none."
        ),
    ] = ResourceSettings(requests={"cpu": "100m", "memory": "64Mi"})
    pod: Annotated[PodSettings, Meta(description="Settings of the proxy pods.")] = PodSettings()


class ScaleSpec(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """spec.scale: how data moves between shards when their number changes."""

    rebalance: Annotated[
        str,
        Meta(
            description="auto: new shards get their share of the slots. manual: they stay empty until somebody asks for"
            " it by the annotation cache.tongdun.net/rebalance. Shards that are to go are emptied in either case.",
            extra_json_schema={"enum": ["auto", "manual"]},
        ),
    ] = "auto"
    pace: Annotated[
        str,
        Meta(
            description="gentle: nodes are left alone for as long as they were kept busy. fast: without rests.",
            extra_json_schema={"enum": ["gentle", "fast"]},
        ),
    ] = "gentle"


class RedisClusterSpec(InstanceSpec, frozen=True, kw_only=True, rename=wire_name):
    """spec: what the owner wants. Lower-case names are the Go operator's; new ones are camelCase and optional."""

    monitor_image: Annotated[
        str, Meta(description="Image of the metrics exporter beside each Redis.", extra_json_schema=IMAGE)
    ]
    net_mode: Annotated[
        str,
        Meta(
            description="Type of the Service that clients use. May be switched at any time.", extra_json_schema=NET_MODE
        ),
    ]
    proxy_image: Annotated[
        str,
        Meta(
            description="Image of the proxy. Its name tells which proxy it is, unless proxy.kind does.",
            extra_json_schema=IMAGE_OR_NONE,
        ),
    ]
    proxy_secret: Annotated[
        str | None,
        Meta(
            description="Password that clients use at the proxy. Empty: none. Required unless proxySecretRef is given.",
            extra_json_schema=PASSWORD,
        ),
    ] = None
    proxy_secret_ref: Annotated[
        SecretRef | None, Meta(description="Where the proxy's password is kept, instead of proxysecret.")
    ] = None
    realname: Annotated[
        str, Meta(description="Owner of the instance; the console filters by it.", extra_json_schema=TEXT)
    ]
    size: Annotated[
        int,
        Meta(description="Number of shards.", extra_json_schema={"minimum": 3, "maximum": 1000}),
    ]
    capacity: Annotated[
        int,
        Meta(
            description="Memory in MiB over all shards, each gets capacity / size. 0 or absent: no limit.",
            extra_json_schema={"minimum": 0, "maximum": MOST_MIB},
        ),
    ] = 0
    replicas: Annotated[
        int,
        Meta(
            description="Replicas of each shard's primary: a shard has 1 + replicas pods.",
            extra_json_schema={"minimum": 0, "maximum": 5},
        ),
    ] = 1
    proxy: Annotated[ProxySpec, Meta(description="The proxy in front of the cluster.")] = ProxySpec()
    scale: Annotated[ScaleSpec, Meta(description="How data moves between shards when their number changes.")] = (
        ScaleSpec()
    )

    @property
    def pods_per_shard(self) -> int:
        return 1 + self.replicas

    @property
    def maxmemory_mib(self) -> int:
        """maxmemory of each shard in MiB; 0: no limit."""
        return self.capacity // self.size


class RedisClusterStatus(InstanceStatus, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """status: the cluster as it is. capacity and size are what is effective now, not what spec asks for."""

    slots: Annotated[
        dict[str, tuple[str, ...]],
        Meta(description='Slots of each shard as "a-b" ranges: the record from which a lost cluster is rebuilt.'),
    ] = msgspec.field(default_factory=dict)
    resharding: Annotated[
        int,
        Meta(
            description="How many shards there were when slots began to move. It is written before the first one does,"
            " and absent when all are where they are to be."
        ),
    ] = 0
    rebalanced: Annotated[
        str, Meta(description="The annotation cache.tongdun.net/rebalance that was carried out last.")
    ] = ""
    proxy_rollout: Annotated[
        RolloutStatus | None,
        Meta(description="As rollout, of what the proxies are made from."),
    ] = None


class RedisCluster(Instance, frozen=True, kw_only=True, rename=wire_name):
    """Redis Cluster behind a proxy: `size` shards, each one primary and its replicas."""

    KIND: ClassVar[str] = "RedisCluster"

    spec: RedisClusterSpec
    status: RedisClusterStatus = RedisClusterStatus()
