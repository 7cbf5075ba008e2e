"""Decides what is told of a move while it is under way, and why it ended."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field


class Word(enum.Enum):
    """What may be done next. It is asked before each batch, so that an answer takes effect within one of them."""

    GO = "go"
    FINISH = "finish"  # what is open is brought to its end, nothing more is opened
    LEAVE = "leave"  # nothing more is done: somebody else leads, and goes on from what is there


MayGoOn = Callable[[], Word]


class End(enum.Enum):
    """Why a mover stopped."""

    DONE = "done"
    STOPPED = "stopped"  # it was told to finish: no slot is open
    LEFT = "left"  # it was told to leave: slots may be open


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckKey:
    """A key that is not moved without stopping its node for too long; its slot stays where it is."""

    name: bytes
    slot: int
    size_bytes: int
    why: str

    def __str__(self) -> str:
        return (
            f"{self.name.decode(errors='backslashreplace')!r} (slot {self.slot}, {self.size_bytes} bytes): {self.why}"
        )


@dataclass(slots=True, kw_only=True)
class Progress:
    """Counts of one move. *longest_s*: the longest MIGRATE, in which both nodes answered nobody."""

    slots: int = 0
    keys: int = 0
    size_bytes: int = 0
    big_keys: int = 0
    calls: int = 0
    longest_s: float = 0.0
    stuck: list[StuckKey] = field(default_factory=list)


class MoveFailed(Exception):
    """The move cannot go on; what is open is finished by the next one. The message says why, and holds no secret."""


class NoRoomLeft(MoveFailed):
    """What is to come has no room where it is to go. The message has the numbers."""


class Left(Exception):
    """Nothing more is to be done: another one leads."""
