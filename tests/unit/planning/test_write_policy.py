"""What a primary does while it may be replaced behind its back, and what it took alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tdredis.planning.news import losses
from tdredis.planning.plan import Plan
from tdredis.planning.steps import Follow, SetConfig
from tests.unit.planning.passes import plan, report
from tests.unit.planning.simulated_standby import SimulatedStandby

NAME = "redis-standby-tom"
FIRST, SECOND, THIRD = (f"{NAME}-{number}" for number in range(3))
LEAST = "min-replicas-to-write"


def with_data(**spec: object) -> SimulatedStandby:
    world = SimulatedStandby("RedisStandby", **spec)
    world.converge()
    world.write(10)
    world.run_pass()
    return world


def strict(**spec: object) -> SimulatedStandby:
    return with_data(writePolicy="consistency", **spec)


def spec_of(world: SimulatedStandby, **changes: object) -> None:
    world.resource["spec"] = {**world.resource["spec"], **changes}  # type: ignore[dict-item]


def least(world: SimulatedStandby) -> dict[str, int]:
    return {name: redis.least for name, redis in world.redis().items()}


def set_by(made: Plan) -> list[tuple[str, int | str]]:
    return [(step.process.pod, step.value) for step in made.steps if isinstance(step, SetConfig) and LEAST in str(step)]


def guards(made: Plan) -> list[str]:
    return [hold.guard for hold in made.holds]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {FIRST: 0, SECOND: 0}),
        ({"writePolicy": "consistency"}, {FIRST: 1, SECOND: 0}),
        ({"writePolicy": "consistency", "replicas": 2}, {FIRST: 1, SECOND: 0, THIRD: 0}),
    ],
)
def test_only_a_primary_that_is_to_be_consistent_counts_on_a_replica(
    spec: dict[str, object], expected: dict[str, int]
) -> None:
    assert least(with_data(**spec)) == expected


@pytest.mark.parametrize(("down_after_ms", "lag_s"), [(4000, 2), (5000, 3), (9000, 7), (60000, 10)])
def test_a_primary_stops_before_sentinels_call_it_down(down_after_ms: int, lag_s: int) -> None:
    """Redis looks once a second and counts whole seconds: up to two seconds more."""
    world = strict()
    spec_of(world, sentinel={"downAfterMilliseconds": down_after_ms})

    world.converge()

    assert {redis.lag for redis in world.redis().values()} == {lag_s}
    assert (lag_s + 2) * 1000 <= down_after_ms


def test_too_little_time_to_stop_is_refused_with_what_to_write() -> None:
    world = SimulatedStandby(writePolicy="consistency", sentinel={"downAfterMilliseconds": 3000})

    made = plan(world.snapshot())

    assert guards(made) == ["spec_is_valid"]
    assert "write sentinel.downAfterMilliseconds: 4000 or more" in made.holds[0].why


def test_the_policy_is_switched_while_it_runs() -> None:
    world = with_data()
    spec_of(world, writePolicy="consistency")
    world.converge()
    assert (least(world)[FIRST], world.redis()[FIRST].lag) == (1, 3)

    spec_of(world, writePolicy="availability")
    world.converge()

    assert (least(world)[FIRST], world.redis()[FIRST].lag) == (0, 10)


# ---- the standby dies, or seems to


def ended(world: SimulatedStandby) -> None:
    world.pods[SECOND].stopped = True


def pod_gone(world: SimulatedStandby) -> None:
    world.forbidden = {SECOND}
    del world.pods[SECOND]


def started_anew(world: SimulatedStandby) -> None:
    world.restart(SECOND)


def refused(world: SimulatedStandby) -> None:
    world.redis()[SECOND].silent = world.redis()[SECOND].refused = True


@pytest.mark.parametrize("die", [ended, pod_gone, started_anew, refused])
def test_a_primary_whose_standby_is_proven_dead_takes_writes_and_counts_on_it_again_when_it_is_back(
    die: Callable[[SimulatedStandby], None],
) -> None:
    world = strict()
    die(world)

    made = plan(world.snapshot())

    assert made.steps[0] == next(step for step in made.steps if isinstance(step, SetConfig) and LEAST in str(step))
    assert set_by(made) == [(FIRST, 0)]
    world.run_pass()
    world.forbidden = set()
    world.run_statefulsets()
    world.pods[SECOND].stopped = False
    world.redis()[SECOND].silent = world.redis()[SECOND].refused = False
    world.converge()
    assert least(world) == {FIRST: 1, SECOND: 0}


def unresponsive(world: SimulatedStandby) -> None:
    world.redis()[SECOND].silent = True


def refused_and_found(world: SimulatedStandby) -> None:
    """A firewall refuses the operator; the Sentinels still reach it."""
    refused(world)
    world.firewalled.add(SECOND)


def cut_off(world: SimulatedStandby) -> None:
    world.redis()[SECOND].cut_off = True


@pytest.mark.parametrize("fail", [unresponsive, refused_and_found, cut_off])
def test_a_standby_that_could_be_chosen_keeps_the_primary_from_writing_alone(
    fail: Callable[[SimulatedStandby], None],
) -> None:
    world = strict()
    fail(world)
    world.settle()

    made = plan(world.snapshot())

    assert (set_by(made), guards(made)) == ([], ["replica_is_proven_dead"])
    ready = report(world.snapshot(), made).conditions[0]
    assert "no reachable replica confirms them" in ready.message


def test_one_standby_in_reach_is_enough() -> None:
    world = strict(replicas=2)
    world.redis()[THIRD].silent = True
    world.settle()

    made = plan(world.snapshot())

    assert (set_by(made), "replica_is_proven_dead" in guards(made)) == ([], False)


def test_of_two_standbys_both_must_be_proven_dead() -> None:
    world = strict(replicas=2)
    world.pods[SECOND].stopped = True
    world.redis()[THIRD].silent = True
    world.settle()

    assert "replica_is_proven_dead" in guards(plan(world.snapshot()))

    world.pods[THIRD].stopped = True
    assert set_by(plan(world.snapshot())) == [(FIRST, 0)]


def test_a_paused_instance_is_left_as_it_is() -> None:
    world = strict(paused=False)
    spec_of(world, paused=True)
    started_anew(world)

    made = plan(world.snapshot())

    assert (made.steps, least(world)[FIRST]) == ((), 1)


def test_a_standalone_takes_writes() -> None:
    world = SimulatedStandby("RedisStandalone")
    world.converge()

    assert least(world) == {FIRST: 0}


# ---- failover


def test_a_promoted_replica_takes_writes_until_its_own_replica_is_in_sync() -> None:
    world = strict()
    world.pods[FIRST].stopped = True
    world.run_pass()
    assert (world.primaries(), least(world)) == ([SECOND], {SECOND: 0})

    world.restart(FIRST)
    world.pods[FIRST].stopped = False
    world.converge()

    assert least(world) == {FIRST: 0, SECOND: 1}


def test_a_second_primary_keeps_what_stops_it_until_it_is_one_no_more() -> None:
    world = strict()
    elected_beside(world)
    for sentinel in world.sentinels().values():
        sentinel.failing_over = sentinel.choosing = True  # so it is not demoted yet

    made = plan(world.snapshot())

    assert (set_by(made), guards(made)) == ([], ["no_failover_in_progress"])


@pytest.mark.parametrize("before", [2, 5])
def test_a_fence_that_a_handover_left_stays_as_long_as_a_failover_goes_on_and_goes_with_it(before: int) -> None:
    """Whoever put it up was killed, and the failover came to nothing: no replica was chosen."""
    world = strict(replicas=2)
    world.redis()[FIRST].least = before
    asked = world.sentinels()["sentinel-standby-tom-2"]
    asked.failing_over = True

    world.run_pass()

    assert least(world)[FIRST] == before
    asked.failing_over = False
    world.run_pass()
    assert least(world) == {FIRST: 1, SECOND: 0, THIRD: 0}


def test_a_fence_behind_which_a_replica_is_lost_is_told_and_lifted() -> None:
    world = with_data(replicas=2)
    world.redis()[FIRST].least = 2
    world.redis()[THIRD].silent = True

    made = plan(world.snapshot())

    assert set_by(made) == [(FIRST, 0)]
    assert "redis-standby-tom-0 refuses writes: min-replicas-to-write is 2, and 1 in reach" in str(
        report(world.snapshot(), made)
    )


def leaving_behind_its_fence(policy: str) -> SimulatedStandby:
    """stop.sh hands over, as no Sentinel could be asked: all were in TILT."""
    world = with_data(replicas=2, writePolicy=policy)
    world.pods[FIRST].deleting = True
    world.redis()[FIRST].least = 2
    for sentinel in world.sentinels().values():
        sentinel.in_tilt = True
    return world


@pytest.mark.parametrize("policy", ["availability", "consistency"])
def test_a_primary_whose_pod_is_to_go_keeps_its_fence_until_it_is_one_no_more(policy: str) -> None:
    world = leaving_behind_its_fence(policy)

    made, _ = world.run_pass()

    assert (set_by(made), least(world)[FIRST]) == ([], 2)
    for sentinel in world.sentinels().values():
        sentinel.in_tilt = False
    for _ in range(6):
        world.run_pass()
    assert world.primaries() != [FIRST]
    assert least(world)[FIRST] == 0


def test_a_primary_whose_pod_is_to_go_takes_writes_when_nobody_could_take_over_any_more() -> None:
    world = leaving_behind_its_fence("consistency")
    for name in (SECOND, THIRD):
        world.pods[name].stopped = True

    made = plan(world.snapshot())

    assert set_by(made) == [(FIRST, 0)]


@pytest.mark.parametrize("policy", ["availability", "consistency"])
def test_what_a_second_primary_took_alone_is_counted_and_told(policy: str) -> None:
    world = with_data(writePolicy=policy)
    elected_beside(world)
    world.redis()[FIRST].offset += 123

    made, _ = world.run_pass()

    (follow,) = [step for step in made.steps if isinstance(step, Follow)]
    assert (follow.process.pod, follow.given_up_bytes) == (FIRST, 123)
    (told,) = losses(made.steps)
    assert (told.warning, told.reason) == (True, "WritesGivenUp")
    assert f"{FIRST} was a second primary and took 123 bytes" in told.message
    world.converge()
    assert (world.primaries(), world.disconnected, least(world)[FIRST]) == ([SECOND], [FIRST], 0)


def test_a_second_primary_that_took_nothing_is_no_loss() -> None:
    world = with_data()
    elected_beside(world)

    made, _ = world.run_pass()

    assert [step.given_up_bytes for step in made.steps if isinstance(step, Follow)] == [0]
    assert list(losses(made.steps)) == []


def elected_beside(world: SimulatedStandby) -> None:
    """FIRST is cut off; the Sentinels replaced it, and it comes back and knows nothing of it."""
    world.redis()[FIRST].cut_off = True
    world.settle()
    world.promote(world.redis()[SECOND])
    for sentinel in world.sentinels().values():
        watched = sentinel.watched["mymaster"]
        watched.replicas = (watched.replicas | {watched.place}) - {world.place(SECOND)}
        watched.place, watched.epoch = world.place(SECOND), watched.epoch + 1
    world.redis()[FIRST].cut_off = False


def test_a_standby_that_sentinels_reach_under_its_former_address_could_still_be_chosen() -> None:
    """The address for outside was edited, and nobody has told the standby of it: it does not answer the operator."""
    world = SimulatedStandby(
        netmode="NodePort", vip="172.17.0.9", sentinel={"external": True}, writePolicy="consistency"
    )
    world.converge()
    refused_and_found(world)
    world.settle()
    world.resource["spec"] = {**world.resource["spec"], "vip": "172.17.0.10"}  # type: ignore[dict-item]

    made = plan(world.snapshot())

    assert set_by(made) == []
    assert "replica_is_proven_dead" in guards(made)
