"""Pods that are recreated for an edit, while clients write: no write is lost, none waits for longer than a second."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import pytest

from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError
from tests.chaos.ledger import ByCluster, BySentinel, Ledger
from tests.e2e.faults import NOISE_S, Addresses, lost, under_load
from tests.e2e.test_faults import BOTH
from tests.e2e.world import BIN, Kube, Obj, Operator, Subject, condition, eventually

Manifest = Callable[..., Obj]
ROLL_S = 300.0
GAP_S = 1.0
TEAM = {"pod": {"annotations": {"team": "a"}}}


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


async def hand_over(kube: Kube, subject: Subject) -> None:
    """As a person asks for it; until another pod is the first primary, and status says that it is done."""
    primary = await subject.primary()
    shard = primary.rpartition("-")[0]
    replica = next(name for name in sorted(await subject.pods()) if name.startswith(f"{shard}-") and name != primary)
    process = await asyncio.create_subprocess_exec(
        *(str(BIN / "tdredis"), "handover", "--kubeconfig", str(kube.kubeconfig), "-n", subject.namespace),
        *(f"{subject.kind.kind.lower()}/{subject.name}", replica),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0

    async def is_done() -> bool:
        status = (await subject.get())["status"]
        return bool(status.get("handover", {}).get("done")) and status["shards"][0]["primary"] == replica

    await eventually(is_done, f"{replica} is the primary, as it was asked")


@BOTH
@pytest.mark.alone
async def test_an_edit_of_pod_settings_reaches_every_pod_while_clients_write(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        before = set(await subject.pods())
        async with under_load(subject) as ledgers, seen(ledgers):
            await subject.change(**TEAM)
            await rolled(subject)
            await hand_over(kube, subject)
        assert set(await subject.pods()) == before
        assert await lost(subject, ledgers) == {}
        gaps = {way: round(ledger.longest_gap_s(), 3) for way, ledger in ledgers.items()}
        assert max(gaps.values()) <= GAP_S + NOISE_S, gaps


@BOTH
@pytest.mark.long
async def test_an_operator_that_is_killed_again_and_again_in_a_roll_gets_there_and_loses_nothing(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace) as operator:
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        async with under_load(subject) as ledgers, seen(ledgers):
            await subject.change(**TEAM)
            left = len(await outdated(subject))
            while left:

                async def fewer(than: int = left) -> bool:
                    return len(await outdated(subject)) < than

                await eventually(fewer, "one more pod is recreated", deadline_s=ROLL_S)
                await operator.end(signal.SIGKILL)
                await operator.start()
                left = len(await outdated(subject))
            await rolled(subject)
        assert await lost(subject, ledgers) == {}
