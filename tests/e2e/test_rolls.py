"""Pods that are recreated for an edit, while clients write: no write is lost, none waits for longer than a second."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

from tdredis.kube.client import Client
from tests.e2e.faults import NOISE_S, lost, under_load
from tests.e2e.rolling import ROLL_S, outdated, rolled, seen
from tests.e2e.test_faults import BOTH
from tests.e2e.world import BIN, Kube, Obj, Operator, Subject, eventually, standalone

Manifest = Callable[..., Obj]
GAP_S = 1.0
TEAM = {"pod": {"annotations": {"team": "a"}}}


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

        async def are_those() -> bool:
            return set(await subject.pods()) == before

        await eventually(are_those, "the surplus pod, which was told to end, has ended")
        assert await lost(subject, ledgers) == {}
        gaps = {way: round(ledger.longest_gap_s(), 3) for way, ledger in ledgers.items()}
        assert max(gaps.values()) <= GAP_S + NOISE_S, gaps


@pytest.mark.alone
async def test_a_standalone_without_a_volume_keeps_its_data_and_its_clients(
    kube: Kube, client: Client, namespace: str
) -> None:
    """Another pod is beside it meanwhile."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standalone(namespace, storageclass=""))
        await subject.until_ready()
        ((own, before),) = (await subject.pods()).items()
        async with under_load(subject) as ledgers:
            await subject.change(**TEAM)
            await rolled(subject)

            async def is_alone() -> bool:
                return set(await subject.pods()) == {own}

            await eventually(is_alone, "the pod beside it is gone")
        after = (await subject.pods())[own]
        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        assert await lost(subject, ledgers) == {}
        assert ledgers["service"].longest_gap_s() <= GAP_S + NOISE_S, ledgers["service"].longest_gap_s()


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
