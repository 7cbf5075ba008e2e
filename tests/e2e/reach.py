"""The ways by which users reach Redis: a Service, the Sentinels, and what they see there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError, Unreachable
from tdredis.redislink.link import Link, connect

PATIENCE_S = 2.0
FORWARDED_S = 5.0
Write = Callable[[int], Awaitable[None]]


@asynccontextmanager
async def linked(address: str, password: str) -> AsyncIterator[Link]:
    """A connection to "host:port". Tried for a while: kube-proxy hears of endpoints a moment after status is Ready."""
    host, _, port = address.rpartition(":")
    end = time.monotonic() + FORWARDED_S
    while True:
        try:
            link = await connect(host, int(port), access=Access((password,)), timeout_s=10)
            break
        except Unreachable:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.05)  # the pace of trying
    try:
        yield link
    finally:
        link.close()


async def write_and_read(address: str, password: str, count: int = 100) -> None:
    """Writes *count* keys at "host:port" and reads them back."""
    async with linked(address, password) as link:
        names = [f"key:{number}" for number in range(count)]
        assert set(await link.call_all([("SET", name, name) for name in names], timeout_s=20)) == {b"OK"}
        values = await link.call_all([("GET", name) for name in names], timeout_s=20)
        assert values == [name.encode() for name in names]


@asynccontextmanager
async def sentinel_client(
    addresses: list[tuple[str, int]], password: str, *, sentinel_password: str | None = None
) -> AsyncIterator[Sentinel]:
    """The client library's own way: ask any Sentinel where the primary is."""
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        addresses,
        sentinel_kwargs={"password": sentinel_password, "socket_timeout": PATIENCE_S},
        socket_timeout=PATIENCE_S,
        password=password,
    )
    try:
        yield sentinel
    finally:
        for each in sentinel.sentinels:
            await each.aclose()


@dataclass
class Writer:
    """Writes numbers one after the other through one way, and remembers when each was acknowledged.

    What fails is tried again until it succeeds: a client that keeps working.
    """

    name: str
    acknowledged: dict[int, float] = field(default_factory=dict)  # number -> monotonic seconds
    failures: int = 0
    over: bool = False

    @property
    def longest_gap_s(self) -> float:
        times = list(self.acknowledged.values())
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)

    async def run(self, write: Write) -> None:
        """Until *over*, or cancelled: a client library may take a cancellation for a lost connection of its own."""
        number = 0
        while not self.over:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await write(number)
            except (RedisError, LinkError, OSError, TimeoutError):
                self.failures += 1
                await asyncio.sleep(0.01)  # the pace of trying
                continue
            self.acknowledged[number] = time.monotonic()
            number += 1
            await asyncio.sleep(0.005)  # the pace of writing


@asynccontextmanager
async def writing(writer: Writer, write: Write) -> AsyncIterator[Writer]:
    """*writer* writes in the background."""
    task = asyncio.create_task(writer.run(write))
    try:
        yield writer
    finally:
        writer.over = True
        task.cancel()
        await asyncio.wait({task})


class ServiceWrites:
    """Writes through a Service alone: connects again whenever it is told that this is no primary, or loses its way."""

    def __init__(self, address: str, password: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._password = password
        self._link: Link | None = None

    async def __call__(self, number: int) -> None:
        try:
            if self._link is None or not self._link.open:
                self._link = await connect(
                    self._host, self._port, access=Access((self._password,)), timeout_s=PATIENCE_S
                )
            await self._link.call("SET", f"service:{number}", number, timeout_s=PATIENCE_S)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
