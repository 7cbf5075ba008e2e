"""A node that is at maxmemory from any command on: nothing is lost, the target is named, and later everything is right.

At maxmemory an engine refuses more than what needs memory: whatever is queued for a transaction, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import pytest
from redis.crc import key_slot

from tdredis.movers.big_keys import Seen, copy_key, hand_over_keys
from tdredis.movers.claims import claim
from tdredis.movers.node import Node, open_node
from tdredis.movers.pace import FAST
from tdredis.movers.progress import End, NoRoomLeft
from tdredis.movers.reshard import Resharding, always
from tdredis.redis.moves import Move
from tdredis.redis.slot_marks import copy_names
from tdredis.redis.slots import parse_slots
from tdredis.redislink.access import Access
from tdredis.redislink.link import Link, connect
from tdredis.redislink.pool import Command
from tests.kit.engines import ALWAYS
from tests.unit.movers.dying import changes
from tests.unit.movers.redis_cluster import ACCESS, RedisCluster, Server, redis_cluster

engines = pytest.mark.parametrize("server", ALWAYS, ids=lambda server: Path(server).name)
SLOTS = parse_slots(["0-4"])
TAGS = [next(str(n) for n in range(200_000) if key_slot(str(n).encode()) == slot) for slot in SLOTS]
SMALL = {f"small:{number}:{{{TAGS[number % len(TAGS)]}}}": f"value {number}".encode() for number in range(20)}
STRING, LIST = (f"{kind}:{{{TAGS[0]}}}" for kind in ("string", "list"))
BIG = b"0123456789" * 40_000  # bytes: two pieces
ITEMS = [f"{number}".encode() * 100 for number in range(1000)]


class Filling:
    """Connects as `link.connect` does. Before command number *at* of those that change something, counted over all
    connections, in the middle of a pipeline too, *victim* has as much as it may have.
    """

    def __init__(self, victim: Server, at: int) -> None:
        self._victim = victim
        self._left = at

    @property
    def is_full(self) -> bool:
        return self._left < 0

    async def __call__(
        self, host: str, port: int, *, access: Access, timeout_s: float, on_lost: Callable[[], None] | None = None
    ) -> Link:
        link = await connect(host, port, access=access, timeout_s=timeout_s, on_lost=on_lost)
        return cast("Link", _FillingLink(link, self))

    def before(self, command: Command) -> bool:
        """Whether it is filled up by this."""
        was_full = self.is_full
        self._left -= changes(command)
        return self.is_full and not was_full

    async def fill(self) -> None:
        await self._victim.ask("CONFIG", "SET", "maxmemory", 1)


class _FillingLink:
    def __init__(self, link: Link, filling: Filling) -> None:
        self._link = link
        self._filling = filling
        self.accepted = link.accepted

    async def call_all(self, commands: Sequence[Command], *, timeout_s: float) -> list[object]:
        replies: list[object] = []
        sent = 0
        for number, command in enumerate(commands):
            if self._filling.before(command):
                replies += await self._link.call_all(commands[:number], timeout_s=timeout_s) if number else []
                await self._filling.fill()
                sent = number
        return replies + await self._link.call_all(commands[sent:], timeout_s=timeout_s)

    def close(self) -> None:
        self._link.close()


def work(cluster: RedisCluster, connect: object = connect) -> Resharding:
    return Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always, connect=connect)  # type: ignore[arg-type]


async def write_all(server: Server) -> None:
    await server.link.call_all([("SET", name, value) for name, value in SMALL.items()], timeout_s=10)
    await server.link.call_all([("SET", STRING, BIG), ("RPUSH", LIST, *ITEMS)], timeout_s=10)


async def ask_all(cluster: RedisCluster, commands: Sequence[Command]) -> list[object]:
    """The replies that a client gets: of the owner, or of whom that sends it to."""
    [owner, *_] = [each for each in cluster.primaries if 0 in (await each.view()).me.slots]
    replies = await owner.link.call_all(commands, timeout_s=10)
    for number, (command, reply) in enumerate(zip(commands, replies, strict=True)):
        match str(reply).split():
            case ["ASK" | "MOVED", _, address]:
                other = next(each for each in cluster.primaries if address.endswith(f":{each.port}"))
                _, replies[number] = await other.link.call_all([("ASKING",), command], timeout_s=10)
    return replies


async def every_key_is_read(cluster: RedisCluster, when: str) -> None:
    reads: list[Command] = [("GET", name) for name in (*SMALL, STRING)]
    assert await ask_all(cluster, [*reads, ("LRANGE", LIST, 0, -1)]) == [*SMALL.values(), BIG, ITEMS], when


async def everything_is_at(cluster: RedisCluster, owner: Server, when: str) -> None:
    assert (await owner.view()).me.slots & SLOTS == SLOTS, when
    assert await cluster.open_slots() == [], when
    for server in cluster.primaries:
        assert await server.ask("DBSIZE") == (len(SMALL) + 2 if server is owner else 0), when
    await every_key_is_read(cluster, when)


async def full_at_every(folder: Path, server: str, victim: int, step: int) -> int:
    """*victim*: 0, the source, or 1, the target. Returns how often a move was refused."""
    async with redis_cluster(folder, 2, 1, server=server) as cluster:
        ends = [cluster.primaries[0], cluster.primaries[2]]
        await write_all(ends[0])
        at = refused = 0
        while True:
            source, target = ends
            move = Move(source=source.name, target=target.name, slots=SLOTS, keys=0, size_bytes=0)
            filling = Filling(ends[victim], at)
            when = f"full before command {at} from {source.name} to {target.name}"
            first = work(cluster, filling)
            try:
                assert await first.run([move]) is End.DONE, when
            except NoRoomLeft as error:
                refused += 1
                assert target.name in str(error), when
                assert victim == 1, f"{when}: {error}"
                await every_key_is_read(cluster, when)
            stuck = [key for progress in first.progress.values() for key in progress.stuck]
            assert stuck == [], when
            await ends[victim].ask("CONFIG", "SET", "maxmemory", 0)
            assert await work(cluster).run([move]) is End.DONE, when
            await everything_is_at(cluster, target, when)
            if not filling.is_full:
                assert at > 30, "there are more commands than that"
                return refused
            ends.reverse()
            at += step


@engines
async def test_a_target_full_from_a_sample_of_commands_on_is_named_and_later_all_is_right(
    tmp_path: Path, server: str
) -> None:
    assert await full_at_every(tmp_path, server, 1, 7) > 1


@engines
async def test_a_source_full_from_a_sample_of_commands_on_gives_everything_away(tmp_path: Path, server: str) -> None:
    assert await full_at_every(tmp_path, server, 0, 7) == 0


@pytest.mark.long
@engines
@pytest.mark.parametrize("victim", [0, 1], ids=["source", "target"])
async def test_full_from_any_command_on(tmp_path: Path, server: str, victim: int) -> None:
    assert (await full_at_every(tmp_path, server, victim, 1) > 8) is (victim == 1)


async def opened(cluster: RedisCluster, stack: AsyncExitStack) -> tuple[Node, Node]:
    """Connections to the first and the third, between which SLOTS are open."""
    first, _, third = cluster.primaries
    for slot in SLOTS:
        await third.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", first.id)
        await first.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", third.id)
    nodes = [await open_node(each.place, ACCESS) for each in (first, third)]
    for node in nodes:
        stack.callback(node.close)
    return nodes[0], nodes[1]


@engines
async def test_a_target_that_is_full_owns_what_it_has_all_keys_of(tmp_path: Path, server: str) -> None:
    async with redis_cluster(tmp_path, 2, 1, server=server) as cluster, AsyncExitStack() as stack:
        _, target = await opened(cluster, stack)
        await cluster.primaries[2].ask("CONFIG", "SET", "maxmemory", 1)

        await claim(target, list(SLOTS))

        view = await cluster.primaries[2].view()
        assert (view.me.slots, view.me.importing) == (SLOTS, {})
        assert await work(cluster).run([]) is End.DONE, "all agree, and the source has closed them"
        assert await cluster.open_slots() == []


@pytest.mark.parametrize("act", [("DEL", STRING), ("SETRANGE", STRING, 0, "changed")], ids=["deleted", "changed"])
async def test_a_copy_of_a_key_that_was_changed_meanwhile_does_not_stay_at_a_target_that_is_full(
    tmp_path: Path, act: Command
) -> None:
    """A key that a client deletes at its owner would come back with it."""
    async with redis_cluster(tmp_path, 2, 1) as cluster, AsyncExitStack() as stack:
        first, _, third = cluster.primaries
        await first.ask("SET", STRING, BIG)
        source, target = await opened(cluster, stack)
        seen, name = Seen(name=STRING.encode(), size_bytes=len(BIG)), copy_names(0)[0]
        await source.ask("WATCH", STRING)
        await copy_key(source, target, seen, b"string", name)
        try_all = source.try_all

        async def meddled(commands: Sequence[Command], **options: float) -> list[object]:
            if commands[0] == ("MULTI",):  # the copy has its name by now
                await first.ask(*act)
                await third.ask("CONFIG", "SET", "maxmemory", 1)
            return await try_all(commands, **options)

        source.try_all = meddled  # type: ignore[method-assign]

        assert await hand_over_keys(source, target, 0, [(seen, name)], is_open=True) is False

        assert await third.ask("DBSIZE") == 0
        assert await first.ask("DBSIZE") == (act[0] != "DEL")
