"""Decides what a primary holds, slot by slot, and whether what is to come has room there.

No engine looks ahead: MIGRATE fails when slots are open already, or evicts other keys for those that come, and the
migration of Redis 8.6 takes everything, beyond maxmemory.
"""

from __future__ import annotations

from dataclasses import dataclass

from tdredis.movers.node import Node
from tdredis.movers.progress import MoveFailed, NoRoomLeft
from tdredis.redis.facts import parse_info
from tdredis.redis.loads import ShardLoad, room_bytes, spread_bytes
from tdredis.redislink.errors import Refused

ASKED = 512  # slots whose keys are counted in one round trip


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """INFO memory: of all, of the keys alone, and maxmemory (0: there is no limit)."""

    used_bytes: int
    data_bytes: int
    maxmemory_bytes: int


async def read_memory(node: Node) -> Memory:
    """Raises LinkError."""
    reply = await node.ask("INFO", "memory")
    if not isinstance(reply, bytes):
        raise Refused(f"{node.name} answered INFO with {type(reply).__name__}")
    info = parse_info(reply.decode("utf-8", "replace"))
    return Memory(
        used_bytes=int(info.get("used_memory", 0)),
        data_bytes=int(info.get("used_memory_dataset", 0)),
        maxmemory_bytes=int(info.get("maxmemory", 0)),
    )


async def look_at(node: Node) -> ShardLoad:
    """What it holds. Raises LinkError, ValueError, MoveFailed: it is another node than was meant, or a replica."""
    me = (await node.view()).me
    if me.id != node.id or me.is_replica:
        raise MoveFailed(f"{node.name} is not the primary {node.id} any more")
    slots = list(me.slots)
    keys: dict[int, int] = {}
    for start in range(0, len(slots), ASKED):
        keys |= await node.counts(slots[start : start + ASKED])
    memory = await read_memory(node)
    return ShardLoad(
        name=node.name,
        slots=spread_bytes(keys, memory.data_bytes),
        used_bytes=memory.used_bytes,
        maxmemory_bytes=memory.maxmemory_bytes,
    )


async def require_room(node: Node, coming_bytes: int) -> None:
    """Raises NoRoomLeft, with the numbers; LinkError."""
    memory = await read_memory(node)
    room = room_bytes(memory.used_bytes, memory.maxmemory_bytes)
    if room is not None and coming_bytes > room:
        raise NoRoomLeft(
            f"{coming_bytes} bytes were to go to {node.name}, which has room for {room}: it uses {memory.used_bytes}"
            f" of {memory.maxmemory_bytes} bytes"
        )
