"""Decides how an object that the API server has is read: as typed views of the parts that decisions go by.

Views are decoded once for each version of an object, and so is what differs from what is wanted: a thousand objects
that nobody touched cost a pass next to nothing, and are kept as the bytes that came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import msgspec

from tdredis.api.json_object import JSON, JSONObject
from tdredis.manifests.asked import ASKED, Asked, asked_for
from tdredis.manifests.drift import DIGEST, difference, parse_quantity
from tdredis.manifests.made_of import MADE_OF, parse_made_of
from tdredis.manifests.names import COMPONENT_LABEL, REDIS_CONTAINER, SURPLUS
from tdredis.manifests.services import EXTERNAL_LABEL
from tdredis.manifests.settings_file import parse_settings, settings_at_start

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"  # annotation of a pod template


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a template gives to pods: fields of spec by path, images by container, and the CPUs and memory that the
    Redis container asks for (None: there is none). *says_all*: its pods tell that themselves.
    """

    made_of: Mapping[str, str]
    asked: Asked | None
    images: Mapping[str, str]
    says_all: bool


class Owner(msgspec.Struct, frozen=True, rename="camel"):
    """metadata.ownerReferences[]"""

    uid: str = ""


class MetaView(msgspec.Struct, frozen=True, rename="camel"):
    """metadata"""

    uid: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[Owner, ...] = ()
    creation_timestamp: str | None = None


class ServicePort(msgspec.Struct, frozen=True, rename="camel"):
    """spec.ports[] of a Service"""

    name: str = ""
    port: int = 0
    node_port: int = 0  # 0: it has none (yet)


class ServiceView(msgspec.Struct, frozen=True, rename="camel"):
    """spec of a Service"""

    type: str = ""
    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    ports: tuple[ServicePort, ...] = ()
    selector: dict[str, str] = {}


class Ingress(msgspec.Struct, frozen=True):
    """status.loadBalancer.ingress[]"""

    ip: str = ""
    hostname: str = ""


class BalancerView(msgspec.Struct, frozen=True):
    """status.loadBalancer"""

    ingress: tuple[Ingress, ...] = ()


class ClaimCondition(msgspec.Struct, frozen=True, rename="camel"):
    """status.conditions[] of a volume claim"""

    type: str = ""
    status: str = ""
    message: str = ""


class ClaimView(msgspec.Struct, frozen=True):
    """A volume claim, or a template of some. Sizes as they are written; "": nobody says. *progress*: how far a volume
    is that grows (status.allocatedResourceStatuses).
    """

    storage_class: str = ""
    asked: str = ""
    has: str = ""
    is_bound: bool = False
    progress: str = ""
    conditions: tuple[ClaimCondition, ...] = ()

    @property
    def size(self) -> Decimal | None:
        """What it asks for, in bytes."""
        return parse_quantity(self.asked)


class StatefulSetView(msgspec.Struct, frozen=True, rename="camel"):
    """spec and status of a StatefulSet"""

    replicas: int | None = None
    start: int = 0  # the lowest ordinal
    observed_generation: int = 0
    update_revision: str = ""
    surplus: int | None = None  # ordinal of a pod beyond what spec asks for; None: there is none
    restarted_at: str = ""  # when `kubectl rollout restart` was last called; "": never


class DeploymentView(msgspec.Struct, frozen=True, rename="camel"):
    """spec and status of a Deployment"""

    replicas: int = 1  # pods of all its templates; how many are wanted, as long as its controller counts none
    observed_generation: int = 0
    updated_replicas: int = 0  # pods of its present template, once that was observed


class Live:
    """One version of one object. Compared by identity: another version is another one."""

    def __init__(self, decode: Callable[[], JSONObject]) -> None:
        """*decode*: decodes the object again from what the API server sent."""
        self._decode = decode
        self._compared: tuple[JSON, str | None] = (None, None)  # the digest of what was wanted, and what differed

    @classmethod
    def of(cls, found: JSONObject) -> Live:
        return cls(lambda: found)

    @property
    def json(self) -> JSONObject:
        """The whole object, decoded now. A Secret's values are in it."""
        return self._decode()

    def lacks(self, manifest: JSONObject) -> str | None:
        """`difference` of *manifest*, which is stamped, and this; None: none."""
        if manifest["kind"] == "Secret":  # its values are not in the digest
            return difference(manifest, self.json)
        digest = _annotation(manifest, DIGEST)
        if digest is None or self._compared[0] != digest:
            self._compared = digest, difference(manifest, self.json)
        return self._compared[1]

    @cached_property
    def meta(self) -> MetaView:
        return msgspec.convert(self.json.get("metadata") or {}, MetaView)

    @property
    def component(self) -> str:
        """What its pods are, by its label."""
        return self.meta.labels.get(COMPONENT_LABEL, "")

    @property
    def is_external_service(self) -> bool:
        """It is a pod's own, for clients from outside."""
        return EXTERNAL_LABEL in self.meta.labels

    @cached_property
    def service(self) -> ServiceView:
        return msgspec.convert(self.json.get("spec") or {}, ServiceView)

    @property
    def cluster_ip(self) -> str | None:
        """As the API server gave it; None: headless."""
        address = self.service.cluster_ip
        return address if address not in ("", "None") else None

    @cached_property
    def balancer_address(self) -> str | None:
        """ip or hostname that a load balancer gave; None: none yet."""
        match self.json.get("status"):
            case {"loadBalancer": {**balancer}}:
                found = msgspec.convert(balancer, BalancerView).ingress
                return (found[0].ip or found[0].hostname or None) if found else None
            case _:
                return None

    def node_port(self, name: str) -> int | None:
        """nodePort of the port *name*; None: it has none (yet)."""
        return next((port.node_port for port in self.service.ports if port.name == name and port.node_port), None)

    @cached_property
    def statefulset(self) -> StatefulSetView:
        found: Any = self.json
        spec, status = found.get("spec") or {}, found.get("status") or {}
        return msgspec.convert(
            {
                "replicas": spec.get("replicas"),
                "start": (spec.get("ordinals") or {}).get("start", 0),
                "observedGeneration": status.get("observedGeneration", 0),
                "updateRevision": status.get("updateRevision", ""),
                "surplus": int(surplus) if (surplus := self.meta.annotations.get(SURPLUS, "")).isdecimal() else None,
                "restartedAt": _annotation(spec.get("template") or {}, RESTARTED_AT) or "",
            },
            StatefulSetView,
        )

    @cached_property
    def made(self) -> Made:
        """What pods are made from by the present template of a StatefulSet."""
        found: Any = self.json
        template = (found.get("spec") or {}).get("template") or {}
        annotations = (template.get("metadata") or {}).get("annotations") or {}
        containers = (template.get("spec") or {}).get("containers") or []
        redis: Any = next((each for each in containers if each.get("name") == REDIS_CONTAINER), None)
        asked = (redis or {}).get("resources") or {}
        return Made(
            made_of=parse_made_of(annotations),
            asked=asked_for(_texts(asked.get("requests")), _texts(asked.get("limits"))) if redis else None,
            images={str(each.get("name")): str(each.get("image")) for each in containers},
            says_all=MADE_OF in annotations and (redis is None or ASKED in annotations),
        )

    @cached_property
    def template_labels(self) -> Mapping[str, str]:
        """What a StatefulSet labels its pods with."""
        match self.json.get("spec"):
            case {"template": {"metadata": {"labels": {**labels}}}}:
                return {str(name): str(value) for name, value in labels.items()}
            case _:
                return {}

    @cached_property
    def claim_templates(self) -> list[JSON]:
        """spec.volumeClaimTemplates of a StatefulSet"""
        spec = self.json.get("spec")
        found = spec.get("volumeClaimTemplates") if isinstance(spec, dict) else None
        return found if isinstance(found, list) else []

    @cached_property
    def claim_template(self) -> ClaimView | None:
        """What claims of a StatefulSet's new pods ask for; None: they have none."""
        match self.claim_templates:
            case [{"spec": {"storageClassName": str(name), "resources": {"requests": {"storage": str(size)}}}}]:
                return ClaimView(storage_class=name, asked=size)
            case _:
                return None

    @cached_property
    def claim(self) -> ClaimView:
        """Of a volume claim."""
        found: Any = self.json
        spec, status = found.get("spec") or {}, found.get("status") or {}
        asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "")
        return msgspec.convert(
            {
                "storage_class": spec.get("storageClassName") or "",
                "asked": str(asked),
                "has": str((status.get("capacity") or {}).get("storage", "")),
                "is_bound": status.get("phase") == "Bound",
                "progress": (status.get("allocatedResourceStatuses") or {}).get("storage", ""),
                "conditions": status.get("conditions") or (),
            },
            ClaimView,
        )

    @property
    def revision(self) -> str | None:
        """Of the StatefulSet's present template; None while its controller has not seen that yet."""
        view = self.statefulset
        return view.update_revision or None if view.observed_generation == self.meta.generation else None

    @cached_property
    def deployment(self) -> DeploymentView:
        found: Any = self.json
        spec, status = found.get("spec") or {}, found.get("status") or {}
        return msgspec.convert({"replicas": spec.get("replicas", 1), **status}, DeploymentView)

    @cached_property
    def available_replicas(self) -> int:
        """Of a Deployment."""
        match self.json.get("status"):
            case {"availableReplicas": int(count)}:
                return count
            case _:
                return 0

    @cached_property
    def settings(self) -> Mapping[str, str | None]:
        """Of an instance's ConfigMap: the parameters of Redis that are kept for the next start."""
        return parse_settings(self.json)

    @cached_property
    def settings_at_start(self) -> Mapping[str, str]:
        """Of a StatefulSet of Redis pods: the parameters that a new one starts with."""
        spec = self.json.get("spec")
        template = spec.get("template") if isinstance(spec, dict) else None
        said = _annotation(template, MADE_OF) if isinstance(template, dict) else None
        return settings_at_start(parse_made_of({MADE_OF: str(said)} if said else {}))

    @cached_property
    def target_pods(self) -> tuple[str, ...]:
        """Names of the pods that endpoints, of either API, refer to."""
        return tuple(_target_pods({name: part for name, part in self.json.items() if name != "metadata"}))


def _texts(quantities: Mapping[str, object] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (quantities or {}).items()}


def _annotation(manifest: JSONObject, name: str) -> JSON:
    metadata = manifest.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return annotations.get(name) if isinstance(annotations, dict) else None


def _target_pods(node: JSON) -> list[str]:
    if isinstance(node, dict):
        target = node.get("targetRef")
        own = [str(target.get("name"))] if isinstance(target, dict) else []
        return own + [name for value in node.values() for name in _target_pods(value)]
    if isinstance(node, list):
        return [name for value in node for name in _target_pods(value)]
    return []
