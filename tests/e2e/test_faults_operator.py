"""What the operator itself may suffer: it is killed in a failover, two believe that they lead, a clock jumps.

The rows are those of docs/reference/healing.md.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tdredis.kube.client import Client
from tdredis.kube.objects import parse_time
from tdredis.kube.resources import LEASES
from tdredis.planning.steps import (
    NAMES,
    AssignSlots,
    FailOver,
    FailOverShard,
    Follow,
    Forget,
    HandOver,
    Meet,
    Promote,
    ReplacePod,
    Replicate,
    TakeOverShard,
)
from tests.e2e.faults import another_primary, crash, fault, proving
from tests.e2e.needs import PROCESSES
from tests.e2e.test_faults import A_STANDBY, KINDS, Manifest
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, standby
from tests.kit.pairs import pairs

ENGINE_S = 7.0  # the engine's own timeout, and two seconds


def program(number: signal.Signals, instant: str) -> tuple[str, ...]:
    return sys.executable, str(Path(__file__).with_name("stopping_operator.py")), number.name, instant


# ---- row 19: it is killed


@pytest.mark.parametrize(("instant", "manifest"), pairs(["planned", "asked", "done"], KINDS))
async def test_an_operator_killed_in_a_failover_is_succeeded_by_one_that_finishes(
    kube: Kube, client: Client, namespace: str, manifest: Manifest, instant: str
) -> None:
    async with Operator(kube, namespace, program=program(signal.SIGKILL, instant)) as dying, AsyncExitStack() as stack:
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        before = await subject.primary()
        pod = (await subject.pods())[before]
        async with proving(19, subject=subject, gap_s=ENGINE_S):
            await crash(subject, before)
            assert dying.process is not None
            async with asyncio.timeout(30):
                assert await dying.process.wait() == -signal.SIGKILL
            await stack.enter_async_context(Operator(kube, namespace))  # the same pod: it need not wait for the lease
            await until_restarted(subject, pod)
            if manifest is standby:
                await another_primary(subject, before)


async def until_restarted(subject: Subject, before: Obj) -> None:
    """The Redis container of that pod was started again: status that is older than its death says nothing."""

    def starts(pod: Obj) -> int:
        statuses = pod["status"].get("containerStatuses", [])
        return next((int(each["restartCount"]) for each in statuses if each["name"] == "redis"), 0)

    async def restarted() -> bool:
        pod = (await subject.pods()).get(before["metadata"]["name"])
        return pod is not None and starts(pod) > starts(before)

    await eventually(restarted, "the container is started again")


# ---- row 21: two operators believe they lead


async def is_stopped(operator: Operator) -> bool:
    """SIGSTOP has reached it."""
    assert operator.process is not None
    status = Path(f"/proc/{operator.process.pid}/stat").read_text()  # noqa: ASYNC240 procfs does not block
    return status.rpartition(")")[2].split()[0] == "T"


async def until_said(operator: Operator, words: str, *, times: int = 1) -> None:
    async def said() -> bool:
        return operator.log.read_text().count(f'"{words}"') >= times

    await eventually(said, f"the operator says {words!r}")


@pytest.mark.parametrize(("instant", "manifest"), pairs(["planned", "asked"], KINDS))
async def test_an_operator_that_was_stopped_in_a_failover_and_goes_on_when_another_leads_does_nothing(
    kube: Kube, client: Client, namespace: str, manifest: Manifest, instant: str
) -> None:
    """The step that it would take up again is the worst there can be: a failover away from a primary that is well."""
    async with Operator(kube, namespace, program=program(signal.SIGSTOP, instant)) as stale:
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        first = await subject.primary()
        async with Operator(kube, namespace, identity="operator-1") as leader:
            await crash(subject, first)
            await eventually(lambda: is_stopped(stale), "the operator is stopped in the middle of its plan")
            await until_said(leader, "became leader")
            if manifest is standby:  # the Sentinels were as quick; in a cluster the old one is back before the timeout
                await another_primary(subject, first)
                await subject.until_ready()
                await crash(subject, second := await subject.primary())
                await another_primary(subject, second)
            await subject.until_ready()
            assert await subject.primary() == first

            async with proving(21, subject=subject, gap_s=0, planned=True):
                assert stale.process is not None
                stale.process.send_signal(signal.SIGCONT)
                await until_said(stale, "pass ended")
                await until_said(stale, "lost the lead")

            assert await subject.primary() == first
            assert await stale.metrics("tdredis_leads") == {"tdredis_leads": 0.0}
            assert await leader.metrics("tdredis_leads") == {"tdredis_leads": 1.0}


# ---- row 24: clocks that jump

RENEWAL_S = 10.0  # a leader that could not renew for so long gives up
DISRUPTIVE = tuple(
    NAMES[step]
    for step in (
        *(AssignSlots, FailOver, FailOverShard, Follow, Forget, HandOver, Meet, Promote, Replicate, ReplacePod),
        TakeOverShard,
    )
)


def clock_of(file: Path) -> Mapping[str, str]:
    """The environment of a process that lives so many seconds beside the right time as *file* says (libfaketime); its
    monotonic clock is left alone, as when an administrator sets the time.
    """
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    assert library is not None, "make install brings the package faketime"
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


async def lease_age_s(client: Client, namespace: str) -> float:
    """Since its holder renewed it, by what the holder's clock and ours say."""
    lease: Obj = await client.get(LEASES, namespace, "td-redis-operator")
    return time.time() - parse_time(lease["spec"]["renewTime"])


async def disruptions(operator: Operator) -> dict[str, float]:
    steps = await operator.metrics("tdredis_steps_total")
    return {
        series: number for series, number in steps.items() if any(f'step="{name}"' in series for name in DISRUPTIVE)
    }


@A_STANDBY
@pytest.mark.needs(PROCESSES)
async def test_an_hour_forth_and_two_back_cost_no_lease_make_no_storm_and_prove_nobody_dead(
    kube: Kube, client: Client, namespace: str, manifest: Manifest, tmp_path: Path
) -> None:
    """Two operators live by the same wrong clock, and a replica is silent meanwhile: silence ages by no hour."""
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    async with AsyncExitStack() as stack:
        leader = await stack.enter_async_context(Operator(kube, namespace, environment=clock_of(clock)))
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        candidate = Operator(kube, namespace, identity="operator-1", environment=clock_of(clock))
        other = await stack.enter_async_context(candidate)
        await until_said(other, "caches are synced")
        primary = await subject.primary()
        replica = next(name for name in sorted(await subject.pods()) if name != primary and name[:-1] == primary[:-1])
        async with proving(24, subject=subject, gap_s=0, planned=True):
            async with fault(kube, "freeze", "-c", "redis", f"{namespace}/{replica}"):

                async def is_missed() -> bool:
                    return bool(condition(await subject.get(), "Ready").get("reason") == "NoAnswer")

                await eventually(is_missed, "the operator misses the replica")
                before = await disruptions(leader)
                for jump in ("+3600", "-3600"):
                    clock.write_text(f"{jump}\n")
                    passes = sum((await leader.metrics("tdredis_reconcile_passes_total")).values())
                    await asyncio.sleep(RENEWAL_S + 2.0)  # the measure itself: a lease would be lost by then
                    more = sum((await leader.metrics("tdredis_reconcile_passes_total")).values()) - passes
                    assert 1 <= more < 5 * RENEWAL_S, f"{more} passes in {RENEWAL_S + 2:g} s after {jump}"
                    assert abs(await lease_age_s(client, namespace) + int(jump)) < 60, "the clock did not jump"
                assert await disruptions(leader) == before
            clock.write_text("+0\n")

        assert await leader.metrics("tdredis_leads") == {"tdredis_leads": 1.0}
        assert await other.metrics("tdredis_leads") == {"tdredis_leads": 0.0}
        assert "lost the lead" not in leader.log.read_text()
        assert await subject.primary() == primary
