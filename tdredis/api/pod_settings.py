"""Decides what users may say of the pods themselves: where they run, as whom, with what beside them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from tdredis.api.fields import ANNOTATIONS, AS_KUBERNETES_HAS_IT, LABELS, NAMED_PARTS, OBJECT_NAME_OR_NONE, wire_name
from tdredis.api.quantities import AMOUNTS

Plain = dict[str, Any]  # a part of a pod's spec, exactly as Kubernetes has it


class ResourceSettings(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """Requests and limits of a container, as Kubernetes has them."""

    requests: Annotated[Plain, Meta(description="What the container is promised.", extra_json_schema=AMOUNTS)] = {}
    limits: Annotated[
        Plain, Meta(description="What the container may use at the most.", extra_json_schema=AMOUNTS)
    ] = {}


class PodSettings(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """Parts of the pod's spec, as Kubernetes has them. Lists are added to what the operator puts there."""

    security: Annotated[
        str,
        Meta(
            description="restricted: the pod runs as user 999 (not root) with a read-only root file system, without"
            " capabilities, seccomp profile RuntimeDefault. image: as the image has it, for images that need root or"
            " write outside of their volumes.",
            extra_json_schema={"enum": ["restricted", "image"]},
        ),
    ] = "restricted"
    annotations: Annotated[
        dict[str, str],
        Meta(description="Annotations of the pods, beside the operator's own.", extra_json_schema=ANNOTATIONS),
    ] = {}
    labels: Annotated[
        dict[str, str], Meta(description="Labels of the pods, beside the operator's own.", extra_json_schema=LABELS)
    ] = {}
    affinity: Annotated[
        Plain,
        Meta(
            description="Terms to be met beside those that env asks for.",
            extra_json_schema=AS_KUBERNETES_HAS_IT,
        ),
    ] = {}
    tolerations: Annotated[
        tuple[Plain, ...], Meta(description="Taints that the pods tolerate.", extra_json_schema=AS_KUBERNETES_HAS_IT)
    ] = ()
    node_selector: Annotated[
        dict[str, str], Meta(description="Labels that a node must have.", extra_json_schema=LABELS)
    ] = {}
    topology_spread_constraints: Annotated[
        tuple[Plain, ...],
        Meta(
            description="How the pods spread over zones. Without labelSelector: the pods of the same component.",
            extra_json_schema=AS_KUBERNETES_HAS_IT,
        ),
    ] = ()
    priority_class_name: Annotated[str, Meta(description="Priority class.", extra_json_schema=OBJECT_NAME_OR_NONE)] = ""
    security_context: Annotated[
        Plain,
        Meta(
            description="Fields of the pod's securityContext, laid over those that security gives.",
            extra_json_schema=AS_KUBERNETES_HAS_IT,
        ),
    ] = {}
    containers: Annotated[
        tuple[Plain, ...],
        Meta(description="Containers beside the operator's own.", extra_json_schema=NAMED_PARTS),
    ] = ()
    volumes: Annotated[tuple[Plain, ...], Meta(description="Volumes for them.", extra_json_schema=NAMED_PARTS)] = ()
