"""Row 17 of what may break: Sentinels are lost, know what is no more, watch what is not ours, or cannot vote."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from tdredis.kube.client import Client
from tests.chaos.ledger import describe
from tests.e2e.faults import SENT_S, Addresses, another_primary, crash, fault, kill_pods, lost, record, under_load
from tests.e2e.needs import PROCESSES
from tests.e2e.parts import PASSWORD, Parts, until_told
from tests.e2e.world import Kube, Operator, Subject, eventually, standby
from tests.kit.pairs import pairs

GHOST_ID = "9" * 40
STALLED_S, TILT_S = 2.6, 20.0  # longer than a Sentinel bears; less than what is left of its half minute


async def at_peace(subject: Subject, primary: str) -> None:
    """Every Sentinel watches *primary*, is let in by it, finds it well, and knows two Sentinels and one replica."""
    expected = {"flags": "master", "num-slaves": "1", "num-other-sentinels": "2", "quorum": "2"}
    wrong: dict[str, dict[str, str]] = {}

    async def all_agree() -> bool:
        nonlocal wrong
        parts = await Parts.of(subject)
        wanted = {**expected, "ip": parts.redis[primary]}
        seen = {sentinel: await parts.watched(sentinel) for sentinel in parts.sentinels}
        wrong = {sentinel: row for sentinel, row in seen.items() if {**row, **wanted} != row}
        return not wrong

    try:
        await eventually(all_agree, f"all Sentinels watch {primary} and know everybody who is there and nobody else")
    except AssertionError as error:
        raise AssertionError(f"{error}: {wrong}") from None


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.long), 3])
async def test_lost_sentinels_are_replaced_and_clients_notice_nothing(
    kube: Kube, client: Client, namespace: str, count: int
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace))
        await subject.until_ready()
        primary = await subject.primary()
        before = {name: pod["metadata"]["uid"] for name, pod in (await subject.pods("sentinel")).items()}
        gone = sorted(before)[:count]
        async with under_load(subject) as ledgers:
            when = time.monotonic()
            await kill_pods(kube, subject, gone)

            async def made_anew() -> bool:
                pods = await subject.pods("sentinel")
                return all(name in pods and pods[name]["metadata"]["uid"] != before[name] for name in gone)

            await eventually(made_anew, "they are made anew")
            await subject.until_ready()
            await at_peace(subject, primary)
        gap_s = max(ledger.longest_gap_s(when) for ledger in ledgers.values())
        record(17, f"standby, {count} Sentinels lost", gap_s=gap_s, heal_s=time.monotonic() - when)

        assert {name: ledger.failures for name, ledger in ledgers.items()} == dict.fromkeys(ledgers, 0)
        assert (await lost(subject, ledgers), await subject.primary()) == ({}, primary)


@pytest.mark.needs(PROCESSES)
async def test_a_sentinel_in_tilt_is_not_asked_for_a_failover(kube: Kube, client: Client, namespace: str) -> None:
    """It was stalled for longer than two seconds: until it has been well for thirty it would say OK, and do nothing."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace))
        await subject.until_ready()
        parts, primary = await Parts.of(subject), await subject.primary()
        await at_peace(subject, primary)
        well, *stalled = sorted(parts.sentinels)  # the last would be asked first
        async with AsyncExitStack() as frozen:
            for name in stalled:
                await frozen.enter_async_context(fault(kube, "freeze", parts.side(name), "-c", "sentinel"))
            await asyncio.sleep(STALLED_S)  # that is what it is
        for name in stalled:
            assert "sentinel_tilt:1" in str(await parts.ask(name, "INFO", "sentinel"))
        assert "sentinel_tilt:0" in str(await parts.ask(well, "INFO", "sentinel"))

        async with under_load(subject) as ledgers:
            when = time.monotonic()
            assert (await kube.kubectl("delete", "pod", "-n", namespace, primary, "--wait=false"))[0] == 0
            await another_primary(subject, primary)
            moved_s = time.monotonic() - when
            await subject.until_ready()
        gap_s = max(ledger.longest_gap_s(when) for ledger in ledgers.values())
        record(3, "standby, two of three Sentinels in TILT", gap_s=gap_s, heal_s=moved_s)

        assert moved_s < TILT_S, "it waited for TILT to end"
        assert await lost(subject, ledgers) == {}


async def test_a_sentinel_that_never_was_is_forgotten(kube: Kube, client: Client, namespace: str) -> None:
    """A ghost counts for the majority: three of them, and no failover could be voted for any more."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace))
        await subject.until_ready()
        parts, primary = await Parts.of(subject), await subject.primary()
        ip = parts.redis[primary]
        hello = f"127.255.255.9,26379,{GHOST_ID},0,mymaster,{ip},6379,0"
        assert await parts.ask(primary, "PUBLISH", "__sentinel__:hello", hello) == 3

        async def known() -> bool:
            return all([(await parts.watched(name))["num-other-sentinels"] == "3" for name in parts.sentinels])

        await eventually(known, "all Sentinels know the ghost", pause_s=0.01)
        when = time.monotonic()
        await at_peace(subject, primary)
        record(17, "standby, a ghost among the Sentinels", gap_s=0, heal_s=time.monotonic() - when)
        await subject.until_ready()


async def test_a_sentinel_that_watches_foreign_primaries_watches_ours_alone(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace))
        await subject.until_ready()
        parts, primary = await Parts.of(subject), await subject.primary()
        first, second, _ = parts.sentinels
        assert await parts.ask(first, "SENTINEL", "MONITOR", "theirs", "127.255.255.8", 6379, 1) == b"OK"
        assert await parts.ask(second, "SENTINEL", "REMOVE", "mymaster") == b"OK"
        assert await parts.ask(second, "SENTINEL", "MONITOR", "mymaster", "127.255.255.8", 6379, 1) == b"OK"

        when = time.monotonic()
        await at_peace(subject, primary)

        async def ours_alone() -> bool:
            return [len(await parts.ask(name, "SENTINEL", "MASTERS")) for name in parts.sentinels] == [1, 1, 1]  # type: ignore[arg-type] # a list of rows

        await eventually(ours_alone, "no Sentinel watches anything else")
        record(17, "standby, foreign primaries", gap_s=0, heal_s=time.monotonic() - when)
        await subject.until_ready()
        assert await subject.primary() == primary


@pytest.mark.parametrize("how", ["no password", pytest.param("a wrong one", marks=pytest.mark.long)])
async def test_a_sentinel_that_was_not_told_the_password_is_told_it(
    kube: Kube, client: Client, namespace: str, how: str
) -> None:
    """As an operator leaves it that dies between two words; or somebody who types SENTINEL MONITOR at night.

    One Sentinel at a time: two that are shut out are a quorum of three, and rightly fail over when the operator needs
    longer than the five seconds after which they believe the primary down.
    """
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace))
        await subject.until_ready()
        parts, primary = await Parts.of(subject), await subject.primary()
        await at_peace(subject, primary)
        shut_out, *_ = parts.sentinels
        if how == "no password":
            assert await parts.ask(shut_out, "SENTINEL", "REMOVE", "mymaster") == b"OK"
            ip = parts.redis[primary]
            assert await parts.ask(shut_out, "SENTINEL", "MONITOR", "mymaster", ip, 6379, 2) == b"OK"
        else:
            assert await parts.ask(shut_out, "SENTINEL", "SET", "mymaster", "auth-pass", "wrong") == b"OK"
        await subject.touch()

        message = await until_told(subject, "AuthPassSet")
        await at_peace(subject, primary)
        await subject.until_ready()
        assert await subject.primary() == primary
        assert "the password" in message
        assert PASSWORD not in message


@pytest.mark.parametrize(("sentinels", "how"), pairs({"2": 2, "3": 3}, ["processes", "pods"]))
async def test_a_primary_that_dies_with_most_sentinels_is_replaced_by_the_operator_s_word(
    kube: Kube, client: Client, namespace: str, sentinels: int, how: str
) -> None:
    """Nobody can vote. A Sentinel that is left carries out what the operator asks for; with none it says REPLICAOF."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace))
        await subject.until_ready()
        parts, primary = await Parts.of(subject), await subject.primary()
        dead = list(parts.sentinels)[:sentinels]
        async with under_load(subject) as ledgers:
            when = time.monotonic()
            if how == "pods":
                await kill_pods(kube, subject, [primary, *dead])
            else:
                await asyncio.gather(*(parts.shut_down(each) for each in (primary, *dead)))
            await ledgers["service"].until_written(100, deadline_s=60)
            await subject.until_ready()
            places = ledgers["sentinel"].path.places
            assert isinstance(places, Addresses)
            await places.refresh()  # as a client does that knows them by name
        await subject.until_ready()
        heal_s = time.monotonic() - when
        gap_s = ledgers["service"].longest_gap_s(when)
        missing = await lost(subject, ledgers)
        record(
            17,
            f"standby, the primary and {sentinels} Sentinels killed, {how}",
            gap_s=gap_s,
            lost=sum(map(len, missing.values())),
            heal_s=heal_s,
        )
        assert await lost(subject, ledgers, until=when - SENT_S) == {}, describe(ledgers)
        await at_peace(subject, await subject.primary())


BELIEVED_DOWN_S = 7.0  # what a Sentinel takes, and two seconds
RESET_HEALS_S = 6.0  # from then on


async def reset(parts: Parts) -> None:
    """As it is advised where Sentinels know replicas that are no more, and as operators of others do by themselves."""
    for sentinel in parts.sentinels:
        assert await parts.ask(sentinel, "SENTINEL", "RESET", "*") == 1


@pytest.mark.parametrize(
    ("when", "who"),
    pairs(["before it dies", "when they agree on it"], ["the operator is away", "the operator is there"]),
)
async def test_sentinels_that_are_reset_as_the_primary_dies_are_told_who_is_left_and_nothing_is_lost(
    kube: Kube, client: Client, namespace: str, when: str, who: str
) -> None:
    """Each has forgotten the others and the replica, and would hear of them from the primary only."""
    async with AsyncExitStack() as stack:
        operator = await stack.enter_async_context(Operator(kube, namespace))
        subject = await Subject.create(client, standby(namespace))
        await subject.until_ready()
        parts, primary = await Parts.of(subject), await subject.primary()
        await at_peace(subject, primary)
        async with under_load(subject, ["sentinel"]) as ledgers:
            if who == "the operator is away":
                await operator.end()
            if when == "before it dies":
                await reset(parts)
            died = time.monotonic()
            await crash(subject, primary)
            if when == "when they agree on it":
                await until_agreed(parts)
                await reset(parts)
            if who == "the operator is away":
                await asyncio.sleep(max(0.0, died + BELIEVED_DOWN_S - time.monotonic()))  # that is what is tried
                await stack.enter_async_context(Operator(kube, namespace))
            back = time.monotonic()
            await ledgers["sentinel"].until_written(100, deadline_s=60)
            healed_s = time.monotonic() - back
            await subject.until_ready()
        await at_peace(subject, await subject.primary())
        gap_s = ledgers["sentinel"].longest_gap_s(died)
        record(17, f"standby, Sentinels reset {when}, {who}", gap_s=gap_s, heal_s=healed_s)
        assert await lost(subject, ledgers, until=died - SENT_S) == {}, describe(ledgers)
        assert healed_s < RESET_HEALS_S, describe(ledgers)


@pytest.mark.needs(PROCESSES)
async def test_a_silent_primary_whose_sentinels_were_reset_is_replaced_and_what_is_written_then_stays(
    kube: Kube, client: Client, namespace: str
) -> None:
    """They find it down, and know nobody to choose: only a primary that is well could tell them."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace))
        await subject.until_ready()
        parts, primary = await Parts.of(subject), await subject.primary()
        await at_peace(subject, primary)
        async with under_load(subject, ["service"]) as ledgers:
            ledger = ledgers["service"]
            async with fault(kube, "freeze", parts.side(primary), "-c", "redis"):
                await reset(parts)
                frozen = time.monotonic()
                await another_primary(subject, primary)
                await ledger.until_written(100, deadline_s=60)
                moved = time.monotonic()
                await ledger.until_written(100, deadline_s=60)
            await parts.until_role(primary, "slave", deadline_s=60)
        await subject.until_ready()
        heir = await subject.primary()
        assert heir != primary
        await at_peace(subject, heir)
        missing = (await lost(subject, ledgers)).get("service", [])
        record(17, "standby, frozen, Sentinels reset", gap_s=ledger.longest_gap_s(frozen), lost=len(missing))
        assert [n for n in missing if not frozen - SENT_S < ledger.acknowledged[n] < moved] == [], describe(ledgers)


async def until_agreed(parts: Parts) -> None:
    """That the primary is down: one of them carries out a failover, or is about to."""

    async def agreed() -> bool:
        flags = [(await parts.watched(name)).get("flags", "") for name in parts.sentinels]
        return any("o_down" in each or "failover_in_progress" in each for each in flags)

    await eventually(agreed, "the Sentinels agree", pause_s=0.02)
