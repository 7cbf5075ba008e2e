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


UPSTREAM_FAILURE = b"-upstream failure\r\n"


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
    ("answers", "refusing_for_s"),
    [
        ([UPSTREAM_FAILURE, UPSTREAM_FAILURE, UPSTREAM_FAILURE], 4),
        ([None, UPSTREAM_FAILURE, UPSTREAM_FAILURE], 2),
        ([UPSTREAM_FAILURE, None, UPSTREAM_FAILURE], 0),
        ([UPSTREAM_FAILURE, b"$-1\r\n", UPSTREAM_FAILURE], 0),
        ([UPSTREAM_FAILURE, UPSTREAM_FAILURE, None], None),
        ([UPSTREAM_FAILURE, UPSTREAM_FAILURE, b""], None),
        ([None, None, None], None),
        ([b"", b"", b""], None),
    ],
)
async def test_it_refuses_since_it_gave_nothing_but_errors(
    answers: list[bytes | None], refusing_for_s: float | None
) -> None:
    passed_s = 0.0
    links: LinkPool[Key] = LinkPool(lambda _, __: None)
    asker = Asker(links, now=lambda: 1000.0, steady=lambda: 50.0 + passed_s)
    async with proxy_that(*answers) as address:
        for look in range(len(answers)):
            passed_s = 2.0 * look
            reads = await asker.ask_proxies(KEY, {"predixy-1": address}, proxy_questions(["key"]))
        links.close()

    read = reads["predixy-1"]
    assert isinstance(read, Unknown)
    since = None if refusing_for_s is None else 50.0 + passed_s - refusing_for_s
    assert read.refusing_since == since


async def test_where_nobody_listens_nobody_has_refused() -> None:
    links: LinkPool[Key] = LinkPool(lambda _, __: None)
    asker = Asker(links, now=lambda: 1000.0, steady=lambda: 50.0)
    async with slow_proxy() as address:
        pass  # its port is free again

    reads = await asker.ask_proxies(KEY, {"predixy-1": address}, proxy_questions(["key"]))

    read = reads["predixy-1"]
    assert isinstance(read, Unknown)
    assert (read.refused, read.refusing_since) == (True, None)
