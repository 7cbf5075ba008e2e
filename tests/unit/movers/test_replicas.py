"""Keys that were moved are waited for until a replica has them too: between real processes."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from redis.crc import key_slot

from tdredis.movers.node import Node, open_node
from tdredis.movers.replicas import until_copied
from tests.unit.movers.redis_cluster import ACCESS, PASSWORD, RedisCluster, redis_cluster

KEY = "moved"
SLOT = key_slot(KEY.encode())


async def _move_one_key(cluster: RedisCluster, stack: AsyncExitStack) -> Node:
    """From its owner to the one without slots, as a mover does; the slot stays open. Returns a connection to there."""
    source = next(
        server for server, slots in zip(cluster.primaries, await cluster.owned(), strict=True) if SLOT in slots
    )
    target = cluster.primaries[-1]
    await source.ask("SET", KEY, "value")
    await target.ask("CLUSTER", "SETSLOT", SLOT, "IMPORTING", source.id)
    await source.ask("CLUSTER", "SETSLOT", SLOT, "MIGRATING", target.id)
    place = target.place
    secret = ("AUTH2", "default", PASSWORD)
    await source.ask("MIGRATE", place.host, place.port, "", 0, 5000, "REPLACE", *secret, "KEYS", KEY)
    node = await open_node(place, ACCESS)
    stack.callback(node.close)
    return node


async def test_a_replica_that_is_slow_is_waited_for_and_has_the_keys_then(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 2, 1, replicas=True) as cluster, AsyncExitStack() as stack:
        replica = cluster.replicas[-1]
        replica.process.send_signal(signal.SIGSTOP)
        node = await _move_one_key(cluster, stack)

        waiting = asyncio.create_task(until_copied(node, [SLOT]))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done, "nobody has it but the one primary"
        replica.process.send_signal(signal.SIGCONT)

        assert await waiting is True
        assert await replica.ask("DBSIZE") == 1
        assert await cluster.primaries[-1].ask("DBSIZE") == 1, "what was written to wait for is gone"


async def test_one_that_does_not_come_keeps_nobody_waiting_for_long(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 2, 1, replicas=True) as cluster, AsyncExitStack() as stack:
        cluster.replicas[-1].process.send_signal(signal.SIGSTOP)
        node = await _move_one_key(cluster, stack)

        async with asyncio.timeout(3):
            assert await until_copied(node, [SLOT]) is False


async def test_where_there_is_no_replica_none_is_waited_for(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 2, 1) as cluster, AsyncExitStack() as stack:
        node = await _move_one_key(cluster, stack)

        async with asyncio.timeout(0.5):
            assert await until_copied(node, [SLOT]) is False
