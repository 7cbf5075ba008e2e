"""What a shard has while a plan is made: its slots as far as they have come and gone, and what it is to have."""

from __future__ import annotations

from dataclasses import dataclass, field

from tdredis.redis.loads import ShardLoad, SlotLoad, room_bytes


@dataclass(slots=True)
class Holding:
    """What one shard has at a moment of the plan. *number*: its place among all; *room*: bytes that may still come;
    None: there is no limit; *gives_to*: numbers of those that get something of it.
    """

    number: int
    shard: ShardLoad
    stays: bool
    level: int
    slots: dict[int, SlotLoad]
    size_bytes: int
    room: int | None
    gives_to: set[int] = field(default_factory=set)
    in_vain: int | None = None  # it found no taker when so many had come to want more; None: it is to look for one
    least: int = 0  # bytes that somebody must want so that it is not in vain
    large: list[tuple[int, int]] | None = None  # bytes and slot of those that are no splinter; None: not looked up yet

    @property
    def name(self) -> str:
        return self.shard.name

    @property
    def surplus(self) -> int:
        """Bytes above its level."""
        return self.size_bytes - self.level

    @property
    def wants(self) -> int:
        return self.level - self.size_bytes

    @property
    def is_full(self) -> bool:
        """Nothing more has room in it once what is planned is done: what went then counts too."""
        used = self.shard.used_bytes + self.size_bytes - self.shard.size_bytes
        return room_bytes(used, self.shard.maxmemory_bytes) == 0

    def fits(self, load: SlotLoad) -> bool:
        return self.room is None or load.size_bytes <= self.room
