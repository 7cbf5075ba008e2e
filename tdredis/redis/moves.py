"""Decides which slots go from which shard to which, so that shards end up even, or one of them empty.

By bytes first, as far as single slots and room allow, then by the number of slots (`evening.py`). A plan that was
carried out is followed by none, as long as slots hold the same, unless what went made room where there was too little.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tdredis.redis.evening import begin
from tdredis.redis.holdings import Holding
from tdredis.redis.levels import natural
from tdredis.redis.loads import ShardLoad
from tdredis.redis.slots import SlotSet


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


def plan_moves(shards: Sequence[ShardLoad], leaving: Collection[str] = ()) -> tuple[Move, ...] | NoRoom:
    """Moves after which *leaving* own nothing and the others are even, in the order in which they are to be begun.

    The same input gives the same plan, in whatever order it comes.
    """
    ordered = sorted(shards, key=lambda shard: natural(shard.name))
    staying = [shard for shard in ordered if shard.name not in leaving]
    going = [shard for shard in ordered if shard.name in leaving]
    if not staying:
        return NoRoom("every shard would leave")
    if refused := _refuse(staying, going):
        return refused
    plan = begin(staying, going)
    for giver in plan.holdings:
        if not giver.stays and (slot := plan.empty(giver)) is not None:
            return NoRoom(_does_not_fit(giver, slot, plan.staying))
    plan.even_out()
    return _difference(ordered, plan.holdings)


def _difference(before: Sequence[ShardLoad], after: Sequence[Holding]) -> tuple[Move, ...]:
    """What is to be moved so that *before* becomes *after*; both in order."""
    owners = {slot: shard.name for shard in before for slot in shard.slots}
    found: dict[tuple[str, str], list[int]] = {}
    for holding in after:
        for slot in holding.slots:
            if owners[slot] != holding.name:
                found.setdefault((owners[slot], holding.name), []).append(slot)
    loads = {shard.name: shard.slots for shard in before}
    pairs = sorted(found, key=lambda pair: (natural(pair[0]), natural(pair[1])))
    return tuple(
        Move(
            source=source,
            target=target,
            slots=SlotSet(sum(1 << slot for slot in found[source, target])),
            keys=sum(loads[source][slot].keys for slot in found[source, target]),
            size_bytes=sum(loads[source][slot].size_bytes for slot in found[source, target]),
        )
        for source, target in pairs
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


def _refuse(staying: Sequence[ShardLoad], going: Sequence[ShardLoad]) -> NoRoom | None:
    coming = sum(shard.size_bytes for shard in going)
    rooms = [shard.room_bytes for shard in staying]
    if None in rooms:
        return None
    room = sum(each or 0 for each in rooms)
    if coming <= room:
        return None
    each = ", ".join(f"{shard.name} {shard.room_bytes}" for shard in staying)
    return NoRoom(f"{coming} bytes would have to go to shards that have room for {room} ({each})")


def _does_not_fit(giver: Holding, slot: int, takers: Sequence[Holding]) -> str:
    rooms = ", ".join(f"{taker.name} {taker.room}" for taker in takers)
    return f"slot {slot} of {giver.name} has {giver.slots[slot].size_bytes} bytes, and nobody has room for it ({rooms})"
