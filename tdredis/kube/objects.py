"""What we read of a Kubernetes object: small typed structs, so that 6,000 pods fit in memory and decode in a moment.

For reading only. Whoever writes, applies or patches a plain JSON object of his own making: what was read here has lost
the fields that we do not know.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType, field
from msgspec.structs import force_setattr

from tdredis.api.json_object import JSON, JSONObject
from tdredis.kube.resources import Resource

Bytes: TypeAlias = bytes | Raw


class OwnerReference(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    uid: str
    kind: str
    name: str
    api_version: str = ""
    controller: bool = False
    block_owner_deletion: bool = False


class Meta(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """metadata. Timestamps are RFC 3339 text as the server wrote it (`parse_time`); managedFields are never kept."""

    name: str
    namespace: str = ""  # "": an object of the cluster
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None  # None: nobody asked to delete it
    finalizers: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.name)

    @property
    def controller(self) -> OwnerReference | None:
        """The one owner that made it and answers for it."""
        for owner in self.owner_references:  # asked for thousands of objects in a pass: no generator for each
            if owner.controller:
                return owner
        return None


class Stored(Protocol):
    """Whatever a cache can hold."""

    @property
    def metadata(self) -> Meta: ...


StoredT = TypeVar("StoredT", bound=Stored)


class Waiting(msgspec.Struct, frozen=True, gc=False):
    reason: str = ""
    message: str = ""


class Running(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    started_at: str | None = None


class Terminated(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None


class ContainerState(msgspec.Struct, frozen=True, gc=False):
    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class Resources(msgspec.Struct, frozen=True, gc=False):
    requests: dict[str, str | int] = {}
    limits: dict[str, str | int] = {}


class ContainerStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    ready: bool = False
    started: bool | None = None  # None: the kubelet did not say
    restart_count: int = 0
    image: str = ""
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    resources: Resources | None = None  # what it has; None: the kubelet does not say (before 1.33)


class Probe(msgspec.Struct, frozen=True, gc=False):
    """That there is one."""


class Container(msgspec.Struct, frozen=True, gc=False):
    name: str
    image: str = ""
    resources: Resources = Resources()
    readiness_probe: Probe | None = field(name="readinessProbe", default=None)


class PodSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    node_name: str = ""  # "": not scheduled yet
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()


class PodCondition(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


class PodStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    phase: str = ""
    reason: str = ""
    message: str = ""
    pod_ip: str = field(name="podIP", default="")
    host_ip: str = field(name="hostIP", default="")
    start_time: str | None = None
    conditions: tuple[PodCondition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(msgspec.Struct, frozen=True, gc=False):
    metadata: Meta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    def condition(self, type_: str) -> PodCondition | None:
        return next((condition for condition in self.status.conditions if condition.type == type_), None)

    @property
    def is_ready(self) -> bool:
        ready = self.condition("Ready")
        return ready is not None and ready.status == "True"


class Child(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """Any other object that we own: what drift compares, undecoded until somebody asks.

    UNSET: the object has no such part. A Secret's `data` stays raw and is never printed.
    """

    metadata: Meta
    api_version: str = ""
    kind: str = ""
    type: Raw | UnsetType = UNSET
    immutable: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    string_data: Raw | UnsetType = UNSET
    binary_data: Raw | UnsetType = UNSET
    address_type: Raw | UnsetType = UNSET
    endpoints: Raw | UnsetType = UNSET
    ports: Raw | UnsetType = UNSET
    subsets: Raw | UnsetType = UNSET
    spec: Raw | UnsetType = UNSET
    status: Raw | UnsetType = UNSET

    def __post_init__(self) -> None:
        _detach(self, _CHILD_PARTS)

    def __repr__(self) -> str:
        return _described(self.kind, self.metadata)

    def part(self, name: str) -> JSON:
        """One top-level part, decoded; `name` is the attribute's (`"string_data"`). None: absent."""
        return _part(getattr(self, name))

    def to_json(self) -> JSONObject:
        return _to_json(self)


class CustomObject(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """A custom resource: its model belongs to tdredis.api, here are only who it is and its undecoded text."""

    metadata: Meta
    api_version: str = ""
    kind: str = ""
    spec: Raw | UnsetType = UNSET
    status: Raw | UnsetType = UNSET

    def __post_init__(self) -> None:
        _detach(self, ("spec", "status"))

    def __repr__(self) -> str:
        return _described(self.kind, self.metadata)

    def to_json(self) -> JSONObject:
        return _to_json(self)

    def to_bytes(self) -> bytes:
        """The same as JSON text, without decoding it in between."""
        return _ENCODER.encode(self)


_ENCODER = msgspec.json.Encoder()
_CHILD_PARTS = tuple(name for name in Child.__struct_fields__ if name not in ("metadata", "api_version", "kind"))


def _detach(owner: Child | CustomObject, parts: tuple[str, ...]) -> None:
    """Copies raw parts out of the answer's buffer: one ConfigMap would otherwise keep a page of 500 objects alive."""
    for name in parts:
        value = getattr(owner, name)
        if value is not UNSET:
            force_setattr(owner, name, value.copy())


def _described(kind: str, metadata: Meta) -> str:
    return f"<{kind} {metadata.namespace}/{metadata.name} at {metadata.resource_version}>"


def _part(value: Raw | UnsetType) -> JSON:
    if isinstance(value, UnsetType):
        return None
    decoded: JSON = msgspec.json.decode(value)
    return decoded


def _to_json(owner: Child | CustomObject) -> JSONObject:
    decoded: JSONObject = msgspec.json.decode(_ENCODER.encode(owner))
    return decoded


class _Identity(msgspec.Struct, gc=False):
    metadata: Meta


_IDENTITY = msgspec.json.Decoder(_Identity)
_POD = msgspec.json.Decoder(Pod)
_CHILD = msgspec.json.Decoder(Child)
_CUSTOM = msgspec.json.Decoder(CustomObject)


def parse_identity(text: Bytes) -> Meta:
    """Only the metadata. Raises msgspec.DecodeError."""
    return _IDENTITY.decode(text).metadata


def parse_pod(text: Bytes) -> Pod:
    """Raises msgspec.DecodeError."""
    return _POD.decode(text)


def parse_child(resource: Resource) -> Callable[[Bytes], Child]:
    """A parser that also fills in apiVersion and kind, which the items of a list do not carry."""

    def parse(text: Bytes) -> Child:
        return _named(_CHILD.decode(text), resource)

    return parse


def parse_custom(resource: Resource) -> Callable[[Bytes], CustomObject]:
    """As `parse_child`, for a custom resource."""

    def parse(text: Bytes) -> CustomObject:
        return _named(_CUSTOM.decode(text), resource)

    return parse


NamedT = TypeVar("NamedT", Child, CustomObject)


def _named(owner: NamedT, resource: Resource) -> NamedT:
    # Every time, not only when missing: one shared string instead of one a object.
    force_setattr(owner, "api_version", resource.api_version)
    force_setattr(owner, "kind", resource.kind)
    return owner


def parse_time(text: str) -> float:
    """Epoch seconds of an RFC 3339 timestamp, with or without a fraction. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()


def render_time(epoch_s: float, *, micro: bool = False) -> str:
    """RFC 3339 text; `micro` for the MicroTime fields of leases and events."""
    moment = datetime.fromtimestamp(epoch_s, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")
