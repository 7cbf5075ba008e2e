"""Decides how the moving of slots is asked for, and what is told of it: it takes longer than a pass.

A plan has the order as long as it is wanted; who carries it out begins it once. A plan without it ends it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tdredis.redis.places import Place

Pace: TypeAlias = Literal["gentle", "fast"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveOrder:
    """What is to be brought about: those *leaving* (names of *shards*) own no slot, the others are even by bytes.

    *shards*: the present primary of each, with the ids of the other nodes of its shard. *asked*: the request that it
    answers, "" if it is none: one that came later is not carried out by what was done before it.
    """

    shards: tuple[Place, ...]
    leaving: frozenset[str] = frozenset()
    asked: str = ""
    pace: Pace = "gentle"


class State(enum.Enum):
    """How far an order is."""

    SURVEYING = "surveying"  # what the slots hold, and who has room, is asked
    MOVING = "moving"
    DONE = "done"
    STOPPED = "stopped"  # it was not wanted any more: no slot is open
    REFUSED = "refused"  # there is no room; slots may be open
    FAILED = "failed"  # it is tried again while it is wanted; slots may be open


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """The last order of a resource, and what became of it. *why* it was refused, or failed.

    *slots_total* and *bytes_total* are those that were planned, 0 while it is surveyed. *begun_s*: seconds since it was
    begun. *ended_s*: since it has ended; None: it has not, or nobody knows. *stuck*: keys that nothing moves without
    stopping a node for too long; their slots stay.
    """

    order: MoveOrder
    state: State
    why: str = ""
    slots_done: int = 0
    slots_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    begun_s: float = 0.0
    ended_s: float | None = None
    stuck: tuple[str, ...] = ()

    @property
    def is_under_way(self) -> bool:
        """Slots that are open are so because they are on their way."""
        return self.state in (State.SURVEYING, State.MOVING)
