"""What one node of a RedisCluster says, and is told, behind the operator's back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tdredis.redis.views import ClusterView, parse_cluster_nodes
from tdredis.redislink.errors import LinkError
from tests.e2e.reach import linked
from tests.e2e.world import Subject, condition, eventually


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


@asynccontextmanager
async def paused(subject: Subject) -> AsyncIterator[None]:
    """The operator looks, and does nothing, during the block: what is broken there is found as a whole."""
    await subject.change(paused=True)

    async def is_paused() -> bool:
        return condition(await subject.get(), "Paused").get("status") == "True"

    await eventually(is_paused, "the operator's hands are off")
    yield
    await subject.change(paused=False)
