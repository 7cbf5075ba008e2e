"""Commands as the real processes take them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tdredis.observe.questions import sentinel_questions
from tdredis.planning.steps import Process, PublishHellos, SentinelHello
from tdredis.redis.sentinels import SentinelFacts
from tdredis.redislink.access import Access
from tdredis.redislink.errors import Unreachable
from tdredis.redislink.link import connect
from tests.kit.waiting import eventually

HOST = "127.64.1.1"
PROCESS = Process(pod="sentinel-tom-0", uid="", ip=HOST, id="", port=26379, in_cluster=False)
OTHER = SentinelHello(
    name="sentinel-tom-1",
    host="127.64.1.2",
    port=26379,
    id="b" * 40,
    primary_host="127.64.1.9",
    primary_port=6379,
    config_epoch=7,
)


@asynccontextmanager
async def sentinel(folder: Path) -> AsyncIterator[None]:
    """It watches a primary that is not there: so nobody can tell it of others through Redis."""
    config = f"port 26379\nbind {HOST}\nprotected-mode no\nsentinel monitor mymaster 127.64.1.9 6379 2\n"
    await asyncio.to_thread((folder / "sentinel.conf").write_text, config)
    process = await asyncio.create_subprocess_exec(
        "redis-sentinel", "sentinel.conf", cwd=folder, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def asked() -> SentinelFacts | None:
    questions = sentinel_questions("mymaster")
    try:
        link = await connect(HOST, 26379, access=Access(("",)), timeout_s=5)
    except Unreachable:
        return None
    try:
        return questions.parse(await link.call_all(questions.commands, timeout_s=5))
    finally:
        link.close()


async def test_a_sentinel_believes_what_it_is_told_of_another(tmp_path: Path) -> None:
    async with sentinel(tmp_path):
        before = await eventually(asked, "the Sentinel answers")
        assert before is not None
        assert len(before.id) == 40
        step = PublishHellos(process=PROCESS, master_name="mymaster", others=(OTHER,), why="")
        commands = step.commands("")
        link = await connect(HOST, 26379, access=Access(("",)), timeout_s=5)
        assert await link.call_all(commands, timeout_s=5) == [1]
        link.close()
        after = await asked()
        written = await asyncio.to_thread((tmp_path / "sentinel.conf").read_text)

    assert after is not None
    watch = after.watch("mymaster")
    assert watch is not None
    assert [(one.host, one.port, one.run_id) for one in watch.sentinels] == [("127.64.1.2", 26379, "b" * 40)]
    assert watch.config_epoch == 7
    assert "sentinel current-epoch 7" in written, "a failover of its own would be older than what the others believe"
