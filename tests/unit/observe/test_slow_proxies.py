"""Proxies that do not read: which of them have answered, and since when they do nothing but refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tdredis.observe.asking import Asker
from tdredis.observe.questions import proxy_questions
from tdredis.planning.snapshot import Key
from tdredis.redis.facts import ProxyFacts, Unknown
from tdredis.redislink.pool import Address, LinkPool

KEY = Key("RedisCluster", "redis", "rat")
SLOW_S = 0.6  # longer than a proxy is waited for in every pass


@asynccontextmanager
async def slow_proxy() -> AsyncIterator[Address]:
    """It answers every read with nil, late."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            await asyncio.sleep(SLOW_S)  # that is what it is
            writer.write(b"$-1\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Address("uid-proxy", *server.sockets[0].getsockname())


async def test_a_proxy_that_is_late_is_waited_for_before_it_is_condemned() -> None:
    passed_s = 0.0
    links: LinkPool[Key] = LinkPool(lambda _, __: None)
    asker = Asker(links, now=lambda: 1000.0, steady=lambda: 50.0 + passed_s)
    async with slow_proxy() as address:
        in_a_hurry = await asker.ask_proxies(KEY, {"predixy-1": address}, proxy_questions(["key"]))
        passed_s = 2.5
        patient = await asker.ask_proxies(KEY, {"predixy-1": address}, proxy_questions(["key"]))
        links.close()

    assert isinstance(in_a_hurry["predixy-1"], Unknown)
    assert patient == {"predixy-1": ProxyFacts()}


@asynccontextmanager
async def proxy_that(*answers: bytes | None) -> AsyncIterator[Address]:
    """Of each question in turn: the reply, b"" for the end of the connection, None for none."""
    turns = iter(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while words := await reader.read(1024):
            if b"PING" in words:  # whoever comes in says it first
                writer.write(b"+PONG\r\n")
                continue
            answer = next(turns)
            if answer == b"":
                break
            writer.write(answer or b"")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Address("uid-proxy", *server.sockets[0].getsockname())


@pytest.mark.parametrize(
    ("answer", "wait_s", "refusing_since"),
    [(b"-upstream failure\r\n", 20.0, 50.0), (b"", 20.0, None), (None, 0.1, None)],
    ids=["an error", "the end of the connection", "nothing"],
)
async def test_an_error_is_a_refusal_and_the_rest_is_silence(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | None, wait_s: float, refusing_since: float | None
) -> None:
    monkeypatch.setattr("tdredis.observe.asking.ASK_PROXY_S", wait_s)  # a busy machine is to change nothing
    links: LinkPool[Key] = LinkPool(lambda _, __: None)
    asker = Asker(links, now=lambda: 1000.0, steady=lambda: 50.0)
    async with proxy_that(answer) as address:
        reads = await asker.ask_proxies(KEY, {"predixy-1": address}, proxy_questions(["key"]))
        links.close()

    read = reads["predixy-1"]
    assert isinstance(read, Unknown)
    assert read.refusing_since == refusing_since


async def test_where_nobody_listens_nobody_has_refused() -> None:
    links: LinkPool[Key] = LinkPool(lambda _, __: None)
    asker = Asker(links, now=lambda: 1000.0, steady=lambda: 50.0)
    async with slow_proxy() as address:
        pass  # its port is free again

    reads = await asker.ask_proxies(KEY, {"predixy-1": address}, proxy_questions(["key"]))

    read = reads["predixy-1"]
    assert isinstance(read, Unknown)
    assert (read.refused, read.refusing_since) == (True, None)


@pytest.mark.parametrize(
    ("answer", "speaks"),
    [
        (b"%1\r\n+proto\r\n:3\r\n", True),
        (b"-NOAUTH Authentication required.\r\n", True),
        (b"-NOPROTO unsupported protocol version\r\n", False),
        (b"", None),
        (None, None),
    ],
    ids=["its greeting", "no password", "another version", "the end", "nothing"],
)
async def test_whether_a_proxy_speaks_resp3_is_what_it_says_there(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | None, speaks: bool | None
) -> None:
    monkeypatch.setattr("tdredis.observe.asking.ASK_PROXY_S", 0.1 if answer is None else 20.0)
    links: LinkPool[Key] = LinkPool(lambda _, __: None)
    asker = Asker(links, now=lambda: 1000.0, steady=lambda: 50.0)
    async with proxy_that(b"$-1\r\n", b"$-1\r\n") as door, proxy_that(answer) as resp3_door:
        asked = (KEY, {"predixy-1": door}, proxy_questions(["key"]))
        reads = await asker.ask_proxies(*asked, {"predixy-1": resp3_door})
        not_asked = await asker.ask_proxies(*asked)
        links.close()

    assert (reads, not_asked) == ({"predixy-1": ProxyFacts(resp3=speaks)}, {"predixy-1": ProxyFacts(resp3=None)})


async def test_where_nobody_listens_nobody_speaks_resp3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tdredis.observe.asking.ASK_PROXY_S", 20.0)
    links: LinkPool[Key] = LinkPool(lambda _, __: None)
    asker = Asker(links, now=lambda: 1000.0, steady=lambda: 50.0)
    async with proxy_that() as resp3_door:
        pass  # its port is free again
    async with proxy_that(b"$-1\r\n") as door:
        reads = await asker.ask_proxies(KEY, {"predixy-1": door}, proxy_questions(["key"]), {"predixy-1": resp3_door})
        links.close()

    assert reads == {"predixy-1": ProxyFacts(resp3=False)}
