"""Row 19 of what may break: the operator dies after any step of a standby's creation, or of a failover."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable
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
MOST_STEPS = 60


def dying(kube: Kube, namespace: str, after: int) -> Operator:
    program = (sys.executable, str(Path(__file__).with_name("dying_operator.py")), str(after))
    return Operator(kube, namespace, program=program)


async def dies(kube: Kube, subject: Subject, operator: Operator, *, replaced: str = "") -> bool:
    """True: it died after its last step. False: Ready came first, nobody called *replaced* is the primary, and nothing
    is left to do.
    """
    process = operator.process
    assert process is not None
    seen = ""

    async def over() -> str:
        nonlocal seen
        if process.returncode is not None:
            return "died"
        status = (await subject.get()).get("status", {})
        if status.get("phase") != "Ready" or status["shards"][0]["primary"] == replaced:
            seen = str(status)
            return ""
        seen = await explain(kube, subject)
        return "ready" if "nothing to do" in seen else ""

    try:
        end = await eventually(over, "the operator died, or Ready")
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}") from None
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


async def walk(client: Client, live_and_die: Callable[[str, int], Awaitable[bool]]) -> list[int]:
    """The steps after which the operator died, each on its own instance. *live_and_die* is given a namespace and a
    number of steps, and says whether it died: the first time that it did not was one too long, and ends the walk.
    """
    at_once = asyncio.Semaphore(3)
    walked = asyncio.Event()
    died: list[int] = []

    async def try_step(after: int) -> None:
        async with at_once:
            if walked.is_set():
                return
            async with new_namespace(client) as namespace:
                if await live_and_die(namespace, after):
                    died.append(after)
                else:
                    walked.set()

    async with asyncio.TaskGroup() as group:
        for after in range(1, MOST_STEPS):
            group.create_task(try_step(after))
    assert walked.is_set()
    return sorted(died)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_an_operator_killed_after_any_step_of_a_standby_s_creation_is_succeeded_by_one_that_finishes(
    kube: Kube, client: Client
) -> None:
    async def create(namespace: str, after: int) -> bool:
        async with dying(kube, namespace, after) as operator:
            subject = await Subject.create(client, standby(namespace, writePolicy="consistency"))
            dead = await dies(kube, subject, operator)
        if dead:
            async with Operator(kube, namespace):
                resource = await subject.until_ready()
                await write_and_read(resource["status"]["clusterIP"], passwords(resource)[1], count=20)
        await subject.delete()
        return dead

    died = await walk(client, create)

    record(19, "RedisStandby, creation", steps=len(died))
    assert died[:15] == list(range(1, 16))


@pytest.mark.long  # `make test` has three instants of a failover, and every eighth step of a creation
@pytest.mark.timeout(900)
@pytest.mark.parametrize("manifest", [standby, sample], ids=["standby", "cluster"])
async def test_an_operator_killed_after_any_step_of_a_failover_is_succeeded_by_one_that_finishes(
    kube: Kube, client: Client, manifest: Manifest
) -> None:
    kinds: set[str] = set()
    gaps: list[float] = []

    async def fail_over(namespace: str, after: int) -> bool:
        async with Operator(kube, namespace):
            subject = await Subject.create(client, manifest(namespace))
            await subject.until_ready()

            # Ready comes before the last label: an operator that dies after one step would only do what this one left.
            async def done() -> bool:
                return "nothing to do" in await explain(kube, subject)

            await eventually(done, "nothing is left to do", pause_s=0.3)
        before = await subject.primary()
        async with under_load(subject) as ledgers:
            async with dying(kube, namespace, after) as operator:
                await leads(operator)
                when = time.monotonic()
                await crash(subject, before)
                dead = await dies(kube, subject, operator, replaced=before)
            async with Operator(kube, namespace):
                await another_primary(subject, before)
                for ledger in ledgers.values():
                    await ledger.until_written(100, deadline_s=GOES_ON_S)
                await subject.until_ready()
        kinds.add(subject.kind.kind)
        gaps.append(max(ledger.longest_gap_s(when) for ledger in ledgers.values()))
        assert await lost(subject, ledgers, until=when - SENT_S) == {}, describe(ledgers)
        await subject.delete()
        return dead

    died = await walk(client, fail_over)

    record(19, f"{kinds.pop()}, failover", steps=len(died), gap_s=max(gaps))
    assert died[:3] == [1, 2, 3]
