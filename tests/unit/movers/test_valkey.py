"""Valkey 8 carries SETSLOT out when its replicas have it: no process ends over that, and keys arrive as elsewhere."""

from __future__ import annotations

from pathlib import Path

from redis.crc import key_slot

from tdredis.movers.pace import FAST
from tdredis.movers.progress import End
from tdredis.movers.reshard import Resharding, always
from tdredis.redis.moves import Move
from tdredis.redis.slots import parse_slots
from tests.kit.engines import ALWAYS
from tests.unit.movers.redis_cluster import ACCESS, RedisCluster, redis_cluster

MIB = 2**20
VALKEY = ALWAYS[1]
SLOTS = parse_slots(["0-199"])
NAMES = tuple(f"key:{n}" for n in range(20_000) if key_slot(f"key:{n}".encode()) in SLOTS)
LARGE, HUGE = (next(f"{size}:{n}" for n in range(10**6) if key_slot(f"{size}:{n}".encode()) in SLOTS) for size in "ab")


async def test_slots_of_shards_with_replicas_go_there_and_back_and_nobody_ends(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 2, 1, replicas=True, server=VALKEY) as cluster:
        first, _, third = cluster.primaries
        await first.link.call_all([("SET", name, name) for name in NAMES], timeout_s=30)
        await first.ask("SET", LARGE, "x" * MIB)

        for source, target, owner in (("rat-0", "rat-2", third), ("rat-2", "rat-0", first)):
            assert await moved(cluster, source, target) == []

            assert (await owner.view()).me.slots & SLOTS == SLOTS
            assert await cluster.open_slots() == []
            values = await owner.link.call_all([("GET", name) for name in NAMES], timeout_s=30)
            assert values == [name.encode() for name in NAMES]
            assert await owner.ask("STRLEN", LARGE) == MIB
        assert [server.process.returncode for server in cluster.servers] == [None] * 6


async def test_a_key_above_eight_mebibytes_stays_and_is_named_and_nobody_ends(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 2, 1, replicas=True, server=VALKEY) as cluster:
        first, _, third = cluster.primaries
        await first.ask("SET", HUGE, "x" * 9 * MIB)

        [named] = await moved(cluster, "rat-0", "rat-2")

        assert f"'{HUGE}' (slot {key_slot(HUGE.encode())}, " in named
        assert "a string goes whole, and would stop both nodes" in named
        assert SLOTS - (await third.view()).me.slots == parse_slots([str(key_slot(HUGE.encode()))])
        assert await first.ask("STRLEN", HUGE) == 9 * MIB
        assert await cluster.open_slots() == []
        assert [server.process.returncode for server in cluster.servers] == [None] * 6


async def moved(cluster: RedisCluster, source: str, target: str) -> list[str]:
    """The keys that stayed."""
    work = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always)
    assert await work.run([Move(source=source, target=target, slots=SLOTS, keys=0, size_bytes=0)]) is End.DONE
    return [str(key) for key in work.progress[source, target].stuck]
