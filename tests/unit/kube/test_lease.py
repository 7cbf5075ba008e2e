"""Claims about who works, and that nobody works after the lease is gone."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from tdredis.kube.client import Client
from tdredis.kube.config import ClusterConfig
from tdredis.kube.lease import LeaderElector
from tests.kit.waiting import eventually
from tests.unit.kube.lease_store import LeaseStore


@pytest.fixture
async def store() -> AsyncIterator[LeaseStore]:
    async with LeaseStore() as store:
        yield store


@pytest.fixture
async def client(store: LeaseStore) -> AsyncIterator[Client]:
    async with Client(ClusterConfig(store.url), deadline_s=5) as client:
        yield client


class Candidate:
    """An operator that counts when it works."""

    working: set[str]

    def __init__(self, client: Client, identity: str, working: set[str] | None = None) -> None:
        self.identity = identity
        self.working = set() if working is None else working
        self.most_at_once = 0
        self.terms = 0
        self.ended = 0
        self.elector = LeaderElector(client, "n", "l", identity, duration_s=3.0, renew_s=1.2, retry_s=0.05)
        self.task = asyncio.create_task(self.elector.run(self._work))

    async def _work(self) -> None:
        self.terms += 1
        self.working.add(self.identity)
        self.most_at_once = max(self.most_at_once, len(self.working))
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # ending takes a moment, and is waited for
            self.working.remove(self.identity)
            self.ended += 1

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})

    async def until_it_works(self, store: LeaseStore) -> None:
        await eventually(lambda: self.identity in self.working, lambda: (self.working, store.lease))


async def test_the_first_one_leads_and_renews(store: LeaseStore, client: Client) -> None:
    one = Candidate(client, "one")
    await one.until_it_works(store)
    await eventually(lambda: store.writes >= 4, lambda: store.writes)

    assert (store.holder, one.elector.leads, one.elector.holder) == ("one", True, "one")
    await one.stop()


async def test_a_stop_ends_the_work_first_and_then_gives_the_lease_back(store: LeaseStore, client: Client) -> None:
    one = Candidate(client, "one")
    await one.until_it_works(store)
    await one.stop()

    assert (one.working, store.holder) == (set(), "")


async def test_a_lease_that_was_given_back_is_taken_at_once(store: LeaseStore, client: Client) -> None:
    working: set[str] = set()
    one = Candidate(client, "one", working)
    await one.until_it_works(store)
    two = Candidate(client, "two", working)
    await one.stop()
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    await two.until_it_works(store)

    assert loop.time() - started_at < 2.0
    assert two.most_at_once == 1
    await two.stop()


async def test_a_lease_of_another_is_waited_out_by_our_own_clock(store: LeaseStore, client: Client) -> None:
    # Its renewTime is long past: who trusted it would begin at once, beside a leader with a wrong clock.
    store.put(holderIdentity="other", leaseDurationSeconds=1, renewTime="2001-01-01T00:00:00.000000Z")
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    one = Candidate(client, "one")
    await one.until_it_works(store)

    assert loop.time() - started_at >= 1.0
    assert store.lease is not None
    assert store.lease["spec"]["leaseTransitions"] == 1
    await one.stop()


async def test_the_same_pod_restarted_retakes_its_lease_at_once(store: LeaseStore, client: Client) -> None:
    store.put(holderIdentity="one", leaseDurationSeconds=3600, renewTime="2099-01-01T00:00:00.000000Z")
    one = Candidate(client, "one")
    await one.until_it_works(store)

    await one.stop()


@pytest.mark.parametrize("fault", ["hang", "500"])
async def test_who_cannot_renew_stops_before_another_may_begin_and_leads_again_when_it_can(
    store: LeaseStore, client: Client, fault: str
) -> None:
    one = Candidate(client, "one")
    await one.until_it_works(store)
    loop = asyncio.get_running_loop()
    store.fault = fault  # type: ignore[assignment]  # a parametrized Literal
    started_at = loop.time()
    await eventually(lambda: one.ended, lambda: (one.working, store.writes))

    assert loop.time() - started_at < 3.0
    assert one.working == set()
    store.fault = None
    await one.until_it_works(store)
    assert one.terms == 2
    await one.stop()


async def test_a_lease_that_another_took_ends_the_work(store: LeaseStore, client: Client) -> None:
    one = Candidate(client, "one")
    await one.until_it_works(store)
    with capture_logs() as logs:
        store.put(holderIdentity="other", leaseDurationSeconds=3600)
        await eventually(lambda: one.ended, lambda: (one.working, store.lease))

    assert [each["why"] for each in logs if each["event"] == "lost the lead"] == ["'other' holds the lease"]
    assert not one.elector.leads
    await one.stop()
    assert store.holder == "other"


async def test_a_stray_write_does_not_cost_the_lead(store: LeaseStore, client: Client) -> None:
    one = Candidate(client, "one")
    await one.until_it_works(store)
    store.touch_before_next_write = True
    writes = store.writes
    await eventually(lambda: store.writes >= writes + 3, lambda: store.writes)

    assert (one.terms, one.ended) == (1, 0)
    await one.stop()


async def test_many_candidates_never_work_at_the_same_time(store: LeaseStore, client: Client) -> None:
    working: set[str] = set()
    candidates = [Candidate(client, f"c{number}", working) for number in range(5)]
    for _ in range(4):
        await eventually(lambda: working, lambda: store.lease)
        (leader,) = [one for one in candidates if one.identity in working]
        await leader.stop()
        candidates.remove(leader)
    for one in candidates:
        await one.until_it_works(store)
        await one.stop()

        assert one.most_at_once == 1


async def test_work_that_returns_ends_the_run_and_work_that_fails_is_heard(store: LeaseStore, client: Client) -> None:
    async def returns() -> None:
        return

    async def fails() -> None:
        raise ZeroDivisionError

    elector = LeaderElector(client, "n", "l", "one")
    await elector.run(returns)
    with pytest.raises(ZeroDivisionError):
        await elector.run(fails)

    assert store.holder == ""


@pytest.mark.parametrize("durations", [(15, 10, 10), (10, 10, 2), (15, 10, 0)])
def test_durations_that_could_let_two_work_are_refused(durations: tuple[float, float, float]) -> None:
    duration_s, renew_s, retry_s = durations
    client = Client(ClusterConfig("http://127.0.0.1:1"))
    with pytest.raises(ValueError, match="retry < renew < duration"):
        LeaderElector(client, "n", "l", "one", duration_s=duration_s, renew_s=renew_s, retry_s=retry_s)


async def test_who_was_stopped_past_its_lease_may_not_act_from_its_first_instruction_on(
    store: LeaseStore, client: Client
) -> None:
    clock = [100.0]
    elector = LeaderElector(client, "n", "l", "one", monotonic=lambda: clock[0])
    may: list[bool] = []

    async def lead() -> None:
        may.append(elector.may_act())
        clock[0] += 10.0  # SIGSTOP, or a machine that was suspended: nothing has run meanwhile
        may.append(elector.may_act())

    await elector.run(lead)

    assert may == [True, False]
    assert not elector.may_act()
