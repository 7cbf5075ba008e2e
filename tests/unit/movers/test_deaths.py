"""A primary that dies in the middle of a move, and slots that others left open: the next mover goes on."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from redis.crc import key_slot

from tdredis.movers.pace import FAST
from tdredis.movers.progress import End, MoveFailed, Word
from tdredis.movers.reshard import Resharding, always
from tdredis.redis.moves import Move
from tdredis.redis.slots import parse_slots
from tdredis.redislink.errors import LinkError
from tests.unit.movers.redis_cluster import ACCESS, NODE_TIMEOUT_MS, RedisCluster, Server, redis_cluster

SLOTS = parse_slots(["0-199"])
MOVE = Move(source="rat-0", target="rat-2", slots=SLOTS, keys=0, size_bytes=0)


async def fill(server: Server, count: int) -> list[str]:
    names = [name for name in (f"key:{number}" for number in range(count * 90)) if key_slot(name.encode()) in SLOTS]
    await server.link.call_all([("SET", name, f"value of {name}") for name in names[:count]], timeout_s=30)
    return names[:count]


async def replicated(cluster: RedisCluster) -> None:
    for server in cluster.primaries:
        assert await server.ask("WAIT", 1, 5000) == 1


async def promoted(replica: Server) -> None:
    async with asyncio.timeout(30):
        while (await replica.view()).me.is_replica:
            await asyncio.sleep(0.05)  # between two looks, under the deadline above


@pytest.mark.parametrize("victim", [0, pytest.param(3, marks=pytest.mark.long)], ids=["source", "target"])
async def test_a_primary_that_dies_in_the_middle_is_followed_by_its_replica_and_every_key_arrives(
    tmp_path: Path, victim: int
) -> None:
    """What Redis 7.0 marked is forgotten with it: its replica has never heard of it."""
    async with redis_cluster(tmp_path, 3, 1, replicas=True) as cluster:
        move = replace(MOVE, target="rat-3")
        names = await fill(cluster.primaries[0], 2000)
        asked = 0  # a group of slots has gone, and the next one is open

        def stops() -> Word:
            nonlocal asked
            asked += 1
            return Word.GO if asked < 40 else Word.LEAVE

        assert await work(cluster, stops).run([move]) is End.LEFT
        assert await cluster.open_slots() != []
        await replicated(cluster)
        cluster.primaries[victim].kill()
        with pytest.raises(LinkError):
            await work(cluster).run([move])
        await promoted(cluster.replicas[victim])
        cluster.fail_over(victim)

        assert await work(cluster).run([move]) is End.DONE

        await everything_is_at(cluster, 3, names)


async def test_a_frozen_target_does_not_freeze_its_source(tmp_path: Path) -> None:
    """Whoever is in MIGRATE answers nobody: two primaries would be missing where one is, and no majority be left."""
    async with redis_cluster(tmp_path, 2, 1) as cluster:
        first, _, third = cluster.primaries
        names = await fill(first, 2000)
        frozen = work(cluster)
        moving = asyncio.create_task(frozen.run([MOVE]))
        async with asyncio.timeout(20):
            while not frozen.progress or frozen.progress["rat-0", "rat-2"].slots < 64:
                await asyncio.sleep(0.002)  # between two looks, under the deadline above
        third.process.send_signal(signal.SIGSTOP)
        loop = asyncio.get_running_loop()
        longest_s = 0.0
        until = loop.time() + 2 * NODE_TIMEOUT_MS / 1000
        while loop.time() < until:
            asked_at = loop.time()
            await first.ask("PING")
            longest_s = max(longest_s, loop.time() - asked_at)
            await asyncio.sleep(0.01)  # the pace of asking
        assert longest_s < NODE_TIMEOUT_MS / 1000
        moving.cancel()  # it waits for an answer of the target
        with pytest.raises((LinkError, MoveFailed, asyncio.CancelledError)):
            await moving

        third.process.send_signal(signal.SIGCONT)
        assert await work(cluster).run([MOVE]) is End.DONE
        await everything_is_at(cluster, 2, names)


async def test_slots_that_another_mover_left_open_are_finished_before_anything_else_is_moved(tmp_path: Path) -> None:
    """Between a third node and the source, both marks, one, or one of them with the keys on their way."""
    async with redis_cluster(tmp_path, 2, 1) as cluster:
        first, second, third = cluster.primaries
        names = await fill(first, 500)
        by_slot = {slot: [name for name in names if key_slot(name.encode()) == slot] for slot in (3, 4, 5, 6)}
        for slot in (3, 4, 5):
            await second.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", first.id)
        for slot in (3, 4):
            await first.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", second.id)
        await first.ask("CLUSTER", "SETSLOT", 6, "MIGRATING", third.id)
        await first.ask(
            *("MIGRATE", second.place.host, second.port, "", 0, 5000, "AUTH2", "default"),
            *(ACCESS.passwords_to_try[0], "KEYS", *by_slot[4][:1]),
        )
        # What a mover that was killed had copied, and its own name for it: clients were never sent there.
        copy = await first.ask("DUMP", by_slot[5][0])
        assert isinstance(copy, bytes)
        await second.link.call_all([("ASKING",), ("RESTORE", by_slot[5][0], 0, copy)], timeout_s=5)
        await first.ask("SET", by_slot[5][0], "written since")

        assert await work(cluster).run([MOVE]) is End.DONE

        assert await cluster.open_slots() == []
        assert [slot in (await second.view()).me.slots for slot in (3, 4, 5, 6)] == [True, True, False, False]
        assert await third.ask("GET", by_slot[5][0]) == b"written since"
        for slot in (3, 4):
            for name in by_slot[slot]:
                assert await second.ask("GET", name) == f"value of {name}".encode()
        others = [name for name in names if key_slot(name.encode()) not in (3, 4) and name != by_slot[5][0]]
        await everything_is_at(cluster, 2, others)


@pytest.mark.parametrize("open_slots, said", [(0, "which has room for 0"), (8, "rat-2 has no memory left")])
async def test_a_target_without_memory_is_named_and_the_move_goes_on_when_it_has_some(
    tmp_path: Path, open_slots: int, said: str
) -> None:
    """Nothing is opened for it; of what is open the engine says so."""
    async with redis_cluster(tmp_path, 2, 1) as cluster:
        first, _, third = cluster.primaries
        names = await fill(first, 2000)
        for slot in range(open_slots):
            await third.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", first.id)
            await first.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", third.id)
        await third.ask("CONFIG", "SET", "maxmemory", 1_000_000)  # an empty one uses more

        with pytest.raises(MoveFailed, match=said):
            await work(cluster).run([MOVE])
        assert len(await cluster.open_slots()) == 2 * open_slots
        await third.ask("CONFIG", "SET", "maxmemory", 0)

        assert await work(cluster).run([MOVE]) is End.DONE
        await everything_is_at(cluster, 2, names)


async def test_a_target_that_has_not_heard_who_owns_a_slot_that_it_imports_is_told(tmp_path: Path) -> None:
    """Its peers tell it no more, once the slot is open, and it would refuse every key of it for ever."""
    async with redis_cluster(tmp_path, 2, 1) as cluster:
        first, _, third = cluster.primaries
        names = await fill(first, 500)
        for server in cluster.primaries:
            await server.ask("CONFIG", "SET", "cluster-require-full-coverage", "yes")
        for slot in (3, 4):
            await third.ask("CLUSTER", "DELSLOTS", slot)
            await third.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", first.id)
        await first.ask("CLUSTER", "SETSLOT", 3, "MIGRATING", third.id)

        assert await work(cluster).run([MOVE]) is End.DONE
        await everything_is_at(cluster, 2, names)


async def test_a_source_that_became_a_replica_with_its_last_slot_is_no_failure(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 2, 1) as cluster:
        first, _, third = cluster.primaries
        names = await fill(first, 500)
        for server in cluster.primaries:
            await server.ask("CONFIG", "SET", "cluster-allow-replica-migration", "yes")
        everything = Move(source="rat-0", target="rat-2", slots=(await first.view()).me.slots, keys=0, size_bytes=0)

        assert await work(cluster).run([everything]) is End.DONE
        assert (await first.view()).me.slots == parse_slots([])
        replies = await third.link.call_all([("GET", name) for name in names], timeout_s=30)
        assert replies == [f"value of {name}".encode() for name in names]


def work(cluster: RedisCluster, may_go_on: object = always) -> Resharding:
    return Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=may_go_on)  # type: ignore[arg-type]


async def everything_is_at(cluster: RedisCluster, owner: int, names: list[str]) -> None:
    replies = await cluster.primaries[owner].link.call_all([("GET", name) for name in names], timeout_s=30)
    assert replies == [f"value of {name}".encode() for name in names]
    assert await cluster.open_slots() == []
    for number, server in enumerate(cluster.primaries):
        if number != owner:
            there = await server.link.call_all([("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in SLOTS], timeout_s=10)
            mine = (await server.view()).me.slots
            assert [count for slot, count in zip(SLOTS, there, strict=True) if slot not in mine and count] == []
