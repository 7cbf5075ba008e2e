"""Rows 4, 5, 6, 15 and 18 of what may break, for a standby: its primary is lost, frozen, cut off or not alone, or
its replica's copy never ends.

Bound of the write gap in rows 4 to 6: down-after (5 s) and two seconds; `proving` adds NOISE_S for a busy machine.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from tdredis.kube.client import Client
from tests.chaos.ledger import Ledger
from tests.e2e.faults import GOES_ON_S, NOISE_S, another_primary, fault, lost, proving, record, under_load
from tests.e2e.needs import LOCALKUBE, PROCESSES
from tests.e2e.nodes import copy_anew, flooded, tell
from tests.e2e.parts import LOOK_S, PASSWORD, Parts, until_reason, until_told
from tests.e2e.reach import linked
from tests.e2e.test_lost_pods import led_to
from tests.e2e.world import Kube, Operator, Subject, eventually, standby

BOUND_S = 5.0 + 2.0
# How long a cut-off primary takes writes that are lost: until it is replaced, or under consistency until it stops by
# itself, before Sentinels call it down (docs/howto/standby.md).
ALONE_S = {"availability": BOUND_S, "consistency": 5.0}


async def ready(client: Client, namespace: str, **spec: object) -> tuple[Subject, Parts, str, str]:
    """The instance, its parts, its primary and its replica."""
    subject = await Subject.create(client, standby(namespace, **spec))
    await subject.until_ready()
    parts = await Parts.of(subject)
    primary = await subject.primary()
    (replica,) = set(parts.redis) - {primary}
    return subject, parts, primary, replica


@asynccontextmanager
async def seen_behind_the_service(subject: Subject) -> AsyncIterator[list[set[str]]]:
    """Everything that it led to meanwhile, each change once."""
    found: list[set[str]] = []

    async def look() -> None:
        while True:
            now = await led_to(subject)
            if not found or found[-1] != now:
                found.append(now)
            await asyncio.sleep(LOOK_S)

    task = asyncio.create_task(look())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled(), f"looking failed: {task}"


async def one_primary(parts: Parts, primary: str) -> None:
    """It alone; and the others follow it."""
    roles = {pod: await parts.role(pod) for pod in parts.redis}
    assert roles == {pod: "master" if pod == primary else "slave" for pod in parts.redis}


async def until_all_write(ledgers: Mapping[str, Ledger]) -> None:
    await asyncio.gather(*(ledger.until_written(100, deadline_s=GOES_ON_S) for ledger in ledgers.values()))


async def lost_after(subject: Subject, ledgers: Mapping[str, Ledger], when: float) -> list[float]:
    """When each write was acknowledged that is missing, if after *when* (both monotonic)."""
    missing = await lost(subject, ledgers)
    times = (ledgers[name].acknowledged[number] for name, numbers in missing.items() for number in numbers)
    return [time_s for time_s in times if time_s > when]


@pytest.mark.needs(LOCALKUBE)
@pytest.mark.parametrize("kind", [pytest.param("fail-node", marks=pytest.mark.long), "partition-node"])
async def test_a_primary_whose_node_is_lost_is_replaced_and_comes_back_as_a_replica(
    kube: Kube, client: Client, namespace: str, kind: str
) -> None:
    """Row 4: no packet comes from it any more, and nobody says that it is dead."""
    async with Operator(kube, namespace):
        subject, parts, primary, replica = await ready(client, namespace, env="staging")
        node = (await subject.pods())[primary]["spec"]["nodeName"]
        async with proving(4, subject=subject, gap_s=BOUND_S) as ledgers, fault(kube, kind, node):
            await another_primary(subject, primary)
            await until_all_write(ledgers)
            assert await led_to(subject) == {parts.redis[replica]}
        await one_primary(await Parts.of(subject), replica)


@pytest.mark.needs(PROCESSES)
async def test_a_primary_that_is_frozen_and_thawed_steps_down_and_its_clients_are_disconnected(
    kube: Kube, client: Client, namespace: str
) -> None:
    """Row 5. What waits in its socket when it wakes it may still answer; that is counted, and does not count."""
    async with Operator(kube, namespace):
        subject, parts, primary, replica = await ready(client, namespace)
        address = f"{parts.redis[primary]}:6379"
        async with (
            linked(address, PASSWORD) as idle,
            linked(address, PASSWORD) as patient,
            proving(5, subject=subject, gap_s=BOUND_S) as ledgers,
        ):
            when = time.monotonic()
            async with fault(kube, "freeze", parts.side(primary), "-c", "redis"):
                patient.send("SET", "patient", "x" * 1000)
                await another_primary(subject, primary)
                await until_all_write(ledgers)
            await parts.until_role(primary, "slave", deadline_s=GOES_ON_S)

            async def disconnected() -> bool:
                return not idle.open and not patient.open

            await eventually(disconnected, "its clients are disconnected", deadline_s=GOES_ON_S)
        message = await until_told(subject, "WritesGivenUp")
        bytes_alone = int(re.findall(r"took (\d+) bytes", message)[0])
        assert message.startswith(f"{primary} was a second primary")
        assert bytes_alone >= 1000
        await one_primary(parts, replica)
        assert await parts.ask(replica, "GET", "patient") is None
        assert await parts.ask(primary, "GET", "patient") is None
        assert await lost_after(subject, ledgers, when) == [], "a client that waits a second was told that it is safe"


@pytest.mark.needs(PROCESSES)
@pytest.mark.parametrize("policy", [pytest.param("availability", marks=pytest.mark.long), "consistency"])
async def test_a_primary_that_is_cut_off_with_a_minority_is_replaced_and_the_service_leads_to_one(
    kube: Kube, client: Client, namespace: str, policy: str
) -> None:
    """Row 6: one Sentinel is cut off with it, two and the replica are on the other side. The operator and clients reach
    all: what it takes alone ends when it is demoted, or, where policy says so, before another one is chosen.
    """
    async with Operator(kube, namespace):
        subject, parts, primary, replica = await ready(client, namespace, writePolicy=policy)
        least = "1" if policy == "consistency" else "0"
        await parts.until_config(primary, "min-replicas-to-write", least)
        minority, *majority = parts.sentinels
        old, new = {parts.redis[primary]}, {parts.redis[replica]}
        async with (
            seen_behind_the_service(subject) as seen,
            proving(6, subject=subject, gap_s=BOUND_S) as ledgers,
            fault(kube, "cut", parts.side(primary, minority), parts.side(replica, *majority)),
        ):
            cut = time.monotonic()
            await another_primary(subject, primary)
            await parts.until_role(primary, "slave", deadline_s=GOES_ON_S)
            demoted = time.monotonic()
            await until_all_write(ledgers)
        assert seen == [old, new]
        alone = await lost_after(subject, ledgers, cut)
        alone_s = max(alone, default=cut) - cut
        record(6, f"standby {policy}, reached by clients", lost=len(alone), alone_s=round(alone_s, 2))
        assert alone_s < min(demoted - cut, ALONE_S[policy] + NOISE_S), "it took writes for longer than is promised"
        await one_primary(parts, replica)


async def test_of_two_primaries_the_one_that_the_sentinels_chose_stays(
    kube: Kube, client: Client, namespace: str
) -> None:
    """Row 15: somebody says REPLICAOF NO ONE to the replica, and writes to it."""
    async with Operator(kube, namespace):
        subject, parts, primary, replica = await ready(client, namespace)
        async with (
            linked(f"{parts.redis[replica]}:6379", PASSWORD) as wrong,
            seen_behind_the_service(subject) as seen,
            proving(15, subject=subject, gap_s=0, planned=True, heal_s=6.0),  # noticed within three seconds
        ):
            replies = await wrong.call_all([("REPLICAOF", "NO", "ONE"), ("SET", "wrong", "x" * 1000)], timeout_s=5)
            assert replies == [b"OK", b"OK"]
            await parts.until_role(replica, "slave", deadline_s=GOES_ON_S)

            async def disconnected() -> bool:
                return not wrong.open

            await eventually(disconnected, "whoever wrote to it is disconnected", deadline_s=GOES_ON_S)
        assert seen == [{parts.redis[primary]}]
        bytes_alone = int(re.findall(r"took (\d+) bytes", await until_told(subject, "WritesGivenUp"))[0])
        assert bytes_alone >= 1000
        await one_primary(parts, primary)
        assert await parts.ask(primary, "GET", "wrong") is None


async def test_of_two_primaries_that_no_sentinel_watches_the_last_one_stays(
    kube: Kube, client: Client, namespace: str
) -> None:
    """Row 15, and row 17: all Sentinels have forgotten everything, and there are two primaries with data."""
    async with Operator(kube, namespace) as operator:
        subject, parts, primary, replica = await ready(client, namespace)
        async with under_load(subject) as ledgers:
            pass
        await operator.end()
        for sentinel in parts.sentinels:
            assert await parts.ask(sentinel, "SENTINEL", "REMOVE", "mymaster") == b"OK"
        assert await parts.ask(replica, "REPLICAOF", "NO", "ONE") == b"OK"
    async with Operator(kube, namespace):
        await parts.until_role(replica, "slave", deadline_s=GOES_ON_S)

        async def watch_again() -> bool:
            places = {(await parts.watched(sentinel)).get("ip") for sentinel in parts.sentinels}
            return places == {parts.redis[primary]}

        await eventually(watch_again, "all Sentinels watch the primary")
        await subject.until_ready()
        await one_primary(parts, primary)
        assert await lost(subject, ledgers) == {}


async def test_a_replica_whose_copy_never_ends_is_named_and_nothing_else_is_disturbed(
    kube: Kube, client: Client, namespace: str
) -> None:
    """Row 18: its primary's buffer for replicas is smaller than what clients write while a copy is being made."""
    async with Operator(kube, namespace) as operator:
        subject, _, primary, _ = await ready(client, namespace)
        await tell(subject, primary, *(("SET", f"key:{number}", number) for number in range(1000)))
        before = operator.log.read_text().count("step done")

        async with proving(18, subject=subject, gap_s=0, planned=True):
            await copy_anew(
                subject,
                primary,
                "large",
                ("CONFIG", "SET", "client-output-buffer-limit", "replica 32768 0 0"),
                ("CONFIG", "SET", "rdb-key-save-delay", 20_000),  # microseconds: the copy takes 20 s
            )
            async with flooded(subject, primary, "large"):
                await until_reason(subject, "SyncFails", deadline_s=120)
            steps = operator.log.read_text().splitlines()
            done = [line for line in steps if "step done" in line][before:]
            # Endpoints on servers that have no slices yet.
            assert not [line for line in done if "apply Endpoint" not in line], "nothing is done about it"
            assert await subject.primary() == primary
            await tell(
                subject,
                primary,
                ("CONFIG", "SET", "rdb-key-save-delay", 0),
                ("CONFIG", "SET", "client-output-buffer-limit", "replica 268435456 67108864 60"),
                ("CLIENT", "KILL", "TYPE", "replica"),  # a copy that has begun keeps its delay, for every key there is
            )
            await subject.until_ready()
