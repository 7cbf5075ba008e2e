"""Who moves slots, and how long: orders of passes, against real processes, and who comes after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis.crc import key_slot

from tdredis.controllers.movers import Moved, Movers
from tdredis.planning.moving import MoveOrder, State
from tdredis.planning.snapshot import Key
from tdredis.redis.places import Place
from tdredis.redis.slots import SLOT_COUNT
from tdredis.redislink.access import Access
from tdredis.redislink.errors import Unreachable
from tdredis.redislink.link import Link, connect
from tdredis.redislink.pool import LinkPool
from tdredis.runtime.logs import keep_secrets, owner_of
from tests.unit.movers.redis_cluster import ACCESS, PASSWORD, RedisCluster, redis_cluster

KEY = Key("RedisCluster", "redis", "rat")
KEYS = 3000


class Keeper:
    """A keeper of movers, and what it told."""

    def __init__(self, *, may_act: Callable[[], bool] = lambda: True, connect: object = connect) -> None:
        self.news = asyncio.Event()
        self.looks: list[float] = []
        self.moved: list[Moved] = []
        links: LinkPool[Key] = LinkPool(lambda _key, _address: None)
        links.admit(KEY, ACCESS)
        self.movers = Movers(
            links,
            on_news=lambda _key: self.news.set(),
            look_after=lambda _key, wait_s: self.looks.append(wait_s),
            may_act=may_act,
            on_moved=lambda moved, _seconds: self.moved.append(moved),
            connect=connect,  # type: ignore[arg-type]
        )

    async def until(self, *states: State) -> State:
        async with asyncio.timeout(60):
            while True:
                moving = self.movers.moving(KEY)
                if moving is not None and moving.state in states:
                    return moving.state
                self.news.clear()
                await self.news.wait()

    async def until_moved(self, slots: int) -> None:
        """Some are at their new owner: it is in the middle."""
        async with asyncio.timeout(60):
            while (moving := self.movers.moving(KEY)) is None or moving.slots_done < slots:
                assert moving is None or moving.is_under_way, moving
                await asyncio.sleep(0.01)  # between two looks, under the deadline above

    @property
    def why(self) -> str:
        moving = self.movers.moving(KEY)
        assert moving is not None
        return moving.why


@asynccontextmanager
async def keeping(**wanted: object) -> AsyncIterator[Keeper]:
    keeper = Keeper(**wanted)  # type: ignore[arg-type]
    try:
        yield keeper
    finally:
        await keeper.movers.close()


def order_of(cluster: RedisCluster, *leaving: str) -> MoveOrder:
    return MoveOrder(shards=tuple(cluster.places.values()), leaving=frozenset(leaving), pace="fast")


async def fill(cluster: RedisCluster) -> list[str]:
    names = [f"key:{number}" for number in range(KEYS)]
    for server in cluster.primaries:
        mine = (await server.view()).me.slots
        own = [name for name in names if key_slot(name.encode()) in mine]
        if own:
            await server.link.call_all([("SET", name, f"value of {name}") for name in own], timeout_s=30)
    return names


async def everything_is_there(cluster: RedisCluster, names: list[str]) -> None:
    """Each key at the owner of its slot, and nowhere else; no slot is open, and none without an owner."""
    owned = await cluster.owned()
    assert sum(len(slots) for slots in owned) == SLOT_COUNT
    for server, slots in zip(cluster.primaries, owned, strict=True):
        own = [name for name in names if key_slot(name.encode()) in slots]
        replies = await server.link.call_all([("GET", name) for name in own], timeout_s=30) if own else []
        assert replies == [f"value of {name}".encode() for name in own]
        assert await server.ask("DBSIZE") == len(own)
    assert await cluster.open_slots() == []


async def test_an_order_is_carried_out_once_and_told_of(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 3, 1) as cluster, keeping() as keeper:
        names = await fill(cluster)
        order = order_of(cluster)

        assert keeper.movers.want(KEY, order) is True
        assert keeper.movers.want(KEY, order) is False, "it is under way"
        assert keeper.movers.running == 1
        assert await keeper.until(State.DONE, State.FAILED) is State.DONE, keeper.why

        await everything_is_there(cluster, names)
        added = len((await cluster.owned())[3])
        assert SLOT_COUNT * 0.23 < added < SLOT_COUNT * 0.27
        moving = keeper.movers.moving(KEY)
        assert moving is not None
        assert (moving.slots_done, moving.slots_total, moving.order) == (added, added, order)
        assert moving.bytes_done > 0
        assert sum(each.slots for each in keeper.moved) == added
        assert sum(each.keys for each in keeper.moved) == await cluster.primaries[3].ask("DBSIZE")
        assert keeper.movers.running == 0

        assert keeper.movers.want(KEY, order) is False, "it was carried out a moment ago"
        assert len(keeper.looks) == 1


async def test_what_is_not_wanted_any_more_ends_with_no_slot_open_and_goes_on_when_it_is_again(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 3, 1) as cluster, keeping() as keeper:
        names = await fill(cluster)
        keeper.movers.want(KEY, order_of(cluster))
        await keeper.until_moved(10)

        assert keeper.movers.want(KEY, None) is False
        assert await keeper.until(State.STOPPED, State.DONE, State.FAILED) is State.STOPPED, keeper.why
        await everything_is_there(cluster, names)
        assert 0 < len((await cluster.owned())[3]) < SLOT_COUNT / 5

        assert keeper.movers.want(KEY, order_of(cluster)) is True
        assert await keeper.until(State.DONE, State.FAILED) is State.DONE, keeper.why
        await everything_is_there(cluster, names)


async def test_an_edit_back_half_way_takes_back_what_was_moved(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 3, 1) as cluster, keeping() as keeper:
        names = await fill(cluster)
        keeper.movers.want(KEY, order_of(cluster))
        await keeper.until_moved(200)
        back = order_of(cluster, "rat-3")

        assert keeper.movers.want(KEY, back) is False, "the one under way ends first"
        assert await keeper.until(State.STOPPED, State.DONE, State.FAILED) is State.STOPPED, keeper.why
        assert keeper.movers.want(KEY, back) is True
        assert await keeper.until(State.DONE, State.FAILED) is State.DONE, keeper.why

        assert len((await cluster.owned())[3]) == 0
        await everything_is_there(cluster, names)


@pytest.mark.parametrize("way", ["lead lost", "killed"])
async def test_whoever_leads_no_more_sends_nothing_more_and_the_next_one_finishes(tmp_path: Path, way: str) -> None:
    leads = True
    async with redis_cluster(tmp_path, 3, 1) as cluster, keeping() as keeper:
        names = await fill(cluster)
        first = Keeper(may_act=lambda: leads)
        first.movers.want(KEY, order_of(cluster))
        await first.until_moved(100)

        leads = way != "lead lost"
        if way == "killed":
            first.movers.forget(KEY)
        began_at = asyncio.get_running_loop().time()
        await first.movers.close()
        assert asyncio.get_running_loop().time() - began_at < 3
        assert first.movers.moving(KEY) is None
        before = await cluster.owned()

        assert keeper.movers.want(KEY, order_of(cluster)) is True
        assert await cluster.owned() == before, "nobody moved anything meanwhile"
        assert await keeper.until(State.DONE, State.FAILED) is State.DONE, keeper.why
        await everything_is_there(cluster, names)


async def test_a_primary_that_dies_is_not_waited_for_and_its_successor_is_moved_from(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 3, 1, replicas=True) as cluster, keeping() as keeper:
        names = await fill(cluster)
        for server in cluster.primaries:
            assert await server.ask("WAIT", 1, 5000) == 1
        keeper.movers.want(KEY, order_of(cluster))
        await keeper.until_moved(100)

        cluster.primaries[0].kill()
        keeper.movers.want(KEY, None)  # a pass that has something better to do
        async with asyncio.timeout(30):
            while (await cluster.replicas[0].view()).me.is_replica:
                await asyncio.sleep(0.05)  # between two looks, under the deadline above
        cluster.fail_over(0)
        keeper.movers.want(KEY, order_of(cluster))
        while await keeper.until(State.DONE, State.FAILED, State.STOPPED) is not State.DONE:
            keeper.movers.want(KEY, order_of(cluster))
            keeper.news.clear()
            await asyncio.wait_for(keeper.news.wait(), 30)

        await everything_is_there(cluster, names)


async def test_another_primary_ends_the_mover_of_the_former_one_at_once(tmp_path: Path) -> None:
    """It may wait for an answer of who is frozen."""
    async with redis_cluster(tmp_path, 3, 1) as cluster, keeping() as keeper:
        await fill(cluster)
        order = order_of(cluster)
        keeper.movers.want(KEY, order)
        await keeper.until_moved(10)
        first, *others = order.shards

        keeper.movers.want(KEY, replace(order, shards=(replace(first, id="f" * 40), *others)))

        assert await keeper.until(State.FAILED, State.DONE) is State.FAILED
        assert keeper.why == "it was ended in the middle: something else is wanted"


async def test_a_replica_that_came_since_is_no_other_order(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 3, 1) as cluster, keeping() as keeper:
        await fill(cluster)
        order = order_of(cluster)
        keeper.movers.want(KEY, order)
        await keeper.until_moved(10)
        first, *others = order.shards

        keeper.movers.want(KEY, replace(order, shards=(replace(first, copies=frozenset({"f" * 40})), *others)))

        assert await keeper.until(State.FAILED, State.DONE, State.STOPPED) is State.DONE


async def test_an_order_without_room_is_refused_with_the_numbers(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path, 3, 1) as cluster, keeping() as keeper:
        names = await fill(cluster)
        for server in cluster.primaries:
            used = await server.ask("INFO", "memory")
            assert isinstance(used, bytes)
            await server.ask("CONFIG", "SET", "maxmemory", int(used.split(b"used_memory:")[1].split()[0]))

        keeper.movers.want(KEY, order_of(cluster, "rat-0"))

        assert await keeper.until(State.REFUSED, State.DONE, State.FAILED) is State.REFUSED, keeper.why
        assert "have room for 0 (rat-1 0, rat-2 0, rat-3 0)" in keeper.why
        assert keeper.movers.want(KEY, order_of(cluster, "rat-0")) is False, "not at once"
        await everything_is_there(cluster, names)


async def test_a_target_that_fills_up_meanwhile_is_given_nothing_more(tmp_path: Path) -> None:
    """Not all engines refuse what comes, and one that does so leaves slots half moved."""
    async with redis_cluster(tmp_path, 3, 1) as cluster, keeping() as keeper:
        names = await fill(cluster)
        keeper.movers.want(KEY, order_of(cluster))
        await keeper.until_moved(100)

        await cluster.primaries[3].ask("CONFIG", "SET", "maxmemory", 1_000_000)  # an empty one uses more

        assert await keeper.until(State.REFUSED, State.DONE, State.FAILED) is State.REFUSED, keeper.why
        # Whatever of a group was open is finished when there is room again.
        said = ("were to go to rat-3, which has room for 0: it uses ", "rat-3 has no memory left")
        assert any(words in keeper.why for words in said), keeper.why
        await cluster.primaries[3].ask("CONFIG", "SET", "maxmemory", 0)
        while keeper.movers.want(KEY, order_of(cluster)) is False:
            await asyncio.sleep(keeper.looks[-1])  # as long as it is held back
        assert await keeper.until(State.DONE, State.FAILED, State.REFUSED) is State.DONE, keeper.why
        await everything_is_there(cluster, names)


async def test_what_goes_wrong_is_told_without_the_password_and_tried_again_ever_more_seldom() -> None:
    async def refuse(*_: object, access: Access, **__: object) -> Link:
        raise Unreachable(f"no way to enter with {access.passwords_to_try[0]}")

    keep_secrets(owner_of(KEY.namespace, str(KEY)), (PASSWORD,))
    async with keeping(connect=refuse) as keeper:
        places = (Place(name=name, id=name, host="127.0.0.1", port=1) for name in ("rat-0", "rat-1"))
        order = MoveOrder(shards=tuple(places))
        assert keeper.movers.want(KEY, order) is True
        assert await keeper.until(State.FAILED) is State.FAILED
        assert keeper.why.startswith("no way to enter with ")
        assert PASSWORD not in keeper.why

        assert keeper.movers.want(KEY, order) is False
        assert 0 < keeper.looks[-1] <= 1.2

        other = replace(order, leaving=frozenset({"rat-1"}))
        assert keeper.movers.want(KEY, other) is True, "what is new is not held back"
