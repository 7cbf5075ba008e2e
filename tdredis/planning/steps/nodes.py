"""Decides what can be done about who knows whom in a cluster, and who replicates whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tdredis.planning.process import Process
from tdredis.planning.steps.redis_step import DISCONNECT, Command, RedisStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Meet(RedisStep):
    """Introduce *process* to *peers*. Source: redis.io, "CLUSTER MEET"."""

    barrier: ClassVar[bool] = True
    peers: tuple[Process, ...]

    def __str__(self) -> str:
        return f"introduce {self.process} to {', '.join(peer.pod for peer in self.peers)}"

    @property
    def words(self) -> tuple[Command, ...]:
        return tuple(("CLUSTER", "MEET", peer.ip, peer.port) for peer in self.peers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicate(RedisStep):
    """Make *process* a replica of *primary*. Source: redis.io, "CLUSTER REPLICATE"."""

    barrier: ClassVar[bool] = True
    primary: Process

    def __str__(self) -> str:
        return f"attach {self.process} to {self.primary}"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("CLUSTER", "REPLICATE", self.primary.id),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget(RedisStep):
    """Have *process* forget a node that is no more. Source: redis.io, "CLUSTER FORGET" (banned for a minute)."""

    barrier: ClassVar[bool] = True
    ghost_id: str

    def __str__(self) -> str:
        return f"have {self.process} forget node {self.ghost_id[:8]}"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("CLUSTER", "FORGET", self.ghost_id),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetNode(RedisStep):
    """Make *process* a node that knows nobody, owns nothing, has another id (HARD) and *keys* keys less. Its clients
    are disconnected, so that they look for the right one. A replica's copy goes with it and is not counted.

    *apart*: ids of nodes that it does not reach. Once it reaches one of them its claim may have won, and who was to
    keep the data copies it. *flushes*: its keys are dropped; if not, and it has any by then, the engine refuses.
    """

    barrier: ClassVar[bool] = True
    keys: int
    is_replica: bool
    apart: frozenset[str]
    flushes: bool = True

    def __str__(self) -> str:
        return f"reset {self.process}" + (f", dropping {self.keys} keys" if self.keys else "")

    @property
    def words(self) -> tuple[Command, ...]:
        """In one go: a key written in between would forbid the reset. A replica takes no FLUSHALL and needs none."""
        empty: tuple[Command, ...] = (("FLUSHALL", "ASYNC"),) if self.flushes and not self.is_replica else ()
        return *empty, ("CLUSTER", "RESET", "HARD"), *DISCONNECT
