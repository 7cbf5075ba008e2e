"""A mover that is killed at any command: the next one goes on, no acknowledged write is lost, no slot stays open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.crc import key_slot

from tdredis.movers.pace import FAST
from tdredis.movers.progress import End, Word
from tdredis.movers.reshard import Resharding, always
from tdredis.redis.moves import Move
from tdredis.redis.slots import SlotSet, parse_slots
from tests.chaos.ledger import ByCluster, Ledger
from tests.kit.engines import ALWAYS
from tests.unit.movers.dying import Dying, Killed
from tests.unit.movers.redis_cluster import ACCESS, HOST, PASSWORD, RedisCluster, redis_cluster

engines = pytest.mark.parametrize("server", ALWAYS, ids=lambda server: Path(server).name)
SLOTS = parse_slots(["0-11"])
KEYS = 60
BIG = 400_000  # bytes: two pieces


def tags(slots: SlotSet) -> list[str]:
    """A tag into each of *slots*."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < len(slots):
        if (slot := key_slot(str(number).encode())) in slots:
            found.setdefault(slot, str(number))
        number += 1
    return list(found.values())


def going(source: str, target: str) -> Move:
    return Move(source=source, target=target, slots=SLOTS, keys=0, size_bytes=0)


@asynccontextmanager
async def written_to(folder: Path, server: str = "redis-server") -> AsyncIterator[RedisCluster]:
    """A cluster of two and an empty third, with keys in SLOTS, two of them big. A ledger writes there all the time, and
    nothing that it was told is missing in the end.
    """
    async with redis_cluster(folder, 2, 1, server=server) as cluster:
        first = cluster.primaries[0]
        names = tags(SLOTS)
        for number in range(KEYS):
            await first.ask("SET", f"fixed:{number}:{{{names[number % len(names)]}}}", number)
        await first.ask("SET", f"big string:{{{names[0]}}}", "0123456789" * (BIG // 10))
        await first.ask("RPUSH", f"big list:{{{names[0]}}}", *(f"{number}" * 100 for number in range(1000)))
        addresses = [f"{HOST}:{server.port}" for server in cluster.primaries]
        ledger = Ledger("ledger", ByCluster(lambda: addresses, PASSWORD), tags=names)
        async with ledger.writing():
            yield cluster
            await ledger.until_written(50, deadline_s=20)
        assert await ledger.missing(ByCluster(lambda: addresses, PASSWORD)) == ()


async def everything_is_there(cluster: RedisCluster, owner: int) -> None:
    """In *owner*, a number of a primary, and nowhere else."""
    names = tags(SLOTS)
    server = cluster.primaries[owner]
    assert (await server.view()).me.slots & SLOTS == SLOTS
    for number in range(KEYS):
        assert await server.ask("GET", f"fixed:{number}:{{{names[number % len(names)]}}}") == str(number).encode()
    assert await server.ask("GET", f"big string:{{{names[0]}}}") == b"0123456789" * (BIG // 10)
    items = await server.ask("LRANGE", f"big list:{{{names[0]}}}", 0, -1)
    assert items == [(f"{number}" * 100).encode() for number in range(1000)]
    assert await cluster.open_slots() == []
    for other in cluster.primaries:
        if other is not server:
            counts = await other.link.call_all([("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in SLOTS], timeout_s=10)
            assert counts == [0] * len(SLOTS)
    assert await server.ask("KEYS", "*copy*") == []


async def _killed_at(cluster: RedisCluster, commands: int, move: Move) -> bool:
    """False: it was done before so many commands."""
    dying = Dying(commands)
    work = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always, connect=dying)
    try:
        await work.run([move])
    except Killed:
        return True
    return False


async def _kill_at_every(folder: Path, step: int, server: str) -> None:
    async with written_to(folder, server) as cluster:
        moves = [going("rat-0", "rat-2"), going("rat-2", "rat-0")]
        number, commands = 0, 0
        while await _killed_at(cluster, commands, moves[number % 2]):
            work = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always)
            assert await work.run([moves[number % 2]]) is End.DONE
            await everything_is_there(cluster, 2 if number % 2 == 0 else 0)
            number, commands = number + 1, commands + step
        assert number > 60 / step, f"{number} kills, up to {commands} commands"
        await everything_is_there(cluster, 2 if number % 2 == 0 else 0)


@engines
async def test_a_mover_killed_at_a_sample_of_its_commands_loses_nothing(tmp_path: Path, server: str) -> None:
    await _kill_at_every(tmp_path, 11, server)


@pytest.mark.long
@engines
async def test_a_mover_killed_at_any_of_its_commands_loses_nothing(tmp_path: Path, server: str) -> None:
    await _kill_at_every(tmp_path, 1, server)


@pytest.mark.parametrize(("word", "end"), [(Word.FINISH, End.STOPPED), (Word.LEAVE, End.LEFT)])
async def test_a_mover_that_is_told_to_stop_leaves_no_slot_open_and_one_that_is_told_to_leave_sends_nothing_more(
    tmp_path: Path, word: Word, end: End
) -> None:
    async with written_to(tmp_path) as cluster:
        asked = 0

        def stops() -> Word:
            nonlocal asked
            asked += 1
            return Word.GO if asked < 8 else word

        work = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=stops)
        move = Move(source="rat-0", target="rat-2", slots=parse_slots(["0-199"]), keys=0, size_bytes=0)

        assert await work.run([move]) is end

        if word is Word.FINISH:
            assert await cluster.open_slots() == []
            assert len((await cluster.owned())[2]) == 1 + 64, "the first slot of all, and the group that was open"
        else:
            assert await cluster.open_slots() != []
            assert asked == 8
        again = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always)
        assert await again.run([move]) is End.DONE
        await everything_is_there(cluster, 2)
