"""Decides what can be done about slots: given to a node, moved, closed where they were left open.

Source: redis.io, "CLUSTER SETSLOT"; cluster.c, clusterCommand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from tdredis.planning.process import Process
from tdredis.planning.steps.redis_step import BUMP_EPOCH, Command, RedisStep
from tdredis.redis.slots import NO_SLOTS, SlotSet

MIGRATE_MS: Final = 1000  # without a byte of progress


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignSlots(RedisStep):
    """Give *slots*, which nobody owns, to *process*. Source: redis.io, "CLUSTER ADDSLOTS"."""

    shard: str
    slots: SlotSet
    config_epoch: int | None  # set first, on a node that has met nobody: spares the engine the resolving of collisions
    taken: SlotSet = NO_SLOTS  # those of *slots* that it believes to be another's, who does not say so himself

    def __str__(self) -> str:
        return f"assign slots {self.slots} to {self.process}"

    @property
    def words(self) -> tuple[Command, ...]:
        """ADDSLOTS, not ADDSLOTSRANGE: Redis 6 knows only the first."""
        add: Command = ("CLUSTER", "ADDSLOTS", *self.slots)
        if self.taken:
            # The others believe it too, so the new claim must be newer than what they believe.
            return ("CLUSTER", "DELSLOTS", *self.taken), add, BUMP_EPOCH
        if self.config_epoch is not None:
            return ("CLUSTER", "SET-CONFIG-EPOCH", self.config_epoch), add
        return (add,)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSlot(RedisStep):
    """Have *process* take part in the moving of *slot*: it gives it to, or takes it from, *other*."""

    barrier: ClassVar[bool] = True
    slot: int
    direction: Literal["IMPORTING", "MIGRATING"]
    other: Process

    def __str__(self) -> str:
        return f"open slot {self.slot} on {self.process}: {self.direction.lower()}"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("CLUSTER", "SETSLOT", self.slot, self.direction, self.other.id),)


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveKeys(RedisStep):
    """Move keys of *slot* from *process*, which owns it, to *target*, as many as a pass has time for; the owner's copy
    of a key replaces the other one, which no client is shown. Source: redis.io, "MIGRATE" (REPLACE).
    """

    barrier: ClassVar[bool] = True
    target: Process
    slot: int

    def __str__(self) -> str:
        return f"move keys of slot {self.slot} from {self.process} to {self.target}"

    def look(self, most: int) -> Command:
        """Asks for up to *most* of the keys that are left."""
        return ("CLUSTER", "GETKEYSINSLOT", self.slot, most)

    def migrate(self, keys: Sequence[bytes], password: str) -> Command:
        """One round of it: *keys* of its slot."""
        secret: tuple[str, ...] = ("AUTH", password) if password else ()
        target = self.target
        return ("MIGRATE", target.ip, target.port, "", 0, MIGRATE_MS, "REPLACE", *secret, "KEYS", *keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeSlot(RedisStep):
    """Make *process*, which has all keys of *slot*, its owner (NODE), by a newer claim ("CLUSTER BUMPEPOCH")."""

    barrier: ClassVar[bool] = True
    slot: int

    def __str__(self) -> str:
        return f"give slot {self.slot} to {self.process}"

    @property
    def words(self) -> tuple[Command, ...]:
        return ("CLUSTER", "SETSLOT", self.slot, "NODE", self.process.id), BUMP_EPOCH


@dataclass(frozen=True, slots=True, kw_only=True)
class TellOwner(RedisStep):
    """Tell *process*, which takes *slots* over, that *owner* owns them by now (NODE): it believes no ping that says so,
    and goes on taking them over.
    """

    slots: SlotSet
    owner: Process

    def __str__(self) -> str:
        return f"tell {self.process} that {self.owner} owns slots {self.slots}"

    @property
    def words(self) -> tuple[Command, ...]:
        return tuple(("CLUSTER", "SETSLOT", slot, "NODE", self.owner.id) for slot in self.slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseSlot(RedisStep):
    """Have *process* end its part in the moving of *slot*, whoever owns it (STABLE). *nobody_else_has_keys*: who takes
    it over has said so, and what a mover has left of its own in the slot is of no use any more.
    """

    barrier: ClassVar[bool] = True
    slot: int
    nobody_else_has_keys: bool = False

    def __str__(self) -> str:
        return f"close slot {self.slot} on {self.process}"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("CLUSTER", "SETSLOT", self.slot, "STABLE"),)
