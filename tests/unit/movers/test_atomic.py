"""Engines that move slots by themselves: jobs by size, stopped at both ends, and nothing lost under writes."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from tdredis.movers.atomic import AtomicMover, Job, Way, parse_jobs
from tdredis.movers.pace import FAST
from tdredis.movers.progress import End, MoveFailed, NoRoomLeft, Progress, Word
from tdredis.movers.reshard import Resharding, always
from tdredis.redis.facts import parse_info
from tdredis.redis.moves import Move
from tdredis.redis.slots import parse_slots
from tdredis.redis.views import ClusterView, KnownNode
from tdredis.redislink.pool import Command
from tests.chaos.ledger import ByCluster, Ledger
from tests.kit.engines import engine, found_of
from tests.unit.movers.redis_cluster import ACCESS, HOST, PASSWORD, redis_cluster
from tests.unit.movers.test_killed import tags

SLOTS = parse_slots(["0-99", "200-299"])
MOVE = Move(source="rat-0", target="rat-2", slots=SLOTS, keys=0, size_bytes=0)
PINGS_BYTES = 100  # to replicas, one each ten seconds
ID = b"75343c29fa95873d0c612348555125e92a96cb9a"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        # Valkey 9.1.2, RESP3 and RESP2
        (
            [
                {
                    b"name": ID,
                    b"operation": b"EXPORT",
                    b"slot_ranges": b"0-100 200-300",
                    b"state": b"success",
                    b"message": b"",
                }
            ],
            Job(name=ID.decode(), slots=parse_slots(["0-100", "200-300"]), state="success", message=""),
        ),
        (
            [[b"name", ID, b"slot_ranges", b"7", b"state", b"failed", b"message", b"Ran out of memory"]],
            Job(name=ID.decode(), slots=parse_slots(["7"]), state="failed", message="Ran out of memory"),
        ),
        # Redis 8.6.3
        (
            [[b"id", ID, b"slots", b"0-100 200-300", b"state", b"canceled", b"last_error", b"why", b"retries", 0]],
            Job(name=ID.decode(), slots=parse_slots(["0-100", "200-300"]), state="canceled", message="why"),
        ),
    ],
)
def test_what_an_engine_says_of_its_jobs(reply: object, expected: Job) -> None:
    assert parse_jobs(reply) == [expected]
    assert expected.is_over
    assert expected.is_done == (expected.state == "success")


ENGINES = found_of("valkey91", "redis86")


@pytest.mark.parametrize("name", ENGINES)
async def test_the_engine_moves_slots_job_by_job_under_writes(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Way, "most_keys", 150)
    async with redis_cluster(tmp_path, 2, 1, server=engine(name) or "") as cluster:
        first, _, third = cluster.primaries
        names = [f"key:{{{tag}}}" for tag in tags(SLOTS)]
        await first.link.call_all([("SET", f"{each}:{n}", n) for each in names for n in (1, 2)], timeout_s=30)
        addresses = [f"{HOST}:{server.port}" for server in cluster.primaries]
        ledger = Ledger("ledger", ByCluster(lambda: addresses, PASSWORD), tags=tags(SLOTS))
        async with ledger.writing():
            await ledger.until_written(20, deadline_s=20)
            work = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always)

            assert await work.run([MOVE]) is End.DONE

            await ledger.until_written(20, deadline_s=20)
        assert (await third.view()).me.slots == SLOTS
        found = await third.link.call_all([("GET", f"{each}:{n}") for each in names for n in (1, 2)], timeout_s=30)
        assert found == [str(n).encode() for _ in names for n in (1, 2)]
        assert work.progress["rat-0", "rat-2"].slots == 200
        assert await ledger.missing(ByCluster(lambda: addresses, PASSWORD)) == ()


@pytest.mark.parametrize("name", ENGINES)
async def test_the_next_job_waits_until_a_replica_of_the_target_has_what_the_last_one_brought(
    tmp_path: Path, name: str
) -> None:
    async with redis_cluster(tmp_path, 2, 1, replicas=True, server=engine(name) or "") as cluster:
        first, _, third = cluster.primaries
        replica = cluster.replicas[2]
        await first.link.call_all([("SET", f"key:{{{tag}}}", "x" * 10_000) for tag in tags(SLOTS)], timeout_s=30)
        replica.process.send_signal(signal.SIGSTOP)
        asyncio.get_running_loop().call_later(0.6, replica.process.send_signal, signal.SIGCONT)
        work = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always)

        assert await work.run([MOVE]) is End.DONE

        reply = await third.ask("INFO", "replication")
        assert isinstance(reply, bytes)
        info = parse_info(reply.decode())
        acknowledged = int(info["slave0"].partition("offset=")[2].partition(",")[0])
        assert acknowledged >= int(info["master_repl_offset"]) - PINGS_BYTES
        assert await replica.ask("DBSIZE") == 200


@pytest.mark.parametrize("name", ENGINES)
async def test_a_job_that_is_told_to_stop_leaves_its_slots_where_they_were_and_the_next_one_is_taken(
    tmp_path: Path, name: str
) -> None:
    async with redis_cluster(tmp_path, 2, 1, server=engine(name) or "") as cluster:
        first, _, third = cluster.primaries
        await first.link.call_all([("SET", f"key:{{{tag}}}", "x" * 10_000) for tag in tags(SLOTS)], timeout_s=30)
        asked = 0

        def stops() -> Word:
            nonlocal asked
            asked += 1
            return Word.GO if asked < 4 else Word.FINISH

        ended = await Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=stops).run([MOVE])

        moved = (await third.view()).me.slots
        assert ended in {End.STOPPED, End.DONE}, "it may have been done before it heard of it"
        assert len(moved) in {0, 200}, "it is all or nothing"
        work = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always)
        assert await work.run([MOVE]) is End.DONE
        assert (await third.view()).me.slots == SLOTS
        assert await third.ask("DBSIZE") == 200


@pytest.mark.parametrize("name", ENGINES)
async def test_a_job_that_a_killed_mover_left_under_way_is_waited_for(tmp_path: Path, name: str) -> None:
    async with redis_cluster(tmp_path, 2, 1, server=engine(name) or "") as cluster:
        first, _, third = cluster.primaries
        await first.link.call_all([("SET", f"key:{{{tag}}}", "x" * 10_000) for tag in tags(SLOTS)], timeout_s=30)
        if name == "valkey91":
            await first.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, 50, "NODE", third.id)
        else:
            await third.ask("CLUSTER", "MIGRATION", "IMPORT", 0, 50)
        work = Resharding(places=cluster.places, access=ACCESS, pace=FAST, may_go_on=always)

        async with asyncio.timeout(60):
            assert await work.run([MOVE]) is End.DONE

        assert (await third.view()).me.slots == SLOTS
        assert await third.ask("DBSIZE") == 200


class Ends:
    """A node on which each job fails at once, because of *message*."""

    def __init__(self, name: str, message: str) -> None:
        self.name = self.id = name
        self._message = message
        self._jobs: list[object] = []

    async def view(self) -> ClusterView:
        flags = frozenset({"master", "myself"})
        me = KnownNode(
            id=self.id, ip=HOST, port=1, flags=flags, primary_id=None, config_epoch=1, link_connected=True, slots=SLOTS
        )
        return ClusterView(me=me, others={})

    async def counts(self, slots: list[int]) -> dict[int, int]:
        return dict.fromkeys(slots, 1)

    async def ask(self, *words: str | int) -> object:
        match words:
            case ("CLUSTER", "GETSLOTMIGRATIONS"):
                return self._jobs
            case ("INFO", "memory"):
                return b"used_memory:1\r\nmaxmemory:0\r\n"
            case ("DBSIZE",):
                return 200
        return b"OK"

    async def try_all(self, commands: list[Command]) -> list[object]:
        return [b"OK" for _ in commands]

    def fail(self) -> None:
        name = f"job {len(self._jobs)}"
        self._jobs.append({"name": name, "slot_ranges": "0-99 200-299", "state": "failed", "message": self._message})


@pytest.mark.parametrize(
    ("at_source", "at_target", "error"),
    [
        ("Connection lost to target.", "Ran out of memory (OOM) during slot import", NoRoomLeft),
        ("", "Ran out of memory (OOM) during slot import", NoRoomLeft),
        ("Connection lost to target.", "", MoveFailed),
        ("", "Connection lost to source.", MoveFailed),
    ],
)
async def test_of_a_job_that_failed_because_its_target_is_full_the_target_is_named(
    at_source: str, at_target: str, error: type[MoveFailed]
) -> None:
    """The source hears no more than that it lost the connection (valkey, cluster_migrateslots.c)."""
    source, target = Ends("rat-0", at_source), Ends("rat-2", at_target)
    begins = source.ask

    async def begun(*words: str | int) -> object:
        if words[:2] == ("CLUSTER", "MIGRATESLOTS"):
            source.fail()
            target.fail()
        return await begins(*words)

    source.ask = begun  # type: ignore[method-assign]
    ends: list[Any] = [source, target]
    mover = AtomicMover(*ends, way=Way.VALKEY, may_go_on=always, progress=Progress())

    with pytest.raises(error) as raised:
        await mover.move(SLOTS)

    assert type(raised.value) is error
    assert (at_target or at_source) in str(raised.value)
    assert error is MoveFailed or str(raised.value).startswith("rat-2 has no memory left")
