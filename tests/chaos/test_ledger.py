"""The ledger itself: it notices what it is there to notice."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tdredis.redislink.errors import LinkError
from tests.chaos.ledger import Door, Ledger
from tests.kit.servers import redis_server


class Forgetful:
    """A path that acknowledges everything, fails for a while, and keeps only even numbers."""

    places = None

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.down = False

    async def call(self, key: str, *words: str | int) -> object:
        if self.down:
            raise LinkError("down")
        match words:
            case ("SET", _, value):
                if int(value) % 2 == 0:
                    self.kept[key] = str(value).encode()
                return b"OK"
            case _:
                return self.kept.get(key)

    def close(self) -> None:
        pass


async def test_acknowledged_writes_that_are_missing_are_named() -> None:
    path = Forgetful()
    async with Ledger("l", path).writing() as ledger:
        await ledger.until_written(10, deadline_s=5)

    missing = await ledger.missing(path)

    assert missing == tuple(number for number in ledger.acknowledged if number % 2)


async def test_the_gap_is_the_longest_time_without_an_acknowledgement() -> None:
    path = Forgetful()
    async with Ledger("l", path).writing() as ledger:
        await ledger.until_written(10, deadline_s=5)
        path.down = True
        await asyncio.sleep(0.3)  # the fault itself
        path.down = False
        await ledger.until_written(10, deadline_s=5)

    assert 0.25 < ledger.longest_gap_s() < 2
    assert ledger.failures > 0


async def test_nothing_is_missing_on_a_real_redis(tmp_path: Path) -> None:
    async with redis_server(tmp_path, password="secret") as (port, _):
        async with Ledger("l", Door(f"127.0.0.1:{port}", "secret")).writing() as ledger:
            await ledger.until_written(50, deadline_s=10)

        assert await ledger.missing(Door(f"127.0.0.1:{port}", "secret")) == ()
