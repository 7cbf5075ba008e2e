"""Row 19 of what may break: the operator dies after any step of a standby's creation, or of a failover."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tdredis.kube.client import Client
from tests.chaos.ledger import describe
from tests.e2e.faults import GOES_ON_S, SENT_S, another_primary, crash, lost, passwords, record, under_load
from tests.e2e.reach import write_and_read
from tests.e2e.world import BIN, Kube, Obj, Operator, Subject, eventually, new_namespace, sample, standby

Manifest = Callable[..., Obj]
LEADS = "tdredis_leads 1.0"
MOST_STEPS = 30


def dying(kube: Kube, namespace: str, after: int) -> Operator:
    program = (sys.executable, str(Path(__file__).with_name("dying_operator.py")), str(after))
    return Operator(kube, namespace, program=program)


async def dies(kube: Kube, subject: Subject, operator: Operator, *, replaced: str = "") -> bool:
    """True: it died after its last step. False: Ready came first, nobody called *replaced* is the primary, and nothing
    is left to do.
    """
    process = operator.process
    assert process is not None

    async def over() -> str:
        if process.returncode is not None:
            return "died"
        status = (await subject.get()).get("status", {})
        done = status.get("phase") == "Ready" and status["shards"][0]["primary"] != replaced
        return "ready" if done and "nothing to do" in await explain(kube, subject) else ""

    end = await eventually(over, "the operator died, or Ready")
    if end == "died":
        assert process.returncode == -signal.SIGKILL, operator.log.read_text()[-2000:]
    return end == "died"


async def explain(kube: Kube, subject: Subject) -> str:
    images = [word for old, new in kube.images.items() for word in ("--image-map", f"{old}={new}")]
    process = await asyncio.create_subprocess_exec(
        str(BIN / "tdredis"),
        *("explain", "--kubeconfig", str(kube.kubeconfig), "-n", subject.namespace, *images),
        f"{subject.kind.kind.lower()}/{subject.name}",
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        out, _ = await process.communicate()
    return out.decode()


async def leads(operator: Operator) -> None:
    """Waits until it works."""

    async def does() -> bool:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.get(f"http://127.0.0.1:{operator.port}/metrics") as answer,
            ):
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return False
        return LEADS in text and "tdredis_reconcile_passes_total{" in text

    await eventually(does, "the operator leads, and has looked once")


async def test_an_operator_killed_after_any_step_of_a_standby_s_creation_is_succeeded_by_one_that_finishes(
    kube: Kube, client: Client
) -> None:
    """Walks all steps: the first run that is Ready without having died was one step too long, and ends the walk."""
    at_once = asyncio.Semaphore(4)
    walked = asyncio.Event()
    died: list[int] = []

    async def live_and_die(after: int) -> None:
        async with at_once:
            if walked.is_set():
                return
            async with new_namespace(client) as namespace:
                async with dying(kube, namespace, after) as operator:
                    subject = await Subject.create(client, standby(namespace, writePolicy="consistency"))
                    dead = await dies(kube, subject, operator)
                if dead:
                    died.append(after)
                    async with Operator(kube, namespace):
                        resource = await subject.until_ready()
                        await write_and_read(resource["status"]["clusterIP"], passwords(resource)[1], count=20)
                else:
                    walked.set()
                await subject.delete()

    async with asyncio.TaskGroup() as group:
        for after in range(1, 60):
            group.create_task(live_and_die(after))

    assert walked.is_set()
    record(19, "RedisStandby, creation", steps=len(died))
    assert sorted(died)[:15] == list(range(1, 16))


@pytest.mark.parametrize("manifest", [standby, sample], ids=["standby", "cluster"])
async def test_an_operator_killed_after_any_step_of_a_failover_is_succeeded_by_one_that_finishes(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    """One instance, whose primary is killed over and over, each time with an operator that dies one step later."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
    died: list[int] = []
    gaps: list[float] = []
    while len(died) < MOST_STEPS:
        before = await subject.primary()
        async with under_load(subject) as ledgers:
            async with dying(kube, namespace, len(died) + 1) as operator:
                await leads(operator)
                when = time.monotonic()
                await crash(subject, before)
                dead = await dies(kube, subject, operator, replaced=before)
            async with Operator(kube, namespace):
                await another_primary(subject, before)
                await subject.until_ready()
                for ledger in ledgers.values():
                    await ledger.until_written(100, deadline_s=GOES_ON_S)
        assert await lost(subject, ledgers, until=when - SENT_S) == {}, describe(ledgers)
        gaps.append(max(ledger.longest_gap_s(when) for ledger in ledgers.values()))
        if not dead:
            break
        died.append(len(died) + 1)
    record(19, f"{subject.kind.kind}, failover", steps=len(died), gap_s=max(gaps))

    assert not dead, f"it still died after {MOST_STEPS} steps"
    assert len(died) >= 3
