"""Keys that nothing moves without stopping a node: they are named with their size, and everything else goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from redis.crc import key_slot

from tdredis.movers.pace import FAST
from tdredis.movers.progress import End, StuckKey
from tdredis.movers.reshard import Resharding, always
from tdredis.redis.moves import Move
from tdredis.redis.slots import parse_slots
from tdredis.redislink.link import connect
from tests.unit.movers.redis_cluster import ACCESS, HOST, RedisCluster, Server, redis_cluster

MIB = 2**20
SLOT = key_slot(b"b")
OTHERS = parse_slots([f"{SLOT + 1}-{SLOT + 100}"])
SMALL = tuple(str(n) for n in range(20_000) if key_slot(str(n).encode()) in OTHERS)


async def moved(cluster: RedisCluster) -> tuple[End, list[StuckKey]]:
    """What came of moving SLOT and OTHERS from the first to the third."""
    work = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always)
    slots = OTHERS | parse_slots([str(SLOT)])
    end = await work.run([Move(source="rat-0", target="rat-2", slots=slots, keys=0, size_bytes=0)])
    return end, work.progress["rat-0", "rat-2"].stuck


async def the_others_went_and_it_stayed(cluster: RedisCluster, key: str) -> None:
    first, _, third = cluster.primaries
    assert (await third.view()).me.slots == OTHERS
    assert await cluster.open_slots() == []
    assert await first.ask("EXISTS", key) == 1, "whoever asks its owner finds it"
    assert await first.ask("DBSIZE") == 1
    assert await third.ask("DBSIZE") == len(SMALL)


async def test_a_stream_that_would_stop_both_nodes_stays_and_is_named_with_its_size(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 2, 1) as cluster:
        first = cluster.primaries[0]
        await first.link.call_all([("SET", name, "1") for name in SMALL], timeout_s=30)
        await first.link.call_all([("XADD", "{b}log", "*", "line", "x" * MIB)] * 9, timeout_s=30)

        end, stuck = await moved(cluster)

        assert end is End.DONE
        [key] = stuck
        assert (key.name, key.slot, key.why) == (b"{b}log", SLOT, "a stream goes whole, and would stop both nodes")
        assert 9 * MIB <= key.size_bytes <= 12 * MIB, "as MEMORY USAGE has it"
        await the_others_went_and_it_stayed(cluster, "{b}log")

        assert await first.ask("XTRIM", "{b}log", "MAXLEN", 1) == 8
        assert await moved(cluster) == (End.DONE, [])
        assert (await cluster.primaries[2].view()).me.slots == OTHERS | parse_slots([str(SLOT)])


async def test_a_large_key_that_is_always_written_to_stays_and_is_named_with_its_size(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 2, 1) as cluster:
        first = cluster.primaries[0]
        await first.link.call_all([("SET", name, "1") for name in SMALL], timeout_s=30)
        await first.ask("SET", "{b}hot", "x" * (4 * MIB))
        async with _always_written_to(first, "{b}hot"):
            end, stuck = await moved(cluster)

        assert end is End.DONE
        [key] = stuck
        assert (key.name, key.slot) == (b"{b}hot", SLOT)
        assert "it was changed each of 5 times" in key.why
        assert key.size_bytes >= 4 * MIB
        await the_others_went_and_it_stayed(cluster, "{b}hot")
        assert await first.ask("STRLEN", "{b}hot") == 4 * MIB


@asynccontextmanager
async def _always_written_to(server: Server, key: str) -> AsyncIterator[None]:
    """By a client of its own, a byte at a time."""
    link = await connect(HOST, server.port, access=ACCESS, timeout_s=5)

    async def write() -> None:
        for number in count():
            await link.call("SETRANGE", key, number % MIB, "y", timeout_s=5)

    task = asyncio.create_task(write())
    try:
        yield
    finally:
        assert not task.done(), "it was written to all the time"
        task.cancel()
        await asyncio.wait([task])
        link.close()
