"""Decides what a set of hash slots is: which keys' homes are owned, free, or owned twice.

Source: Redis cluster specification, "Key distribution model" (16384 slots).
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, pairwise

SLOT_COUNT = 16384


@dataclass(frozen=True, slots=True, order=True)
class SlotRange:
    """Slots *first* to *last*, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, repr=False)
class SlotSet:
    """A set of slots as the bits of one integer: union, difference and count are single operations."""

    bits: int = 0

    @classmethod
    def of(cls, ranges: Iterable[SlotRange]) -> SlotSet:
        bits = 0
        for each in ranges:
            bits |= ((1 << each.count) - 1) << each.first
        return cls(bits)

    @classmethod
    def union(cls, sets: Iterable[SlotSet]) -> SlotSet:
        bits = 0
        for each in sets:
            bits |= each.bits
        return cls(bits)

    def __bool__(self) -> bool:
        return self.bits != 0

    def __len__(self) -> int:
        return self.bits.bit_count()

    def __or__(self, other: SlotSet) -> SlotSet:
        return SlotSet(self.bits | other.bits)

    def __and__(self, other: SlotSet) -> SlotSet:
        return SlotSet(self.bits & other.bits)

    def __sub__(self, other: SlotSet) -> SlotSet:
        return SlotSet(self.bits & ~other.bits)

    def __contains__(self, slot: int) -> bool:
        return bool(self.bits >> slot & 1)

    def __str__(self) -> str:
        return ",".join(str(each) for each in self.ranges()) or "none"

    def __repr__(self) -> str:  # 16384 bits as a decimal number would be nothing to read
        return f"SlotSet({self})"

    def __iter__(self) -> Iterator[int]:
        for each in self.ranges():
            yield from range(each.first, each.last + 1)

    def ranges(self) -> tuple[SlotRange, ...]:
        """The fewest ranges that make this set, ascending."""
        found: list[SlotRange] = []
        bits, base = self.bits, 0
        while bits:
            skip = (bits & -bits).bit_length() - 1  # zeros below the lowest slot
            bits >>= skip
            run = (~bits & (bits + 1)).bit_length() - 1  # ones from there on
            found.append(SlotRange(base + skip, base + skip + run - 1))
            bits >>= run
            base += skip + run
        return tuple(found)


NO_SLOTS = SlotSet()
ALL_SLOTS = SlotSet((1 << SLOT_COUNT) - 1)


def parse_slot_range(text: str) -> SlotRange:
    """``"0-5460"`` or ``"7"`` to a range.

    Raises ValueError when *text* is neither, or a slot is outside 0..16383.
    """
    first, dash, last = text.partition("-")
    found = SlotRange(int(first), int(last) if dash else int(first))
    if not 0 <= found.first <= found.last < SLOT_COUNT:
        raise ValueError(f"slots {text!r}: write a range within 0-{SLOT_COUNT - 1}, lower slot first")
    return found


def parse_slots(texts: Iterable[str]) -> SlotSet:
    """Ranges as ``status.slots`` and CLUSTER NODES write them, to a set. Raises ValueError."""
    return SlotSet.of(parse_slot_range(text) for text in texts)


def even_split(shards: int) -> tuple[SlotSet, ...]:
    """All slots over *shards*, contiguous, sizes differing by one at most: as `redis-cli --cluster create` splits."""
    share = SLOT_COUNT / shards
    edges = [round(share * i) for i in range(shards + 1)]
    return tuple(SlotSet.of([SlotRange(a, b - 1)]) for a, b in pairwise(edges))


@lru_cache(maxsize=256)
def keys_into(parts: tuple[SlotSet, ...]) -> tuple[str, ...]:
    """One key for each of *parts*, whose slot is in it. *parts* have no slot in common, and none is empty.

    A key's slot is its CRC16 (XMODEM: polynomial 0x1021, start 0) modulo 16384.
    """
    found: dict[int, str] = {}
    owners = {slot: number for number, part in enumerate(parts) for slot in part}
    for number in count():
        if len(found) == len(parts):
            break
        key = f"td-redis-operator:{number}"
        owner = owners.get(crc_hqx(key.encode(), 0) % SLOT_COUNT)
        if owner is not None:
            found.setdefault(owner, key)
    return tuple(found[number] for number in range(len(parts)))
