"""A large key of an open slot, which a client deletes and writes anew at any moment: the new one stays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from redis.crc import key_slot

from tdredis.movers.big_keys import Seen, copy_key, hand_over_keys
from tdredis.movers.node import ANSWER_S, Node
from tdredis.redis.slot_marks import copy_names
from tdredis.redislink.errors import Refused
from tdredis.redislink.link import connect
from tdredis.redislink.pool import Command
from tests.unit.movers.redis_cluster import ACCESS, HOST, RedisCluster, Server, redis_cluster

KEY = b"{b}large"
SLOT = key_slot(b"b")
SIZE = 1_000_000


class Meddler:
    """Does what *act* does, once, before round trip number *at* of all that it counts."""

    def __init__(self, act: Callable[[], Awaitable[None]]) -> None:
        self.act = act
        self.at = self.count = 0

    async def turn(self) -> None:
        if self.count == self.at:
            await self.act()
        self.count += 1


class MeddledNode(Node):
    meddler: Meddler

    async def ask(self, *words: str | bytes | int, timeout_s: float = ANSWER_S) -> object:
        await self.meddler.turn()
        return await super().ask(*words, timeout_s=timeout_s)

    async def try_all(self, commands: Sequence[Command], *, timeout_s: float = ANSWER_S) -> list[object]:
        await self.meddler.turn()
        return await super().try_all(commands, timeout_s=timeout_s)


async def client(cluster: RedisCluster, *words: str | bytes) -> object:
    """One command as a client sends it: to the owner of the slot, and where that says."""
    owner, _, other = cluster.primaries
    try:
        return await owner.ask(*words)
    except Refused as refused:
        assert refused.code == "ASK", refused
    _, reply = await other.link.call_all([("ASKING",), words], timeout_s=5)
    return reply


async def open_meddled(server: Server, meddler: Meddler, stack: AsyncExitStack) -> Node:
    node = MeddledNode(server.place, await connect(HOST, server.port, access=ACCESS, timeout_s=5), lambda: True)
    node.meddler = meddler
    stack.callback(node.close)
    return node


async def _meddled_at_every_round_trip(tmp_path: Path, act: Sequence[Sequence[str | bytes]], expected: object) -> None:
    async with redis_cluster(tmp_path, 2, 1) as cluster, AsyncExitStack() as stack:
        first, _, third = cluster.primaries

        async def do() -> None:
            for words in act:
                await client(cluster, *words)

        meddler = Meddler(do)
        source, target = [await open_meddled(each, meddler, stack) for each in (first, third)]
        seen, name = Seen(name=KEY, size_bytes=SIZE), copy_names(SLOT)[0]
        await third.ask("CLUSTER", "SETSLOT", SLOT, "IMPORTING", first.id)
        outcomes: list[bool] = []
        while not outcomes or meddler.count > meddler.at:
            at = len(outcomes)
            await first.ask("CLUSTER", "SETSLOT", SLOT, "STABLE")
            await first.ask("SET", KEY, "x" * SIZE)
            await first.ask("CLUSTER", "SETSLOT", SLOT, "MIGRATING", third.id)
            meddler.at = -1
            await source.ask("WATCH", KEY)
            await copy_key(source, target, seen, b"string", name)
            meddler.at, meddler.count = at, 0

            outcomes.append(await hand_over_keys(source, target, SLOT, [(seen, name)], is_open=True))

            if meddler.count > at:
                assert await client(cluster, "GET", KEY) == expected, f"before round trip {at}"
            assert await third.ask("DBSIZE") == (0 if expected is None and meddler.count > at else 1)
            assert await first.ask("DBSIZE") == 0
            await client(cluster, "DEL", KEY)
        assert outcomes[-1] is True, "nobody meddled with it"
        assert outcomes[0] is False, "a key that is gone is not handed over"


async def test_what_a_client_writes_anew_at_any_moment_stays(tmp_path: Path) -> None:
    await _meddled_at_every_round_trip(tmp_path, [("DEL", KEY), ("SET", KEY, "new")], b"new")


async def test_what_a_client_deletes_at_any_moment_stays_deleted(tmp_path: Path) -> None:
    await _meddled_at_every_round_trip(tmp_path, [("DEL", KEY)], None)
