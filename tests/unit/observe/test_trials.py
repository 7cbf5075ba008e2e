"""What is found at an address for outside, on real processes and sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tdredis.observe.lookups import Lookups
from tdredis.observe.trials import Found, Outside, Trials, try_address
from tdredis.planning.live import Live
from tdredis.planning.snapshot import Key, PodFacts, Ref
from tdredis.redis.facts import Announced
from tdredis.redislink.access import Access
from tests.kit.builders import sample
from tests.kit.servers import HOST, PASSWORD, redis_server

ACCESS = Access((PASSWORD,))
MYID, RUN = ("CLUSTER", "MYID"), ("INFO", "server")
KEY = Key("RedisCluster", "redis", "rat")


async def test_a_process_of_ours_says_who_it_is(tmp_path: Path) -> None:
    async with redis_server(tmp_path, password=PASSWORD, cluster=True) as (port, _):
        node = await try_address(Announced(host=HOST, port=port), ACCESS, MYID)
        run = await try_address(Announced(host=HOST, port=port), ACCESS, RUN)
        alone = await try_address(Announced(host=HOST, port=port, bus_port=1), ACCESS, MYID)

    assert (len(node.id), node.verdict) == (40, "")
    assert (len(run.id), run.verdict) == (40, "")
    assert node.id != run.id
    assert (alone.verdict, alone.words) == ("nowhere", f"nobody listens at {HOST}:1, its bus port")


async def test_one_with_another_password_or_of_another_kind_is_elsewhere(tmp_path: Path) -> None:
    async with redis_server(tmp_path, password=PASSWORD) as (port, _):
        strange = await try_address(Announced(host=HOST, port=port), Access(("another",)), RUN)
        other = await try_address(Announced(host=HOST, port=port), ACCESS, MYID)

    assert (strange.verdict, other.verdict) == ("elsewhere", "elsewhere")
    assert PASSWORD not in strange.words


async def test_where_nobody_listens_is_nowhere() -> None:
    assert (await try_address(Announced(host=HOST, port=1), ACCESS, RUN)).verdict == "nowhere"


@pytest.mark.parametrize(("says", "verdict"), [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "elsewhere"), (b"", "elsewhere")])
async def test_what_is_no_redis_is_elsewhere(says: bytes, verdict: str) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert (await try_address(Announced(host=HOST, port=port), ACCESS, RUN)).verdict == verdict


async def test_who_takes_connections_and_says_nothing_was_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tdredis.observe.trials.TRY_S", 0.2)

    async def answer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(answer, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        found = await try_address(Announced(host=HOST, port=port), ACCESS, RUN)

    assert found.verdict == "untried"


def outside(port: int, *, verify: str = "auto") -> Outside:
    instance = sample(netmode="NodePort", vip=HOST, proxy={"enabled": False}, outside={"verify": verify})
    pod = PodFacts(name="p-0", uid="u", created=0.0, ip="10.0.0.1", running=True)
    ports = [{"name": "redis", "port": 6379, "nodePort": port}, {"name": "bus", "port": 16379, "nodePort": port}]
    service = Live.of({"spec": {"type": "NodePort", "ports": ports}})  # type: ignore[dict-item]
    return Outside(instance, {Ref("Service", "p-0"): service}, {"p-0": pod}, {})


async def test_an_address_is_tried_beside_the_passes_and_what_is_no_good_is_timed(tmp_path: Path) -> None:
    news: list[Key] = []
    now = 0.0
    lookups = Lookups(now=lambda: now, on_news=news.append)
    trials = Trials(lookups, lambda: now)
    async with redis_server(tmp_path, password=PASSWORD, cluster=True) as (port, _):
        place = f"{HOST}:{port}"
        node = await try_address(Announced(host=HOST, port=port), ACCESS, MYID)

        assert trials.look(KEY, outside(port), ACCESS, {}) == {}
        await lookups.settle()
        assert news == [KEY]

        assert trials.look(KEY, outside(port), ACCESS, {node.id: "u"})[place].verdict == "leads"
        assert trials.look(KEY, outside(port), ACCESS, {node.id: "another"})[place].verdict == "elsewhere"
        now = 7.0
        assert trials.look(KEY, outside(port), ACCESS, {node.id: "another"})[place].for_s == 7.0
        assert trials.look(KEY, outside(port, verify="off"), ACCESS, {}) == {}
    await lookups.close()


def test_what_was_found_is_equal_to_itself() -> None:
    """News are what differs from before."""
    assert Found(id="a") == Found(id="a")
