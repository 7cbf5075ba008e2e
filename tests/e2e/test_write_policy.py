"""spec.writePolicy on real processes: who takes writes while the network lies, and what is lost by it."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from tdredis.kube.client import Client
from tests.chaos.ledger import describe
from tests.e2e.faults import SENT_S, another_primary, crash, fault, lost, record, under_load
from tests.e2e.needs import PROCESSES
from tests.e2e.parts import Parts, until_reason, until_refused, until_told
from tests.e2e.world import Kube, Operator, Subject, condition, standby

LEAST = "min-replicas-to-write"
ELECTED_S = 60.0  # Sentinels need down-after and a little; a busy machine more
NOISE_S = 2.0  # what a busy machine may add to the bound of a row
DOWN_AFTER_S = 5.0


async def ready(client: Client, namespace: str, **spec: object) -> tuple[Subject, Parts, str, str]:
    """The instance, its parts, its primary and its replica."""
    subject = await Subject.create(client, standby(namespace, **spec))
    await subject.until_ready()
    parts = await Parts.of(subject)
    primary = await subject.primary()
    (replica,) = set(parts.redis) - {primary}
    return subject, parts, primary, replica


@pytest.mark.needs(PROCESSES)
async def test_a_consistent_primary_that_is_cut_off_stops_by_itself_before_another_is_chosen(
    kube: Kube, client: Client, namespace: str
) -> None:
    """Nobody helps it: the operator is away."""
    async with Operator(kube, namespace):
        subject, parts, primary, replica = await ready(client, namespace, writePolicy="consistency")
        await parts.until_config(primary, LEAST, "1")
    beside = parts.ledger(primary)
    others = parts.side(replica, *parts.sentinels)
    async with beside.writing():
        await beside.until_written(100, deadline_s=20)
        async with fault(kube, "cut", parts.side(primary), others):
            cut = time.monotonic()
            refused = await until_refused(beside, "NOREPLICAS", deadline_s=DOWN_AFTER_S + NOISE_S)
            promoted = await parts.until_role(replica, "master", deadline_s=ELECTED_S)
            last = max(beside.acknowledged.values())
            record(6, "standby consistency, stops by itself", stopped_s=last - cut, elected_s=promoted - cut)
            assert last < promoted, "two took writes at once"
            assert refused - cut < DOWN_AFTER_S + NOISE_S
    async with Operator(kube, namespace):
        await parts.until_role(primary, "slave", deadline_s=60)
        await parts.until_config(primary, LEAST, "0")
        await parts.until_config(replica, LEAST, "1")
        await subject.until_ready()
        assert await lost(subject, {"service": beside}, until=cut - SENT_S) == {}


@pytest.mark.needs(PROCESSES)
async def test_what_an_available_primary_took_alone_is_counted_when_it_returns(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject, parts, primary, replica = await ready(client, namespace)
    beside = parts.ledger(primary)
    others = parts.side(replica, *parts.sentinels)
    async with beside.writing():
        await beside.until_written(100, deadline_s=20)
        async with fault(kube, "cut", parts.side(primary), others):
            promoted = await parts.until_role(replica, "master", deadline_s=ELECTED_S)
            await beside.until_written(100, deadline_s=20)  # alone
            before = beside.failures
            alone = sum(each > promoted for each in beside.acknowledged.values())
            assert (beside.failures, alone > 50) == (before, True), describe({"beside": beside})
        async with Operator(kube, namespace):
            message = await until_told(subject, "WritesGivenUp")
            await until_refused(beside, "READONLY", deadline_s=20)
    async with Operator(kube, namespace):
        await subject.until_ready()
    gone = (await lost(subject, {"service": beside}))["service"]
    bytes_alone = int(re.findall(r"took (\d+) bytes", message)[0])
    record(6, "standby availability, alone", lost=len(gone), bytes_alone=bytes_alone)
    assert message.startswith(f"{primary} was a second primary")
    # A SET of the ledger is some 60 bytes of the stream.
    assert bytes_alone >= 40 * len(gone) > 0


async def test_a_consistent_primary_waits_a_moment_only_when_its_replica_is_killed(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject, parts, primary, replica = await ready(client, namespace, writePolicy="consistency")
        await parts.until_config(primary, LEAST, "1")
        async with under_load(subject) as ledgers:
            when = time.monotonic()
            await crash(subject, replica)
            await parts.until_config(primary, LEAST, "0")
            await parts.until_config(primary, LEAST, "1")
        await subject.until_ready()
        gap_s = max(ledger.longest_gap_s(when) for ledger in ledgers.values())
        missing = await lost(subject, ledgers)
        record(7, "standby consistency", gap_s=gap_s, lost=sum(map(len, missing.values())), heal_s=None)
        assert gap_s < 0.3 + NOISE_S, describe(ledgers)
        assert (missing, await subject.primary()) == ({}, primary)


@pytest.mark.needs(PROCESSES)
async def test_a_consistent_primary_waits_for_a_replica_that_is_silent_and_says_so(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject, parts, primary, replica = await ready(client, namespace, writePolicy="consistency")
        await parts.until_config(primary, LEAST, "1")
        beside = parts.ledger(primary)
        async with beside.writing():
            await beside.until_written(100, deadline_s=20)
            async with fault(kube, "freeze", parts.side(replica), "-c", "redis"):
                await until_refused(beside, "NOREPLICAS", deadline_s=20)

                resource = await until_reason(subject, "NoAnswer")
                while "refuses writes" not in condition(resource, "Ready")["message"]:
                    async with asyncio.timeout(20):
                        resource = await subject.get()
                        await asyncio.sleep(0.1)
                assert await parts.config(primary, LEAST) == "1"
            await beside.until_written(100, deadline_s=60)
        await subject.until_ready()
        assert await subject.primary() == primary


async def test_a_promoted_replica_takes_writes_under_either_policy_and_the_policy_is_switched_live(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject, parts, first, second = await ready(client, namespace)
        assert await parts.config(first, LEAST) == "0"

        await subject.change(writePolicy="consistency")
        await parts.until_config(first, LEAST, "1")
        await subject.until_ready()
        async with under_load(subject) as ledgers:
            when = time.monotonic()
            await crash(subject, first)
            await another_primary(subject, first)
        await subject.until_ready()
        gap_s = max(ledger.longest_gap_s(when) for ledger in ledgers.values())
        missing = await lost(subject, ledgers, until=when - SENT_S)
        record(2, "standby consistency", gap_s=gap_s, lost=sum(map(len, missing.values())))
        assert (missing, gap_s < 0.5 + NOISE_S) == ({}, True), describe(ledgers)
        await parts.until_config(second, LEAST, "1")
        await parts.until_config(first, LEAST, "0")

        await subject.change(writePolicy="availability")
        await parts.until_config(second, LEAST, "0")
        assert await parts.config(second, "min-replicas-max-lag") == "10"
