"""Decides what can be done about slots that are not where they should be: left open, or owned twice.

Source: redis.io, "CLUSTER SETSLOT", "CLUSTER RESET"; cluster.c, clusterCommand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tdredis.planning.process import Process


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseSlot:
    """Have *process* end its part in the moving of *slot*, whoever owns it (STABLE)."""

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "SlotClosed"
    process: Process
    slot: int
    why: str

    def __str__(self) -> str:
        return f"close slot {self.slot} on {self.process}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSlot:
    """Have *process* take part in the moving of *slot*: it gives it to, or takes it from, *other*."""

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "SlotOpened"
    process: Process
    slot: int
    direction: Literal["IMPORTING", "MIGRATING"]
    other: Process
    why: str

    def __str__(self) -> str:
        return f"open slot {self.slot} on {self.process}: {self.direction.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveKeys:
    """Move keys of *slot* from *process*, which owns it, to *target*, as many as a pass has time for; the owner's copy
    of a key replaces the other one, which no client is shown. Source: redis.io, "MIGRATE" (REPLACE).
    """

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "KeysMoved"
    process: Process
    target: Process
    slot: int
    why: str

    def __str__(self) -> str:
        return f"move keys of slot {self.slot} from {self.process} to {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeSlot:
    """Make *process*, which has all keys of *slot*, its owner (NODE), by a newer claim ("CLUSTER BUMPEPOCH")."""

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "SlotTaken"
    process: Process
    slot: int
    why: str

    def __str__(self) -> str:
        return f"give slot {self.slot} to {self.process}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetNode:
    """Make *process* a node that knows nobody, owns nothing, has another id (HARD) and *keys* keys less. Its clients
    are disconnected, so that they look for the right one. A replica's copy goes with it and is not counted.

    *apart*: ids of nodes that it does not reach. Once it reaches one of them its claim may have won, and who was to
    keep the data copies it.
    """

    barrier: ClassVar[bool] = True
    reason: ClassVar[str] = "NodeReset"
    process: Process
    keys: int
    is_replica: bool
    apart: frozenset[str]
    why: str

    def __str__(self) -> str:
        return f"reset {self.process}" + (f", dropping {self.keys} keys" if self.keys else "")
