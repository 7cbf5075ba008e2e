"""MIGRATE that breaks leaves keys at both ends: what the target has of them goes before a client that deletes one could
find it again there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from redis.crc import key_slot

from tdredis.movers.big_keys import Seen
from tdredis.movers.calls import Call, CallFailed, send
from tdredis.movers.copies import drop_copies_of
from tdredis.movers.node import Node, open_node
from tdredis.movers.pace import FAST
from tdredis.movers.progress import End, Word
from tdredis.movers.reshard import Resharding, always
from tdredis.redis.moves import Move
from tdredis.redis.slots import parse_slots
from tdredis.redislink.errors import Refused
from tdredis.redislink.link import Link
from tdredis.redislink.pool import Command
from tests.unit.movers.redis_cluster import ACCESS, RedisCluster, Server, redis_cluster

SLOT = key_slot(b"b")
KEYS = [f"{{b}}{number}".encode() for number in range(20)]
CALL = Call(SLOT, [Seen(name=key, size_bytes=100) for key in KEYS])
MOVE = Move(source="rat-0", target="rat-2", slots=parse_slots([str(SLOT)]), keys=0, size_bytes=0)


class Breaking:
    """A source whose MIGRATE breaks so many times when the target has taken the keys: it never hears of that."""

    def __init__(self, link: Link, times: int, after: Callable[[], Awaitable[None]] | None = None) -> None:
        self._link, self._left, self._after = link, times, after
        self.accepted = link.accepted

    async def call_all(self, commands: Sequence[Command], *, timeout_s: float) -> list[object]:
        replies: list[object] = []
        for command in commands:
            breaks = command[0] == "MIGRATE" and self._left > 0
            if command[0] == "MIGRATE" and not breaks and self._after is not None:
                await self._after()
            words = [word for each in command for word in ((each, "COPY") if breaks and each == "REPLACE" else (each,))]
            (reply,) = await self._link.call_all([words], timeout_s=timeout_s)
            if breaks:
                assert reply == b"OK"
                self._left -= 1
                reply = Refused("IOERR error or timeout reading to target instance")
            replies.append(reply)
        return replies


@asynccontextmanager
async def open_slot(folder: Path) -> AsyncIterator[tuple[RedisCluster, Server, Server, Node]]:
    """The owner of a slot that is open, with KEYS, whom it goes to, and that as a mover has it."""
    async with redis_cluster(folder, 2, 1) as cluster:
        first, _, third = cluster.primaries
        await first.link.call_all([("SET", key, "old") for key in KEYS], timeout_s=10)
        await third.ask("CLUSTER", "SETSLOT", SLOT, "IMPORTING", first.id)
        await first.ask("CLUSTER", "SETSLOT", SLOT, "MIGRATING", third.id)
        target = await open_node(third.place, ACCESS)
        try:
            yield cluster, first, third, target
        finally:
            target.close()


async def keys_of(server: Server) -> int:
    return int(str(await server.ask("CLUSTER", "COUNTKEYSINSLOT", SLOT)))


def breaking(server: Server, times: int, after: Callable[[], Awaitable[None]] | None = None) -> Node:
    return Node(server.place, cast("Link", Breaking(server.link, times, after)), lambda: True)


async def test_a_call_that_breaks_each_time_leaves_no_copy(tmp_path: Path) -> None:
    async with open_slot(tmp_path) as (_, first, third, target):
        with pytest.raises(CallFailed, match="IOERR"):
            await send(breaking(first, 3), target, [CALL])

        assert (await keys_of(first), await keys_of(third)) == (len(KEYS), 0)


async def test_a_key_that_a_client_deletes_before_its_call_is_sent_again_stays_deleted(tmp_path: Path) -> None:
    async with open_slot(tmp_path) as (_, first, third, target):

        async def delete() -> None:
            assert await first.ask("DEL", KEYS[0]) == 1

        await send(breaking(first, 1, delete), target, [CALL])

        assert (await keys_of(first), await keys_of(third)) == (0, len(KEYS) - 1)
        assert await third.link.call_all([("ASKING",), ("EXISTS", KEYS[0])], timeout_s=5) == [b"OK", 0]


async def test_copies_go_and_what_the_target_alone_has_stays(tmp_path: Path) -> None:
    async with open_slot(tmp_path) as (_, first, third, target):
        taken = [word for key in KEYS[:12] for word in (("ASKING",), ("SET", key, "new"))]
        await third.link.call_all(taken, timeout_s=10)
        await first.link.call_all([("DEL", key) for key in KEYS[:2]], timeout_s=10)

        assert await drop_copies_of(breaking(first, 0), target, KEYS) == 2

        assert (await keys_of(first), await keys_of(third)) == (len(KEYS) - 2, 2)
        assert await third.link.call_all([("ASKING",), ("GET", KEYS[1])], timeout_s=5) == [b"OK", b"new"]


async def test_what_a_mover_that_was_killed_left_at_both_goes_before_anything_is_moved(tmp_path: Path) -> None:
    """Else a client had as long as all keys before it take to delete one that comes back."""
    async with open_slot(tmp_path) as (cluster, first, third, _):
        await third.link.call_all([("ASKING",), ("SET", KEYS[-1], "old")], timeout_s=10)
        asked = 0

        def leaves() -> Word:
            nonlocal asked
            asked += 1
            return Word.LEAVE if asked > 1 else Word.GO

        work = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=leaves)
        assert await work.run([MOVE]) is End.LEFT
        assert await keys_of(first) == len(KEYS), "none was moved yet"
        assert await first.ask("DEL", KEYS[-1]) == 1

        again = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always)
        assert await again.run([MOVE]) is End.DONE
        assert (await keys_of(first), await keys_of(third)) == (0, len(KEYS) - 1)
