"""Proxies behind a Redis that is slow, not dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tdredis.observe.gather import Observer
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
    nothing: Any = None
    observer = Observer(
        nothing, nothing, links, nothing, site=nothing, now=lambda: 1000.0, steady=lambda: 50.0 + passed_s
    )
    async with slow_proxy() as address:
        in_a_hurry = await observer.ask_proxies(KEY, {"predixy-1": address}, proxy_questions(["key"]))
        passed_s = 2.5
        patient = await observer.ask_proxies(KEY, {"predixy-1": address}, proxy_questions(["key"]))
        links.close()

    assert isinstance(in_a_hurry["predixy-1"], Unknown)
    assert patient == {"predixy-1": ProxyFacts()}
