"""Decides what users may say of the Services that clients connect to, beside netmode."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tdredis.api.fields import ANNOTATIONS, CIDR, QUALIFIED_NAME, wire_name

_CLASS_OR_NONE: Final = f"^({QUALIFIED_NAME.strip('^$')})?$"


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """spec.service: of every Service that has the type that netmode names."""

    annotations: Annotated[
        dict[str, str],
        Meta(
            description="Annotations of the Services that netmode is about, beside the operator's own: what a load"
            " balancer or a DNS controller wants to be told.",
            extra_json_schema=ANNOTATIONS,
        ),
    ] = {}
    load_balancer_class: Annotated[
        str,
        Meta(
            description="Which controller makes the load balancer, with netmode LoadBalancer. Absent: that of the"
            " Kubernetes cluster. Kubernetes takes it when a Service becomes a LoadBalancer, and not later.",
            extra_json_schema={
                "maxLength": 253,
                "pattern": _CLASS_OR_NONE,
                "x-write": "a name such as example.com/internal",
            },
        ),
    ] = ""
    load_balancer_source_ranges: Annotated[
        tuple[Annotated[str, Meta(extra_json_schema=CIDR)], ...],
        Meta(
            description="Networks that the load balancer lets in, with netmode LoadBalancer. Empty: everybody.",
            extra_json_schema={"maxItems": 64},
        ),
    ] = ()
    external_traffic_policy: Annotated[
        str,
        Meta(
            description="With netmode NodePort or LoadBalancer. Cluster: any node passes connections on. Local: only"
            " nodes where a pod is that serves, and it sees its clients' own addresses.",
            extra_json_schema={"enum": ["Cluster", "Local"]},
        ),
    ] = "Cluster"
