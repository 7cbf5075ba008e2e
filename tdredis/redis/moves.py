"""Decides which slots go from which shard to which, by bytes: so that shards end up even, or one of them empty.

Every shard that stays is filled to the same level, or to what it has room for where that is less: who is above its
level gives, who is below takes, and nobody does both, so that no more is moved than must be. A slot counts as the bytes
of its keys, and an empty one as a hundredth of the mean: an empty cluster is spread by count.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tdredis.redis.slots import SlotSet

EMPTY_SLOT_SHARE = 100  # an empty slot weighs the mean slot's weight divided by this
USABLE_PERCENT = 90  # of a shard's maxmemory: replication buffers, and writes that come meanwhile, need the rest
SPLINTER_PERCENT = 2  # of a level: for so little no pair of shards is made that nothing else is moved between
UNEVEN_PERCENT = 5  # shards that differ from the mean by no more are left alone, if nobody leaves and nobody is empty


def room_bytes(used_bytes: int, maxmemory_bytes: int) -> int | None:
    """What may come in addition, of two numbers of INFO memory. None: there is no limit."""
    if not maxmemory_bytes:
        return None
    return max(0, maxmemory_bytes * USABLE_PERCENT // 100 - used_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotLoad:
    """What one slot holds. *size_bytes* may be an estimate (`spread_bytes`)."""

    keys: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLoad:
    """One shard: its slots, and what its primary says of its memory (INFO used_memory, maxmemory; 0: no limit)."""

    name: str
    slots: Mapping[int, SlotLoad] = field(default_factory=dict)
    used_bytes: int = 0
    maxmemory_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        return sum(load.size_bytes for load in self.slots.values())

    @property
    def room_bytes(self) -> int | None:
        """What may come in addition. None: there is no limit."""
        return room_bytes(self.used_bytes, self.maxmemory_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """*slots*, all owned by *source*, become *target*'s."""

    source: str
    target: str
    slots: SlotSet
    keys: int
    size_bytes: int

    def __str__(self) -> str:
        return f"{len(self.slots)} slots ({self.size_bytes} bytes) from {self.source} to {self.target}"


@dataclass(frozen=True, slots=True)
class NoRoom:
    """It cannot be done: *why* has the numbers."""

    why: str


def spread_bytes(keys: Mapping[int, int], data_bytes: int) -> dict[int, SlotLoad]:
    """Slots of a node that holds *data_bytes* in all, each with its share by keys: the estimate where no engine says
    more. Source of both: CLUSTER COUNTKEYSINSLOT, and INFO memory (used_memory_dataset).
    """
    total = sum(keys.values())
    return {
        slot: SlotLoad(keys=count, size_bytes=data_bytes * count // total if total else 0)
        for slot, count in keys.items()
    }


def plan_moves(shards: Sequence[ShardLoad], leaving: Collection[str] = ()) -> tuple[Move, ...] | NoRoom:
    """Moves after which *leaving* own nothing and the others are even, in the order in which they are to be begun.

    The same input gives the same plan, in whatever order it comes.
    """
    ordered = sorted(shards, key=lambda shard: _natural(shard.name))
    staying = [shard for shard in ordered if shard.name not in leaving]
    scale = _Scale(ordered)
    if not staying:
        return NoRoom("every shard would leave")
    if refused := _refuse(ordered, staying, leaving):
        return refused
    if not any(shard.name in leaving and shard.slots for shard in ordered) and scale.is_even(staying):
        return ()
    levels = _fill(staying, scale)
    takers = [
        _Taker(
            shard=shard,
            wants=levels[shard.name] - scale.weigh(shard),
            room=shard.room_bytes,
            splinter=levels[shard.name] * SPLINTER_PERCENT // 100,
        )
        for shard in staying
    ]
    found: dict[tuple[str, str], dict[int, SlotLoad]] = {}
    for shard in ordered:
        given, unplaced = _give(shard, levels.get(shard.name), takers, scale)
        if unplaced is not None:
            return NoRoom(_does_not_fit(shard, unplaced, takers))
        found |= {(shard.name, target): loads for target, loads in given.items()}
    return tuple(
        Move(
            source=source,
            target=target,
            slots=SlotSet(sum(1 << slot for slot in loads)),
            keys=sum(load.keys for load in loads.values()),
            size_bytes=sum(load.size_bytes for load in loads.values()),
        )
        for (source, target), loads in found.items()
    )


def in_rounds(moves: Sequence[Move]) -> tuple[tuple[Move, ...], ...]:
    """*moves* in rounds: no shard is in two moves of a round, so those of one can be under way side by side. A shard
    runs one thread: what it does for two at once takes as long as one after the other, and its clients wait for both.
    """
    rounds: list[tuple[Move, ...]] = []
    left = list(moves)
    while left:
        busy: set[str] = set()
        now: list[Move] = []
        for move in left:
            if not busy & {move.source, move.target}:
                now.append(move)
                busy |= {move.source, move.target}
        left = [move for move in left if move not in now]
        rounds.append(tuple(now))
    return tuple(rounds)


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """rat-2 before rat-10."""
    return tuple((int(word), "") if word.isdigit() else (-1, word) for word in name.split("-"))


class _Scale:
    """How much a slot weighs: its bytes, and a little for being one. Never less than its bytes."""

    def __init__(self, shards: Sequence[ShardLoad]) -> None:
        count = sum(len(shard.slots) for shard in shards)
        self._least = max(1, sum(shard.size_bytes for shard in shards) // (EMPTY_SLOT_SHARE * count)) if count else 1

        self.total = sum(self.weigh(shard) for shard in shards)

    def of(self, load: SlotLoad) -> int:
        return max(load.size_bytes, self._least)

    def weigh(self, shard: ShardLoad) -> int:
        return sum(self.of(load) for load in shard.slots.values())

    def is_even(self, staying: Sequence[ShardLoad]) -> bool:
        weights = [self.weigh(shard) for shard in staying]
        mean = sum(weights) / len(weights)
        return all(shard.slots for shard in staying) and all(
            abs(weight - mean) * 100 <= mean * UNEVEN_PERCENT for weight in weights
        )


def _refuse(ordered: Sequence[ShardLoad], staying: Sequence[ShardLoad], leaving: Collection[str]) -> NoRoom | None:
    coming = sum(shard.size_bytes for shard in ordered if shard.name in leaving)
    rooms = [shard.room_bytes for shard in staying]
    if None in rooms:
        return None
    room = sum(each or 0 for each in rooms)
    if coming <= room:
        return None
    each = ", ".join(f"{shard.name} {shard.room_bytes}" for shard in staying)
    return NoRoom(f"{coming} bytes would have to go to shards that have room for {room} ({each})")


def _fill(staying: Sequence[ShardLoad], scale: _Scale) -> dict[str, int]:
    """The weight that each is to have: all the same, but for those who have room for less. What leaves is in it."""
    total = scale.total
    limits = {
        shard.name: total if shard.room_bytes is None else scale.weigh(shard) + shard.room_bytes for shard in staying
    }
    levels: dict[str, int] = {}
    for number, name in enumerate(sorted(limits, key=lambda name: (limits[name], _natural(name)))):
        levels[name] = min(limits[name], total // (len(limits) - number))
        total -= levels[name]
    return levels


@dataclass(slots=True)
class _Taker:
    shard: ShardLoad
    wants: int  # weight
    room: int | None  # bytes
    splinter: int  # weight

    def fits(self, load: SlotLoad) -> bool:
        return self.room is None or load.size_bytes <= self.room

    def wishes(self, weight: int, *, is_paired: bool) -> bool:
        """With it, it is nearer to its level than without; and it is worth a pair of shards, if there is none yet."""
        return 2 * self.wants >= weight and (is_paired or self.wants > self.splinter)

    def take(self, load: SlotLoad, weight: int) -> None:
        self.wants -= weight
        if self.room is not None:
            self.room -= load.size_bytes


def _give(
    giver: ShardLoad, level: int | None, takers: Sequence[_Taker], scale: _Scale
) -> tuple[dict[str, dict[int, SlotLoad]], int | None]:
    """Slots of *giver* by who takes them, the highest first, so that few ranges become many; and one that nobody has
    room for, of a giver that keeps none (*level* None).
    """
    given: dict[str, dict[int, SlotLoad]] = {}
    surplus = scale.weigh(giver) - (level or 0)
    for slot in sorted(giver.slots, reverse=True):
        load = giver.slots[slot]
        weight = scale.of(load)
        if level is not None and weight > 2 * surplus:
            continue  # without it the giver would be further below its level than it is above
        others = [each for each in takers if each.shard is not giver and each.fits(load)]
        taker = next((each for each in others if each.wishes(weight, is_paired=each.shard.name in given)), None)
        if taker is None and level is None:
            taker = max(others, key=lambda each: each.wants, default=None)
            if taker is None:
                return given, slot
        if taker is None:
            continue
        taker.take(load, weight)
        surplus -= weight
        given.setdefault(taker.shard.name, {})[slot] = load
    return given, None


def _does_not_fit(giver: ShardLoad, slot: int, takers: Sequence[_Taker]) -> str:
    rooms = ", ".join(f"{taker.shard.name} {taker.room}" for taker in takers if taker.shard is not giver)
    return f"slot {slot} of {giver.name} has {giver.slots[slot].size_bytes} bytes, and nobody has room for it ({rooms})"
