"""Moving slots by MIGRATE between real processes: every key arrives as it was, under writes, and big ones in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from redis.crc import key_slot

from tdredis.movers.pace import FAST, GENTLE, Pace
from tdredis.movers.progress import End
from tdredis.movers.reshard import Resharding, always
from tdredis.redis.moves import Move
from tdredis.redis.slots import SlotSet, parse_slots
from tests.unit.movers.redis_cluster import ACCESS, RedisCluster, Server, redis_cluster


def move(source: str, target: str, *ranges: str) -> Move:
    return Move(source=source, target=target, slots=parse_slots(ranges), keys=0, size_bytes=0)


def resharding(cluster: RedisCluster, pace: Pace = FAST) -> Resharding:
    return Resharding(places=cluster.places, access=ACCESS, pace=pace, may_go_on=always)


async def fill(server: Server, count: int, slots: SlotSet) -> dict[bytes, bytes]:
    """*count* keys of *slots*, which *server* owns."""
    made: dict[bytes, bytes] = {}
    number = 0
    while len(made) < count:
        key = f"key:{number}".encode()
        number += 1
        if key_slot(key) in slots:
            made[key] = b"value of " + key
    await server.link.call_all([("SET", key, value) for key, value in made.items()], timeout_s=30)
    return made


async def read(server: Server, keys: Iterable[bytes]) -> dict[bytes, object]:
    keys = list(keys)
    return dict(zip(keys, await server.link.call_all([("GET", key) for key in keys], timeout_s=30), strict=True))


@pytest.mark.parametrize("pace", [GENTLE, FAST], ids=lambda pace: pace.name)
async def test_slots_and_all_their_keys_go_and_every_node_agrees(tmp_path: Path, pace: Pace) -> None:
    async with redis_cluster(tmp_path, 2, 1) as cluster:
        first, _, third = cluster.primaries
        slots = parse_slots(["0-499"])
        made = await fill(first, 3000, slots)
        work = resharding(cluster, pace)

        end = await work.run([move("rat-0", "rat-2", "0-499")])

        assert end is End.DONE
        assert (await cluster.owned())[2] == slots
        assert await cluster.open_slots() == []
        assert await read(third, made) == made
        assert await first.ask("DBSIZE") == 0
        progress = work.progress["rat-0", "rat-2"]
        assert (progress.slots, progress.keys, progress.stuck) == (500, 3000, [])


async def test_big_keys_of_every_kind_go_in_pieces_while_others_go_whole(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 2, 1) as cluster:
        first, _, third = cluster.primaries
        tag = "{b}"
        slot = key_slot(b"b")
        value = "x" * 1000
        commands: list[tuple[str | int, ...]] = [("SET", f"{tag}string", "0123456789" * 300_000)]
        commands += [("RPUSH", f"{tag}list", *(f"{n}:{value}" for n in range(s, s + 500))) for s in range(0, 2000, 500)]
        commands += [
            ("HSET", f"{tag}hash", *(w for n in range(s, s + 5000) for w in (f"field {n}", n)))
            for s in range(0, 20000, 5000)
        ]
        commands += [("SADD", f"{tag}set", *(f"member {n}" for n in range(20000)))]
        commands += [("ZADD", f"{tag}zset", *(w for n in range(20000) for w in (f"{n / 7!r}", f"member {n}")))]
        commands += [("XADD", f"{tag}stream", "*", "field", value * 1000), ("SET", f"{tag}small", "1")]
        commands += [("PEXPIRE", f"{tag}string", 500_000), ("PEXPIRE", f"{tag}small", 500_000)]
        await first.link.call_all(commands, timeout_s=30)
        names = [f"{tag}{kind}" for kind in ("string", "list", "hash", "set", "zset", "stream", "small")]
        digests = await first.ask("DEBUG", "DIGEST-VALUE", *names)
        assert isinstance(digests, list)
        assert b"0" * 40 not in digests
        work = resharding(cluster)

        await work.run([move("rat-0", "rat-2", str(slot))])

        assert await third.ask("DEBUG", "DIGEST-VALUE", *names) == digests
        assert work.progress["rat-0", "rat-2"].big_keys == 5
        assert await first.ask("DBSIZE") == 0
        ends = await third.link.call_all([("PTTL", name) for name in (names[0], names[1], names[-1])], timeout_s=5)
        assert [isinstance(left, int) and 0 < left <= 500_000 for left in ends] == [True, False, True]
