"""How a roll is waited for, while clients that write follow the pods to their new addresses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from tdredis.kube.errors import ApiError
from tests.chaos.ledger import ByCluster, BySentinel, Ledger
from tests.e2e.faults import Addresses
from tests.e2e.world import Subject, condition, eventually

ROLL_S = 300.0


async def outdated(subject: Subject, team: str = "a") -> set[str]:
    """Pods of Redis without the new annotation."""
    pods = await subject.pods()
    return {name for name, pod in pods.items() if pod["metadata"]["annotations"].get("team") != team}


async def rolled(subject: Subject, team: str = "a") -> None:
    """Every pod is new, the surplus ones are gone, and status says that spec is applied."""

    async def is_applied() -> bool:
        resource = await subject.get()
        current = resource["status"]["observedGeneration"] == resource["metadata"]["generation"]
        told = condition(resource, "Accepted")
        is_whole = current and resource["status"]["phase"] == "Ready"
        return is_whole and told["reason"] == "AsSpecified" and not await outdated(subject, team)

    await eventually(is_applied, "every pod is recreated", deadline_s=ROLL_S, pause_s=0.5)


@asynccontextmanager
async def seen(ledgers: Mapping[str, Ledger]) -> AsyncIterator[None]:
    """Clients know where the pods are, all of which change their addresses."""
    places = [ledger.path.places for ledger in ledgers.values() if isinstance(ledger.path, ByCluster | BySentinel)]

    async def look() -> None:
        while True:
            for each in places:
                assert isinstance(each, Addresses)
                with suppress(ApiError):
                    await each.refresh()
            await asyncio.sleep(0.5)

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
