"""A mover that is killed at any command of handing over large keys: one that a client deletes before the next comes
does not come back, and none is lost by a failover that forgets that their slot is open.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import cast

import pytest
from redis.crc import key_slot

from tdredis.movers.pace import FAST
from tdredis.movers.progress import End
from tdredis.movers.reshard import Resharding, always
from tdredis.redis.moves import Move
from tdredis.redis.slots import parse_slots
from tdredis.redislink.errors import Refused
from tests.kit.waiting import eventually
from tests.unit.movers.dying import Dying, Killed
from tests.unit.movers.redis_cluster import ACCESS, RedisCluster, Server, redis_cluster

KEYS = (b"{b}large", b"{b}as large")
SLOT = key_slot(b"b")
VALUE = b"x" * 400_000  # two pieces
MOVE = Move(source="rat-0", target="rat-2", slots=parse_slots([str(SLOT)]), keys=0, size_bytes=0)


async def client(cluster: RedisCluster, *words: str | bytes) -> object:
    """What one is told that asks the owner first, and goes where it is sent."""
    owner, other = await owner_and_other(cluster)
    try:
        return await owner.ask(*words)
    except Refused as error:
        assert error.code == "ASK", error
        return (await other.link.call_all([("ASKING",), words], timeout_s=5))[1]


async def owner_and_other(cluster: RedisCluster) -> tuple[Server, Server]:
    first, _, third = cluster.primaries
    return (third, first) if SLOT in (await third.view()).me.slots else (first, third)


async def epochs_are_known(cluster: RedisCluster) -> bool:
    """All know the claims of all: who claims what another one has just claimed is to claim more than that."""
    found = []
    for server in cluster.primaries:
        lines = bytes(cast("bytes", await server.ask("CLUSTER", "NODES"))).decode().splitlines()
        found.append({line.split()[0]: int(line.split()[6]) for line in lines})
    return all(each == found[0] for each in found) and len(set(found[0].values())) == len(found[0])


async def is_killed(cluster: RedisCluster, commands: int) -> bool:
    work = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always, connect=Dying(commands))
    try:
        await work.run([MOVE])
    except Killed:
        return True
    return False


@pytest.mark.parametrize("meanwhile", ["deleted", "forgotten"])
async def test_a_mover_killed_anywhere_neither_brings_a_key_back_nor_loses_one(tmp_path: Path, meanwhile: str) -> None:
    async with redis_cluster(tmp_path, 2, 1) as cluster:
        first, _, third = cluster.primaries
        for commands in count():
            await eventually(lambda: epochs_are_known(cluster), "all know who claims what", deadline_s=20)
            for key in KEYS:
                assert await first.ask("SET", key, VALUE) == b"OK"
            if not await is_killed(cluster, commands):
                break
            left = dict.fromkeys(KEYS, VALUE)
            owner, _ = await owner_and_other(cluster)
            if meanwhile == "deleted":
                assert await client(cluster, "DEL", KEYS[0]) == 1, f"after {commands} commands"
                del left[KEYS[0]]
            elif owner is first:  # before Redis 8.4 a replica that is promoted knows of no open slot
                await first.ask("CLUSTER", "SETSLOT", SLOT, "STABLE")

            work = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always)
            assert await work.run([MOVE]) is End.DONE

            found = {key: await third.ask("GET", key) for key in KEYS}
            assert found == {key: left.get(key) for key in KEYS}, f"after {commands} commands"
            assert (await third.ask("DBSIZE"), await first.ask("DBSIZE")) == (len(left), 0), (
                f"after {commands} commands"
            )
            assert await cluster.open_slots() == []
            await third.ask("FLUSHALL")
            back = Move(source="rat-2", target="rat-0", slots=MOVE.slots, keys=0, size_bytes=0)
            assert (
                await Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always).run([back])
                is End.DONE
            )
        assert commands > 15, "it was killed behind every command that changes something"
