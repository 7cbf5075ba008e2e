"""Decides what all kinds of Redis have in common: the fields of spec, status and conditions that mean the same."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

from tdredis.api.fields import (
    ADDRESS_OR_NONE,
    AS_KUBERNETES_HAS_IT,
    IMAGE,
    IMAGE_OR_NONE,
    MOST_MIB,
    NET_MODE,
    OBJECT_NAME,
    OBJECT_NAME_OR_NONE,
    PASSWORD,
    TEXT,
    wire_name,
)
from tdredis.api.metadata import ObjectMeta
from tdredis.api.pod_settings import Plain, PodSettings, ResourceSettings
from tdredis.api.rollout import RolloutSpec, RolloutStatus
from tdredis.api.service_settings import ServiceSettings
from tdredis.api.settings import VALUES

_PASSWORDS: Final = ("secret", "proxy_secret")


class SecretRef(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """A key of a Secret in the resource's namespace."""

    name: Annotated[
        str,
        Meta(
            description="Name of the Secret.",
            extra_json_schema={**OBJECT_NAME, "x-write": "the name of a Secret in this namespace"},
        ),
    ]
    key: Annotated[
        str,
        Meta(
            description="Which of its keys.",
            extra_json_schema={
                "minLength": 1,
                "maxLength": 253,
                "pattern": "^[-._A-Za-z0-9]+$",
                "x-write": "letters, digits, '-', '_' and '.'",
            },
        ),
    ] = "password"


class StorageSpec(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """spec.storage: the volume of each Redis pod, where storageclass asks for volumes."""

    size: Annotated[
        str,
        Meta(
            description="Size of each pod's volume when storageclass is set. A running instance's volumes grow with it,"
            " where their class allows that (allowVolumeExpansion); they do not shrink.",
            extra_json_schema={
                "maxLength": 32,
                # Without a unit it is bytes: eight digits of them are no slip of the pen.
                "pattern": "^([1-9][0-9]{0,5}([.][0-9]{1,3})?[MGTP]i?|[1-9][0-9]{3,8}(Ki|k)|[1-9][0-9]{7,17})$",
                "x-write": "an amount with its unit, such as 64Gi",
            },
        ),
    ] = "64Gi"
    retain: Annotated[
        bool, Meta(description="Whether the volumes stay when the resource is deleted. May be changed at any time.")
    ] = True


class NetworkPolicySpec(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """spec.networkPolicy: who may connect."""

    enabled: Annotated[
        bool,
        Meta(
            description="Whether connections are limited: clients to Redis, proxy and Sentinel ports, everything else"
            " to the instance's own pods and the operator."
        ),
    ] = False
    allow_from: Annotated[
        tuple[Plain, ...],
        Meta(
            description="Peers that may be clients, as NetworkPolicy has them in ingress.from. Empty: everybody.",
            extra_json_schema=AS_KUBERNETES_HAS_IT,
        ),
    ] = ()


class OutsideSpec(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """spec.outside: how addresses for clients outside of the Kubernetes cluster are dealt with."""

    verify: Annotated[
        str,
        Meta(
            description="auto: an address for outside is tried before it is given out, and one that leads elsewhere or"
            " nowhere is held with the reason. off: it is given out untried, for addresses that nobody in the"
            " Kubernetes cluster can reach.",
            extra_json_schema={"enum": ["auto", "off"]},
        ),
    ] = "auto"


class ExporterResources(ResourceSettings, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """Requests and limits of an exporter, as Kubernetes has them."""


class ExporterSpec(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """spec.exporter: the metrics exporter beside each Redis."""

    resources: Annotated[
        ExporterResources | None,
        Meta(
            description="Requests and limits of the exporter containers. Absent: requests of 10m CPU and 20Mi memory,"
            " limits of 100m and 200Mi; write {} for none."
        ),
    ] = None


class InstanceSpec(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """spec: what the owner wants. Lower-case names are the Go operator's; new ones are camelCase and optional."""

    app: Annotated[
        str,
        Meta(
            description="Application name. By convention the resource is named redis-<app>.",
            extra_json_schema={
                "minLength": 1,
                # 57: the label CLUSTER is redis-<app>, and a label's value ends at 63.
                "maxLength": 57,
                "pattern": "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
                "x-write": "letters, digits, '-', '_' and '.', a letter or digit at both ends (it becomes a label)",
            },
        ),
    ]
    image: Annotated[str, Meta(description="Image of the Redis containers.", extra_json_schema=IMAGE)]
    capacity: Annotated[
        int,
        Meta(
            description="Memory in MiB: maxmemory. 0 or absent: no limit.",
            extra_json_schema={"minimum": 0, "maximum": MOST_MIB},
        ),
    ] = 0
    dc: Annotated[
        str, Meta(description="Data centre; a label, and what the console filters by.", extra_json_schema=TEXT)
    ] = ""
    env: Annotated[
        str,
        Meta(
            description="production: one Redis pod of the app on a node, 2 CPUs each. staging: pods of a shard on"
            " different nodes. demo, or absent: no constraint.",
            extra_json_schema={"enum": ["production", "staging", "demo"]},
        ),
    ] = ""
    monitor_image: Annotated[
        str,
        Meta(
            description="Image of the metrics exporter beside each Redis. Empty: none.",
            extra_json_schema=IMAGE_OR_NONE,
        ),
    ] = ""
    net_mode: Annotated[
        str,
        Meta(
            description="Type of the Service that clients use. May be switched at any time.", extra_json_schema=NET_MODE
        ),
    ] = "ClusterIP"
    realname: Annotated[
        str, Meta(description="Owner of the instance; the console filters by it.", extra_json_schema=TEXT)
    ] = ""
    secret: Annotated[
        str,
        Meta(description="Password of Redis itself. Empty or absent: none.", extra_json_schema=PASSWORD),
    ] = ""
    secret_ref: Annotated[
        SecretRef | None, Meta(description="Where the password of Redis is kept, instead of secret.")
    ] = None
    storage_class: Annotated[
        str,
        Meta(
            description="Non-empty: data on persistent volumes of this class. Empty: on an emptyDir of the node.",
            extra_json_schema=OBJECT_NAME_OR_NONE,
        ),
    ] = ""
    storage: Annotated[StorageSpec, Meta(description="Volumes of the Redis pods.")] = StorageSpec()
    vip: Annotated[
        str,
        Meta(
            description="Address published in status.externalip as vip:nodePort when netmode is NodePort.",
            extra_json_schema=ADDRESS_OR_NONE,
        ),
    ] = ""
    paused: Annotated[
        bool, Meta(description="Whether the operator keeps its hands off: it looks, says what is, and changes nothing.")
    ] = False
    resources: Annotated[
        ResourceSettings,
        Meta(description="Requests and limits of the Redis containers, beside the CPUs that env asks for."),
    ] = ResourceSettings()
    memory_overhead_percent: Annotated[
        int | None,
        Meta(
            description="When given: the Redis container's memory request and limit are maxmemory and so many percent"
            " more, and follow capacity. Absent: they are as resources says.",
            extra_json_schema={"minimum": 10, "maximum": 400},
        ),
    ] = None
    image_pull_secrets: Annotated[
        tuple[Annotated[str, Meta(extra_json_schema=OBJECT_NAME)], ...] | None,
        Meta(
            description="Names of Secrets for pulling images, beside harbor-secret, which is used where it exists."
            " Absent: harbor-secret alone. An empty list: none at all.",
            extra_json_schema={"maxItems": 16},
        ),
    ] = None
    pod: Annotated[PodSettings, Meta(description="Settings of the Redis pods.")] = PodSettings()
    config: Annotated[
        dict[str, Any],
        Meta(
            description="Parameters of Redis by their names, as CONFIG SET takes them: set on every process at once, or"
            " given to new pods one by one (docs/reference/parameters.md says which). One that is named here is put"
            " back when somebody sets it by hand; one that is not is left alone.",
            extra_json_schema=VALUES,
        ),
    ] = {}
    exporter: Annotated[ExporterSpec, Meta(description="The metrics exporter beside each Redis.")] = ExporterSpec()
    service: Annotated[ServiceSettings, Meta(description="The Services that clients connect to, beside netmode.")] = (
        ServiceSettings()
    )
    outside: Annotated[OutsideSpec, Meta(description="Addresses for clients outside of the Kubernetes cluster.")] = (
        OutsideSpec()
    )
    rollout: Annotated[
        RolloutSpec, Meta(description="How pods are recreated when what they are made of has changed.")
    ] = RolloutSpec()
    network_policy: Annotated[NetworkPolicySpec, Meta(description="Who may connect.")] = NetworkPolicySpec()
    pod_monitor: Annotated[
        bool,
        Meta(description="Whether a PodMonitor is made for the exporters, where monitoring.coreos.com/v1 is served."),
    ] = False

    def __repr__(self) -> str:
        # A dataclass-like repr would put the passwords into the first traceback or failed assertion.
        shown = msgspec.structs.asdict(self)
        for password in _PASSWORDS:
            if password in shown:
                shown[password] = "***" if shown[password] else ""
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def maxmemory_mib(self) -> int:
        """maxmemory of one Redis process in MiB; 0: no limit."""
        return self.capacity


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
    primary: Annotated[
        str,
        Meta(description="The primary's pod. While there is none: empty in a cluster, the last one in a standby."),
    ] = ""
    replicas_ready: Annotated[int, Meta(description="Replicas in sync with the primary.")] = 0
    replicas_wanted: Annotated[int, Meta(description="Replicas that spec asks for.")] = 0
    slots: Annotated[int, Meta(description="Number of hash slots that the shard owns.")] = 0
    keys: Annotated[
        int | None,
        Meta(
            description="About how many keys the primary had when it was last seen: whether there was data is decided"
            " by it, so it changes only when there are four times more or fewer."
        ),
    ] = None
    phase: Annotated[str, Meta(description="The shard's state in one word.")] = ""
    message: Annotated[str, Meta(description="The shard's state as a sentence.")] = ""


class HandoverStatus(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """status.handover: the last handover that was asked for."""

    asked: Annotated[str, Meta(description="The annotation cache.tongdun.net/handover that this speaks of.")]
    primary: Annotated[str, Meta(description="Who was the primary when it was asked.")] = ""
    done: Annotated[bool, Meta(description="Whether it is carried out; the same value is not carried out again.")] = (
        False
    )


class InstanceStatus(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """status: the instance as it is. capacity and size are what is effective now, not what spec asks for."""

    phase: Annotated[str, Meta(description="Ready, NotReady, NodeNotReady, Migrating, UpdateQuota or Suspended.")] = ""
    cluster_ip: Annotated[str, Meta(description='"ip:6379" of the Service that clients use.')] = ""
    external_ip: Annotated[
        str, Meta(description="vip:nodePort when netmode is NodePort, the balancer's address when LoadBalancer.")
    ] = ""
    addresses: Annotated[
        dict[str, str],
        Meta(
            description='Every way in, "ip:port" by name: redis (clusterIP), redis-outside (externalip); and if there'
            " are any: redis-resp3 and redis-resp3-outside (a proxy's port for RESP3), redis-ro (replicas), sentinel."
        ),
    ] = msgspec.field(default_factory=dict)
    gmt_create: Annotated[str, Meta(description="When the resource was created.")] = ""
    capacity: Annotated[int, Meta(description="Effective memory in MiB; 0: no limit.")] = 0
    storage_size: Annotated[
        str,
        Meta(
            description="What every volume has been given; storage.size cannot be less. Empty: there are none.",
            extra_json_schema={"maxLength": 64},
        ),
    ] = ""
    size: Annotated[int, Meta(description="Number of shards that serve.")] = 0
    observed_generation: Annotated[int, Meta(description="The generation of spec that this status speaks of.")] = 0
    begun_anew: Annotated[
        str,
        Meta(
            description="The annotation cache.tongdun.net/begin-anew that has served. It serves again after it was"
            " removed and set anew."
        ),
    ] = ""
    handover: Annotated[
        HandoverStatus | None, Meta(description="The last handover that somebody asked for, and what became of it.")
    ] = None
    rollout: Annotated[
        RolloutStatus | None,
        Meta(description="What pods go back to where an edit does not come up (rollout.rollback)."),
    ] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(
            description="What is true of the instance, and why.",
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


class Instance(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """A resource of any of our kinds."""

    KIND: ClassVar[str]

    metadata: ObjectMeta
    spec: InstanceSpec
    status: InstanceStatus = InstanceStatus()

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace
