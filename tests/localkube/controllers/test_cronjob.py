"""Claims about CronJobs: when a Job is started, and which ones are kept."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from localkube.controllers.cronjob import CRON_JOBS, JOBS, CronJobController
from localkube.controllers.schedules import BadSchedule, parse_schedule
from localkube.registry import time_text
from tests.localkube.controllers.conftest import World

Obj = dict[str, Any]
BEGIN = datetime.datetime(2026, 3, 1, 12, 0, 30, tzinfo=datetime.UTC)
TEMPLATE = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}


class Clock:
    """The world's time stands still until it is told to go on."""

    def __init__(self, world: World) -> None:
        self.now = BEGIN
        self._world = world
        world.registry.now = lambda: self.now

    def pass_minutes(self, minutes: float) -> None:
        """And the CronJob is looked at again, as its timer would do."""
        self.now += datetime.timedelta(minutes=minutes)
        known = self._world.get(CRON_JOBS, "c")
        labels = {"seen": self.now.strftime("%s")}
        self._world.registry.update(CRON_JOBS, {**known, "metadata": {**known["metadata"], "labels": labels}})


@pytest.fixture(name="clock")
def _clock(world: World) -> Clock:
    return Clock(world)


def cron_job(world: World, schedule: str = "* * * * *", /, **spec: Any) -> Obj:
    job = {"metadata": {"labels": {"made": "by-cron"}}, "spec": {"template": TEMPLATE}}
    return world.create(CRON_JOBS, "c", spec={"schedule": schedule, "jobTemplate": job, **spec})


def status(world: World) -> Obj:
    found: Obj = world.get(CRON_JOBS, "c").get("status") or {}
    return found


def reasons(world: World) -> list[str]:
    return [one["reason"] for one in world.registry.list("events", "default")]


def end(world: World, name: str, how: str = "Complete") -> None:
    now = time_text(world.registry.now())
    said = {"type": how, "status": "True", "lastTransitionTime": now}
    ended = {"startTime": now, "conditions": [said], **({"completionTime": now} if how == "Complete" else {})}
    world.change(JOBS, name, subresource="status", status=ended)


async def run_minutes(world: World, clock: Clock, count: int, how: str) -> None:
    """Each minute's Job ends within it."""
    for _ in range(count):
        clock.pass_minutes(1)
        await world.settled()
        end(world, world.names(JOBS)[-1], how)
        await world.settled()


async def test_a_due_minute_starts_a_job_that_the_status_names(world: World, clock: Clock) -> None:
    world.start(CronJobController)
    cron_job(world)
    await world.settled()
    assert world.names(JOBS) == []

    clock.pass_minutes(1)
    await world.until(lambda: status(world).get("active"))

    made = world.get(JOBS, world.names(JOBS)[0])
    assert made["metadata"]["labels"]["made"] == "by-cron"
    assert made["metadata"]["ownerReferences"][0]["name"] == "c"
    assert (
        made["metadata"]["name"]
        == f"c-{int(datetime.datetime(2026, 3, 1, 12, 1, tzinfo=datetime.UTC).timestamp()) // 60}"
    )
    assert status(world)["lastScheduleTime"] == "2026-03-01T12:01:00Z"
    assert [one["name"] for one in status(world)["active"]] == world.names(JOBS)


async def test_a_job_that_has_ended_is_no_longer_active(world: World, clock: Clock) -> None:
    world.start(CronJobController)
    cron_job(world)

    await run_minutes(world, clock, 1, "Complete")

    assert "active" not in status(world)
    assert status(world)["lastSuccessfulTime"] == "2026-03-01T12:01:30Z"
    assert "SawCompletedJob" in reasons(world)


@pytest.mark.parametrize(("policy", "jobs"), [("Allow", 2), ("Forbid", 1), ("Replace", 1)])
async def test_a_job_that_still_runs_is_treated_by_the_policy(
    world: World, clock: Clock, policy: str, jobs: int
) -> None:
    world.start(CronJobController)
    cron_job(world, concurrencyPolicy=policy)
    clock.pass_minutes(1)
    await world.until(lambda: world.names(JOBS))
    first = world.names(JOBS)[0]

    clock.pass_minutes(1)
    await world.settled()

    assert len(world.names(JOBS)) == jobs
    assert (first in world.names(JOBS)) == (policy != "Replace")


async def test_what_was_forbidden_starts_when_the_other_has_ended(world: World, clock: Clock) -> None:
    world.start(CronJobController)
    cron_job(world, concurrencyPolicy="Forbid")
    clock.pass_minutes(1)
    await world.until(lambda: world.names(JOBS))
    clock.pass_minutes(1)
    await world.settled()

    end(world, world.names(JOBS)[0])

    await world.until(lambda: len(world.names(JOBS)) == 2)


async def test_a_suspended_one_starts_nothing(world: World, clock: Clock) -> None:
    world.start(CronJobController)
    cron_job(world, suspend=True)

    clock.pass_minutes(5)
    await world.settled()

    assert world.names(JOBS) == []


async def test_of_many_missed_starts_only_the_latest_is_made_up_for(world: World, clock: Clock) -> None:
    world.start(CronJobController)
    cron_job(world)

    clock.pass_minutes(10)
    await world.settled()

    assert status(world)["lastScheduleTime"] == "2026-03-01T12:10:00Z"
    assert len(world.names(JOBS)) == 1


async def test_years_of_missed_minutes_cost_no_time_and_are_told(world: World, clock: Clock) -> None:
    world.start(CronJobController)
    cron_job(world)

    clock.pass_minutes(3 * 365 * 24 * 60)
    await world.until(lambda: world.names(JOBS))

    assert status(world)["lastScheduleTime"] == "2029-02-28T12:00:00Z"
    assert "TooManyMissedTimes" in reasons(world)


async def test_a_start_missed_for_longer_than_the_deadline_is_left_out(world: World, clock: Clock) -> None:
    world.start(CronJobController)
    cron_job(world, "0 * * * *", startingDeadlineSeconds=60)

    clock.pass_minutes(70)
    await world.settled()

    assert world.names(JOBS) == []


@pytest.mark.parametrize(("how", "kept"), [("Complete", 3), ("Failed", 1)])
async def test_only_so_many_ended_jobs_are_kept(world: World, clock: Clock, how: str, kept: int) -> None:
    world.start(CronJobController)
    cron_job(world)

    await run_minutes(world, clock, 5, how)

    assert len(world.names(JOBS)) == kept


async def test_a_schedule_that_is_none_is_told(world: World, clock: Clock) -> None:
    world.start(CronJobController)

    cron_job(world, "99 * * * *")
    await world.until(lambda: "UnparseableSchedule" in reasons(world))

    assert clock.now == BEGIN
    assert world.names(JOBS) == []


def after(schedule: str, start: str, zone: str | None = None) -> str | None:
    due = parse_schedule(schedule, zone).next_after(datetime.datetime.fromisoformat(start))
    return time_text(due) if due is not None else None


@pytest.mark.parametrize(
    ("schedule", "start", "due"),
    [
        ("* * * * *", "2026-03-01T12:00:00Z", "2026-03-01T12:01:00Z"),
        ("*/15 * * * *", "2026-03-01T12:01:00Z", "2026-03-01T12:15:00Z"),
        ("5-10/2 3 * * *", "2026-03-01T03:05:00Z", "2026-03-01T03:07:00Z"),
        ("30/10 * * * *", "2026-03-01T03:41:00Z", "2026-03-01T03:50:00Z"),
        ("0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 * * 7", "2026-03-02T00:00:00Z", "2026-03-08T00:00:00Z"),
        ("0 0 1 * mon", "2026-03-03T00:00:00Z", "2026-03-09T00:00:00Z"),
        ("0 0 * Apr-Jun *", "2026-03-03T00:00:00Z", "2026-04-01T00:00:00Z"),
        ("@hourly", "2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"),
        ("@weekly", "2026-03-02T00:00:00Z", "2026-03-08T00:00:00Z"),
        ("0 0 30 2 *", "2026-03-03T00:00:00Z", None),
    ],
)
def test_a_schedule_is_due_as_cron_says(schedule: str, start: str, due: str | None) -> None:
    assert after(schedule, start) == due


def test_a_zone_is_where_the_schedule_is_read() -> None:
    assert after("0 12 * * *", "2026-01-01T00:00:00Z", "Europe/Berlin") == "2026-01-01T11:00:00Z"
    assert after("0 12 * * *", "2026-07-01T00:00:00Z", "Europe/Berlin") == "2026-07-01T10:00:00Z"


def test_a_minute_that_the_clock_skips_is_never_due() -> None:
    assert after("30 2 * * *", "2026-03-29T00:00:00Z", "Europe/Berlin") == "2026-03-30T00:30:00Z"


@pytest.mark.parametrize("text", ["* * * *", "60 * * * *", "*/0 * * * *", "5-1 * * * *", "x * * * *", "@often", ""])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(BadSchedule):
        parse_schedule(text)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(BadSchedule, match="unknown time zone Mars/Olympus"):
        parse_schedule("* * * * *", "Mars/Olympus")
