"""RedisCluster, field by field: types, defaults, bounds and descriptions stand here once, and the CRD is made of them.

Bounds live in `extra_json_schema`, which msgspec does not enforce: an object stored before a bound existed must still
be readable, so that its owner is told what to write (`validation.problems`), instead of a failure to decode.
The key `x-write` says in words what a pattern demands; it is for people and never reaches the CRD.
"""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tdredis.api.metadata import ObjectMeta

GROUP: Final = "cache.tongdun.net"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "RedisCluster"

# What users of old have in their manifests: lower case, whatever our attribute is called.
_WIRE_NAMES_OF_OLD: Final = {
    "monitor_image": "monitorimage",
    "net_mode": "netmode",
    "proxy_image": "proxyimage",
    "proxy_secret": "proxysecret",
    "storage_class": "storageclass",
    "cluster_ip": "clusterIP",
    "external_ip": "externalip",
}


def wire_name(attribute: str) -> str:
    """The name that a field has in a manifest."""
    if attribute in _WIRE_NAMES_OF_OLD:
        return _WIRE_NAMES_OF_OLD[attribute]
    first, *rest = attribute.split("_")
    return first + "".join(word.capitalize() for word in rest)


_IMAGE: Final = {"minLength": 1, "maxLength": 512, "pattern": r"^\S+$", "x-write": "an image name without blanks"}
_TEXT: Final = {"maxLength": 253}
_PASSWORD: Final = {"maxLength": 512}


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


class StorageSpec(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """spec.storage: the volume of each Redis pod, where storageclass asks for volumes."""

    size: Annotated[
        str,
        Meta(
            description="Size of each pod's volume when storageclass is set. It cannot be changed after creation.",
            extra_json_schema={
                "maxLength": 32,
                "pattern": r"^[1-9][0-9]*(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$",
                "x-write": "a quantity such as 64Gi",
            },
        ),
    ] = "64Gi"


class RedisClusterSpec(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """spec: what the owner wants. Lower-case names are those of old; new ones are camelCase and optional."""

    app: Annotated[
        str,
        Meta(
            description="Application name. By convention the resource is named redis-<app>.",
            extra_json_schema={
                "minLength": 1,
                # 57: the label CLUSTER is redis-<app>, and a label's value ends at 63.
                "maxLength": 57,
                "pattern": r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
                "x-write": "letters, digits, '-', '_' and '.', a letter or digit at both ends (it becomes a label)",
            },
        ),
    ]
    image: Annotated[str, Meta(description="Image of the Redis containers.", extra_json_schema=_IMAGE)]
    monitor_image: Annotated[
        str, Meta(description="Image of the metrics exporter beside each Redis.", extra_json_schema=_IMAGE)
    ]
    net_mode: Annotated[
        str,
        Meta(
            description="Type of the Service that clients use. May be switched at any time.",
            extra_json_schema={"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
        ),
    ]
    proxy_image: Annotated[
        str,
        Meta(
            description="Image of the proxy. Its name tells which proxy it is, unless proxy.kind does.",
            extra_json_schema={"maxLength": 512},
        ),
    ]
    proxy_secret: Annotated[
        str, Meta(description="Password that clients use at the proxy. Empty: none.", extra_json_schema=_PASSWORD)
    ]
    realname: Annotated[
        str, Meta(description="Owner of the instance; the console filters by it.", extra_json_schema=_TEXT)
    ]
    size: Annotated[
        int,
        Meta(description="Number of shards.", extra_json_schema={"minimum": 3, "maximum": 1000}),
    ]
    storage_class: Annotated[
        str,
        Meta(
            description="Non-empty: data on persistent volumes of this class. Empty: on an emptyDir of the node.",
            extra_json_schema=_TEXT,
        ),
    ] = ""
    vip: Annotated[
        str,
        Meta(
            description="Address published in status.externalip as vip:nodePort when netmode is NodePort.",
            extra_json_schema=_TEXT,
        ),
    ] = ""
    capacity: Annotated[
        int,
        Meta(
            description="Memory in MiB over all shards, each gets capacity / size. 0 or absent: no limit.",
            extra_json_schema={"minimum": 0, "maximum": 1 << 40},
        ),
    ] = 0
    dc: Annotated[
        str, Meta(description="Data centre; a label, and what the console filters by.", extra_json_schema=_TEXT)
    ] = ""
    env: Annotated[
        str,
        Meta(
            description="production: one Redis pod of the app on a node, 2 CPUs each. staging: pods of a shard on"
            " different nodes. demo, or absent: no constraint.",
            extra_json_schema={"enum": ["production", "staging", "demo"]},
        ),
    ] = ""
    secret: Annotated[
        str,
        Meta(description="Password of Redis itself. Empty or absent: none.", extra_json_schema=_PASSWORD),
    ] = ""
    replicas: Annotated[
        int,
        Meta(
            description="Replicas of each shard's primary: a shard has 1 + replicas pods.",
            extra_json_schema={"minimum": 0, "maximum": 5},
        ),
    ] = 1
    proxy: Annotated[ProxySpec, Meta(description="The proxy in front of the cluster.")] = ProxySpec()
    storage: Annotated[StorageSpec, Meta(description="Volumes of the Redis pods.")] = StorageSpec()

    def __repr__(self) -> str:
        # A dataclass-like repr would put both passwords into the first traceback or failed assertion.
        shown = msgspec.structs.asdict(self)
        for password in ("secret", "proxy_secret"):
            shown[password] = "***" if shown[password] else ""
        return f"RedisClusterSpec({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def pods_per_shard(self) -> int:
        return 1 + self.replicas

    @property
    def maxmemory_mib(self) -> int:
        """maxmemory of each shard in MiB; 0: no limit."""
        return self.capacity // self.size


class Condition(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """One condition, in the shape of metav1.Condition."""

    type: Annotated[str, Meta(description="What the condition is about.", extra_json_schema={"maxLength": 316})]
    status: Annotated[
        str, Meta(description="True, False or Unknown.", extra_json_schema={"enum": ["True", "False", "Unknown"]})
    ]
    reason: Annotated[
        str, Meta(description="Name of the rule or guard that decided.", extra_json_schema={"maxLength": 1024})
    ]
    message: Annotated[str, Meta(description="The reason as a sentence.", extra_json_schema={"maxLength": 32768})]
    last_transition_time: Annotated[
        str, Meta(description="When status last changed.", extra_json_schema={"format": "date-time"})
    ]
    observed_generation: Annotated[
        int, Meta(description="The generation of spec that this speaks of.", extra_json_schema={"minimum": 0})
    ] = 0


class ShardStatus(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """One line of the per-shard table."""

    name: Annotated[str, Meta(description="Name of the shard's StatefulSet.")]
    primary: Annotated[str, Meta(description="Pod that is the primary; empty while there is none.")] = ""
    replicas_ready: Annotated[int, Meta(description="Replicas in sync with the primary.")] = 0
    replicas_wanted: Annotated[int, Meta(description="Replicas that spec asks for.")] = 0
    slots: Annotated[int, Meta(description="Number of hash slots that the shard owns.")] = 0
    phase: Annotated[str, Meta(description="The shard's state in one word.")] = ""
    message: Annotated[str, Meta(description="The shard's state as a sentence.")] = ""


class RedisClusterStatus(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """status: the cluster as it is. capacity and size are what is in force now, not what spec wishes."""

    phase: Annotated[str, Meta(description="Ready, NotReady, NodeNotReady, Migrating, UpdateQuota or Suspended.")] = ""
    cluster_ip: Annotated[str, Meta(description='"ip:6379" of the Service that clients use.')] = ""
    external_ip: Annotated[str, Meta(description="vip:nodePort when netmode is NodePort, else empty.")] = ""
    gmt_create: Annotated[str, Meta(description="When the resource was created.")] = ""
    capacity: Annotated[int, Meta(description="Memory in MiB in force over all shards; 0: no limit.")] = 0
    size: Annotated[int, Meta(description="Number of shards that own slots.")] = 0
    slots: Annotated[
        dict[str, tuple[str, ...]],
        Meta(description='Slots of each shard as "a-b" ranges: the record from which a lost cluster is rebuilt.'),
    ] = {}
    observed_generation: Annotated[int, Meta(description="The generation of spec that this status speaks of.")] = 0
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(
            description="What is true of the cluster, and why.",
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    shards: Annotated[
        tuple[ShardStatus, ...],
        Meta(
            description="One line a shard.",
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()


class RedisCluster(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """Redis Cluster behind a proxy: `size` shards, each one primary and its replicas."""

    metadata: ObjectMeta
    spec: RedisClusterSpec
    status: RedisClusterStatus = RedisClusterStatus()

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace


class InvalidRedisClusterError(ValueError):
    """The object cannot be read as a RedisCluster; the message names the field, never its value."""


def parse_rediscluster(json: bytes | Mapping[str, object]) -> RedisCluster:
    """Read a RedisCluster as the API server sent it (bytes), or decoded. Unknown fields are ignored.

    Raises InvalidRedisClusterError if a required field is missing or a field has the wrong type; a value out of
    bounds is readable, and `validation.problems` names it.
    """
    try:
        if isinstance(json, bytes):
            return msgspec.json.decode(json, type=RedisCluster)
        return msgspec.convert(json, RedisCluster)
    except msgspec.DecodeError as error:
        raise InvalidRedisClusterError(str(error)) from None
