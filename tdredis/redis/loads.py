"""Decides what a shard holds, slot by slot, and how much may come in addition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

USABLE_PERCENT = 90  # of a shard's maxmemory: replication buffers, and writes that come meanwhile, need the rest


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


def spread_bytes(keys: Mapping[int, int], data_bytes: int) -> dict[int, SlotLoad]:
    """Slots of a node that holds *data_bytes* in all, each with its share by keys: the estimate where no engine says
    more. Source of both: CLUSTER COUNTKEYSINSLOT, and INFO memory (used_memory_dataset).
    """
    total = sum(keys.values())
    return {
        slot: SlotLoad(keys=count, size_bytes=data_bytes * count // total if total else 0)
        for slot, count in keys.items()
    }
