"""Decides what every step that is done to a Redis or Sentinel process has, whatever it sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from tdredis.planning.process import Process

Command: TypeAlias = tuple[str | bytes | int, ...]

# Not TYPE master or replica: those connections are the replication itself. Ours is spared (SKIPME).
DISCONNECT: Final[tuple[Command, ...]] = (
    ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
    ("CLIENT", "KILL", "TYPE", "pubsub"),
)
BUMP_EPOCH: Final[Command] = ("CLUSTER", "BUMPEPOCH")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisStep:
    """Something is sent to *process*, in one round trip, after it has said that it is the one that is meant.

    A new command is a class with its fields and its words; its name in events and metrics is a row of `NAMES`.
    """

    barrier: ClassVar[bool] = False  # the world must be looked at again before anything else is done
    pace_s: ClassVar[float] = 0.0  # it is not done again to the same process before that is over
    process: Process
    why: str

    @property
    def words(self) -> tuple[Command, ...]:
        """What is sent, by a step that sends no password."""
        raise NotImplementedError

    def commands(self, password: str) -> tuple[Command, ...]:  # noqa: ARG002 for those that send it
        """What is sent. *password* is Redis' own: no step has it in a field, so that none is in an event or a log."""
        return self.words
