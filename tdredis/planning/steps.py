"""Decides what the operator can do to the world: every effect is one of these, with the reason it is done for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from tdredis.api.json_object import JSONObject
from tdredis.planning.snapshot import Ref
from tdredis.redis.slots import SlotSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """Make the object be as *manifest* says, by server-side apply."""

    barrier: ClassVar[bool] = False
    ref: Ref
    manifest: JSONObject
    why: str
    is_new: bool = False  # we know of none: what is found under this name after all may be somebody else's

    def __str__(self) -> str:
        return f"apply {self.ref}"

    def __repr__(self) -> str:  # the manifest of a Secret must not reach a traceback
        return f"Apply(ref={self.ref!r}, why={self.why!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Delete an object of ours that the spec no longer asks for."""

    barrier: ClassVar[bool] = False
    ref: Ref
    api_version: str
    uid: str
    why: str

    def __str__(self) -> str:
        return f"delete {self.ref}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacePod:
    """Delete a pod without which nothing is lost, so that its StatefulSet makes it from the present template."""

    barrier: ClassVar[bool] = True
    pod: str
    uid: str
    why: str

    def __str__(self) -> str:
        return f"replace pod {self.pod}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The Redis process a step is meant for; *id* is checked again before anything is done to it."""

    pod: str
    uid: str
    ip: str
    id: str
    port: int = 6379

    def __str__(self) -> str:
        return self.pod


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignSlots:
    """Give *slots*, which nobody owns, to *process*. Source: redis.io, "CLUSTER ADDSLOTS"."""

    barrier: ClassVar[bool] = False
    process: Process
    shard: str
    slots: SlotSet
    config_epoch: int | None  # set first, on a node that has met nobody: spares the engine the resolving of collisions
    why: str

    def __str__(self) -> str:
        return f"assign slots {self.slots} to {self.process}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meet:
    """Introduce *process* to *peers*. Source: redis.io, "CLUSTER MEET"."""

    barrier: ClassVar[bool] = True
    process: Process
    peers: tuple[Process, ...]
    why: str

    def __str__(self) -> str:
        return f"introduce {self.process} to {', '.join(peer.pod for peer in self.peers)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicate:
    """Make *process* a replica of *primary*. Source: redis.io, "CLUSTER REPLICATE"."""

    barrier: ClassVar[bool] = True
    process: Process
    primary: Process
    why: str

    def __str__(self) -> str:
        return f"attach {self.process} to {self.primary}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """Make *process*, a replica in sync, the primary of *shard*, without loss: the engine stops the old one's clients
    until the new one has everything. Source: redis.io, "CLUSTER FAILOVER" without options."""

    barrier: ClassVar[bool] = True
    process: Process
    shard: str
    why: str

    def __str__(self) -> str:
        return f"hand shard {self.shard} over to {self.process}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Have *process* forget a node that is no more. Source: redis.io, "CLUSTER FORGET" (banned for a minute)."""

    barrier: ClassVar[bool] = True
    process: Process
    ghost_id: str
    why: str

    def __str__(self) -> str:
        return f"have {self.process} forget node {self.ghost_id[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetConfig:
    """Change a parameter of a running process; redis.conf has it for the next start. Source: redis.io, "CONFIG SET"."""

    barrier: ClassVar[bool] = False
    process: Process
    parameter: str
    value: int
    why: str

    def __str__(self) -> str:
        return f"set {self.parameter} of {self.process} to {self.value}"


Step: TypeAlias = Apply | Remove | ReplacePod | AssignSlots | Meet | Replicate | HandOver | Forget | SetConfig
