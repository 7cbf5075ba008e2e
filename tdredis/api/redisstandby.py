"""RedisStandby, field by field: types, defaults, bounds and descriptions, of which the CRD is made."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from tdredis.api.fields import IMAGE, NET_MODE, TEXT, wire_name
from tdredis.api.instance import Instance, InstanceSpec, InstanceStatus
from tdredis.api.pod_settings import PodSettings, ResourceSettings

LEAST_LAG_S = 2  # replicas speak once a second: with less a healthy one would be missed now and then


class SentinelSpec(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """spec.sentinel: the Sentinels that watch over the primary."""

    replicas: Annotated[
        int,
        Meta(
            description="Number of Sentinels. A majority of them must run for a failover.",
            extra_json_schema={"enum": [3, 5, 7]},
        ),
    ] = 3
    master_name: Annotated[
        str,
        Meta(
            description="Name under which Sentinel clients ask for the primary.",
            extra_json_schema={
                "minLength": 1,
                "maxLength": 63,
                "pattern": "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
                "x-write": "letters, digits, '-', '_' and '.', a letter or digit at both ends",
            },
        ),
    ] = "mymaster"
    auth: Annotated[
        bool,
        Meta(description="Whether Sentinels ask their clients for a password: that of Redis."),
    ] = False
    external: Annotated[
        bool,
        Meta(
            description="Whether Sentinel users outside of the Kubernetes cluster are served: with netmode NodePort or"
            " LoadBalancer every Redis and Sentinel pod gets a Service of that type, and announces its address."
        ),
    ] = False
    down_after_milliseconds: Annotated[
        int,
        Meta(
            description="How long a Redis may be silent before a Sentinel holds it for down.",
            extra_json_schema={"minimum": 500, "maximum": 600000},
        ),
    ] = 5000
    failover_timeout_milliseconds: Annotated[
        int,
        Meta(
            description="How long a failover may take before it is tried again.",
            extra_json_schema={"minimum": 1000, "maximum": 3600000},
        ),
    ] = 15000
    resources: Annotated[
        ResourceSettings,
        Meta(
            description="Requests and limits of the Sentinel containers. Absent: requests of 50m CPU and 32Mi memory,"
            " so that a busy node does not starve them; write {} for none."
        ),
    ] = ResourceSettings(requests={"cpu": "50m", "memory": "32Mi"})
    pod: Annotated[PodSettings, Meta(description="Settings of the Sentinel pods.")] = PodSettings()

    @property
    def quorum(self) -> int:
        """How many Sentinels must agree that the primary is down: a majority."""
        return self.replicas // 2 + 1


class RedisStandbySpec(InstanceSpec, frozen=True, kw_only=True, rename=wire_name):
    """spec: what the owner wants. Lower-case names are the Go operator's; new ones are camelCase and optional."""

    app: Annotated[
        str,
        Meta(
            description="Application name. By convention the resource is named redis-<app>. The Sentinels are"
            " named sentinel-<app>.",
            extra_json_schema={
                "minLength": 1,
                # sentinel-<app> names a Service (at most 63, RFC 1035) and a StatefulSet, whose revisions are its
                # name, a dash and 10 characters within 63.
                "maxLength": 43,
                "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
                "x-write": "lower-case letters, digits and '-', a letter or digit at both ends"
                " (Services are named after it)",
            },
        ),
    ]
    monitor_image: Annotated[
        str, Meta(description="Image of the metrics exporter beside each Redis.", extra_json_schema=IMAGE)
    ]
    net_mode: Annotated[
        str,
        Meta(
            description="Type of the Service that clients use. May be switched at any time.", extra_json_schema=NET_MODE
        ),
    ]
    realname: Annotated[
        str, Meta(description="Owner of the instance; the console filters by it.", extra_json_schema=TEXT)
    ]
    sentinel_image: Annotated[str, Meta(description="Image of the Sentinels.", extra_json_schema=IMAGE)]
    replicas: Annotated[
        int,
        Meta(
            description="Standbys of the primary: there are 1 + replicas Redis pods.",
            extra_json_schema={"minimum": 1, "maximum": 5},
        ),
    ] = 1
    write_policy: Annotated[
        str,
        Meta(
            description="What a primary does that is cut off from its standbys. availability: it goes on taking writes,"
            " which are lost if another one is chosen meanwhile. consistency: it refuses writes soon, and so does one"
            " whose last standby is out of reach without being proven dead. May be switched at any time.",
            extra_json_schema={"enum": ["availability", "consistency"]},
        ),
    ] = "availability"
    sentinel: Annotated[SentinelSpec, Meta(description="The Sentinels.")] = SentinelSpec()

    @property
    def max_lag_s(self) -> int:
        """min-replicas-max-lag: how long a replica may be silent before the primary does not count on it any more.

        Redis rounds to whole seconds and looks once a second: it has stopped so many seconds and two more after the
        last word of the last replica, which is before the first Sentinel holds it for down.
        """
        if self.write_policy != "consistency":
            return 10
        return max(LEAST_LAG_S, min(10, self.sentinel.down_after_milliseconds // 1000 - 2))


class SentinelStatus(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """status.sentinels: how many watch."""

    ready: Annotated[int, Meta(description="Sentinels that answer and watch the present primary.")] = 0
    wanted: Annotated[int, Meta(description="Sentinels that spec asks for.")] = 0


class RedisStandbyStatus(InstanceStatus, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """status: the instance as it is. capacity is what is effective now, not what spec asks for."""

    sentinels: Annotated[SentinelStatus, Meta(description="The Sentinels.")] = SentinelStatus()


class RedisStandby(Instance, frozen=True, kw_only=True, rename=wire_name):
    """Active/standby Redis: a primary and its standbys, failover by Sentinels."""

    KIND: ClassVar[str] = "RedisStandby"

    spec: RedisStandbySpec
    status: RedisStandbyStatus = RedisStandbyStatus()
