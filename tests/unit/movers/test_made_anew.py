"""A large key of a slot that is open, which a client deletes and writes anew while it is copied: the new one stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.crc import key_slot

from tdredis.movers.big_keys import Seen, copy_key, hand_over_keys
from tdredis.movers.node import Node, open_node
from tdredis.redis.slot_marks import copy_names
from tests.unit.movers.redis_cluster import ACCESS, Server, redis_cluster

KEY = b"{b}large"
SLOT = key_slot(b"b")
SIZE = 1_000_000
SEEN, NAME = Seen(name=KEY, size_bytes=SIZE), copy_names(SLOT)[0]


@asynccontextmanager
async def open_slot(folder: Path) -> AsyncIterator[tuple[Server, Server, Node, Node]]:
    """The owner of a slot that is open, with the key, and whom it goes to; and both as a mover has them."""
    async with redis_cluster(folder, 2, 1) as cluster:
        first, _, third = cluster.primaries
        await first.ask("SET", KEY, "x" * SIZE)
        await third.ask("CLUSTER", "SETSLOT", SLOT, "IMPORTING", first.id)
        await first.ask("CLUSTER", "SETSLOT", SLOT, "MIGRATING", third.id)
        source, target = [await open_node(each.place, ACCESS) for each in (first, third)]
        try:
            yield first, third, source, target
        finally:
            source.close()
            target.close()


async def copy(source: Node, target: Node) -> None:
    await source.ask("WATCH", KEY)
    await copy_key(source, target, SEEN, b"string", NAME)


async def test_a_key_that_was_deleted_and_made_anew_at_the_target_is_not_replaced_by_its_copy(tmp_path: Path) -> None:
    async with open_slot(tmp_path) as (first, third, source, target):
        await copy(source, target)
        assert await first.ask("DEL", KEY) == 1
        assert await third.link.call_all([("ASKING",), ("SET", KEY, "new")], timeout_s=5) == [b"OK", b"OK"]

        assert await hand_over_keys(source, target, SLOT, [(SEEN, NAME)], is_open=True) is False

        assert await third.link.call_all([("ASKING",), ("GET", KEY)], timeout_s=5) == [b"OK", b"new"]
        assert await third.ask("DBSIZE") == 1, "its copy is gone"


async def test_one_that_a_killed_mover_left_at_both_is_replaced_by_its_copy(tmp_path: Path) -> None:
    async with open_slot(tmp_path) as (first, third, source, target):
        assert await third.link.call_all([("ASKING",), ("SET", KEY, "old")], timeout_s=5) == [b"OK", b"OK"]
        await copy(source, target)

        assert await hand_over_keys(source, target, SLOT, [(SEEN, NAME)], is_open=True) is True

        assert await third.link.call_all([("ASKING",), ("STRLEN", KEY)], timeout_s=5) == [b"OK", SIZE]
        assert await first.ask("DBSIZE") == 0
