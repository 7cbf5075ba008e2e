"""What one node of a RedisCluster says, and is told, behind the operator's back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tdredis.redis.views import ClusterView, parse_cluster_nodes
from tdredis.redislink.errors import LinkError
from tests.e2e.reach import linked
from tests.e2e.world import Subject, condition, eventually

MOST_BACKLOG = 4 << 20  # bytes: of an instance with 64 MiB, as the tests have


async def tell(subject: Subject, pod: str, *commands: tuple[str | int | bytes, ...]) -> list[object]:
    """The replies of the Redis process in *pod* to *commands*, sent in one go. Raises the first that is an error."""
    resource = await subject.get()
    ip = (await subject.pods())[pod]["status"]["podIP"]
    async with linked(f"{ip}:6379", resource["spec"]["secret"]) as link:
        replies = await link.call_all(commands, timeout_s=10)
    for reply in replies:
        if isinstance(reply, LinkError):
            raise reply
    return replies


async def view(subject: Subject, pod: str) -> ClusterView:
    (reply,) = await tell(subject, pod, ("CLUSTER", "NODES"))
    assert isinstance(reply, bytes)
    return parse_cluster_nodes(reply.decode())


async def views(subject: Subject) -> dict[str, ClusterView]:
    """By pod."""
    return {pod: await view(subject, pod) for pod in sorted(await subject.pods())}


async def is_replica(subject: Subject, pod: str) -> bool:
    return (await view(subject, pod)).me.is_replica


async def copy_anew(subject: Subject, pod: str, key: str, *settings: tuple[str | int, ...]) -> None:
    """The replicas of *pod* lose their connection, and what its backlog held: they copy everything again. *settings*
    are commands that come first.
    """
    large = ("SET", key, "x" * 2 * MOST_BACKLOG)
    await tell(subject, pod, *settings, ("MULTI",), ("CLIENT", "KILL", "TYPE", "replica"), large, ("EXEC",))


@asynccontextmanager
async def flooded(subject: Subject, pod: str, key: str) -> AsyncIterator[None]:
    """During the block so much is written to *pod* that no backlog and no small buffer holds it for some seconds."""
    resource = await subject.get()
    ip = (await subject.pods())[pod]["status"]["podIP"]

    async def write() -> None:
        async with linked(f"{ip}:6379", resource["spec"]["secret"]) as link:
            while True:
                assert await link.call("SET", key, "x" * (MOST_BACKLOG // 8), timeout_s=10) == b"OK"
                await asyncio.sleep(0.1)  # its pace

    writer = asyncio.create_task(write())
    try:
        yield
        assert not writer.done(), "it has written to the end"
    finally:
        writer.cancel()
        await asyncio.wait({writer})


@asynccontextmanager
async def paused(subject: Subject) -> AsyncIterator[None]:
    """The operator looks, and does nothing, during the block: what is broken there is found as a whole."""
    await subject.change(paused=True)

    async def is_paused() -> bool:
        return condition(await subject.get(), "Paused").get("status") == "True"

    await eventually(is_paused, "the operator's hands are off")
    yield
    await subject.change(paused=False)
