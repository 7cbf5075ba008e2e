"""What docs/howto/clients.md says of redis-py, by both ports of a real Envoy, as the operator configures it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis
from redis.exceptions import ResponseError

from tdredis.redis.ports import REDIS_PORT, RESP3_PORT
from tests.kit.containers import OUTER
from tests.proxy.servers import servers

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "clients.md").read_text()


async def use(host: str, port: int, **options: Any) -> None:
    """What an application does with several shards behind it."""
    async with redis.Redis(host=host, port=port, password=OUTER, decode_responses=True, **options) as client:
        await client.hset("h", mapping={"f": "v"})
        assert await client.hgetall("h") == {"f": "v"}
        await client.zadd("z", {"m": 1.5})
        assert [tuple(each) for each in await client.zrange("z", 0, -1, withscores=True)] == [("m", 1.5)]
        assert await client.mset({"a": "1", "b": "2", "c": "3"})
        assert await client.mget("a", "b", "c", "none") == ["1", "2", "3", None]
        async with client.pipeline() as transaction:
            transaction.set("{t}a", "1")
            transaction.get("{t}a")
            assert await transaction.execute() == [True, "1"]
        async with client.pipeline(transaction=False) as pipe:
            pipe.get("a")
            pipe.get("b")
            assert await pipe.execute() == ["1", "2"]
        assert await client.delete("a", "b", "c", "h", "z") == 5
        with pytest.raises(ResponseError, match="Fault Injected"):
            async for _ in client.scan_iter():
                pass
        async with client.pipeline() as transaction:
            with pytest.raises(ResponseError, match="Fault Injected"):
                await transaction.watch("a")


async def test_redis_py_works_by_either_port_as_the_page_says(tmp_path: Path) -> None:
    async with servers(tmp_path) as running:
        await use(running.proxy, RESP3_PORT)
        await use(running.proxy, RESP3_PORT, protocol=3)
        await use(running.proxy, REDIS_PORT, protocol=2)
        for port, protocol in ((REDIS_PORT, 3), (RESP3_PORT, 2)):
            with pytest.raises(ResponseError, match="NOPROTO"):
                await use(running.proxy, port, protocol=protocol)

    assert "`Redis(host, protocol=2)` | as it is: `Redis(host, 6380)`" in PAGE
