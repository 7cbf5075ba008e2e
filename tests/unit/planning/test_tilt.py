"""A Sentinel in TILT carries out nothing, and says OK to a failover that it is asked for: another one is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tdredis.planning.plan import Plan
from tdredis.planning.replication.planner import TILT_ENDS_S
from tdredis.planning.steps import FailOver, Monitor
from tdredis.redis.facts import Unknown
from tdredis.redis.sentinels import SentinelFacts
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_standby import SimulatedStandby
from tests.unit.planning.test_standby_plans import FIRST, SECOND, SENTINELS, guards, planned, with_data

GUARD = "some_sentinel_is_not_in_tilt"


def dead(world: SimulatedStandby) -> None:
    world.restart(FIRST)


def leaving(world: SimulatedStandby) -> None:
    world.pods[FIRST].deleting = True


def tilt(world: SimulatedStandby, *names: str) -> None:
    for name, sentinel in world.sentinels().items():
        sentinel.in_tilt = name in names


@pytest.mark.parametrize("in_tilt", [[SENTINELS[2]], SENTINELS[1:], SENTINELS[:2], [SENTINELS[0], SENTINELS[2]]])
@pytest.mark.parametrize("happens", [dead, leaving])
def test_a_failover_is_asked_of_a_sentinel_that_is_not_in_tilt(happens: object, in_tilt: list[str]) -> None:
    world = with_data()
    tilt(world, *in_tilt)
    happens(world)  # type: ignore[operator]
    world.settle()

    (step,) = (step for step in planned(world).steps if isinstance(step, FailOver))

    assert step.process.pod not in in_tilt


@pytest.mark.parametrize("happens", [dead, leaving])
def test_where_all_are_in_tilt_it_is_said_and_looked_at_soon(happens: object) -> None:
    world = with_data()
    tilt(world, *SENTINELS)
    happens(world)  # type: ignore[operator]
    world.settle()

    made = planned(world)

    assert [step for step in made.steps if isinstance(step, FailOver)] == []
    (hold,) = (hold for hold in made.holds if hold.guard == GUARD)
    assert all(name in hold.why for name in SENTINELS)
    assert made.next_look_s <= TILT_ENDS_S

    tilt(world, *SENTINELS[1:])
    asked = [step.process.pod for step in world.run_pass()[0].steps if isinstance(step, FailOver)]
    assert (asked, next(iter(world.sentinels()[SENTINELS[0]].watched.values())).place) == (
        [SENTINELS[0]],
        world.place(SECOND),
    )


def test_what_a_sentinel_in_tilt_holds_for_down_is_no_proof() -> None:
    """Its judgement stands still; its connections do not."""
    world = with_data()
    world.redis()[FIRST].silent = True
    world.settle()
    seen = world.snapshot()
    refused = Unknown(since=world.now, error="refused", refused=True)

    def asked(flags: frozenset[str], *, in_tilt: bool) -> list[str]:
        said = {}
        for name, facts in seen.sentinels.items():
            assert isinstance(facts, SentinelFacts)
            watch = replace(facts.watches[0], flags=frozenset({"master"}) | flags)
            said[name] = replace(facts, watches=(watch,), in_tilt=in_tilt and name != SENTINELS[0])
        made = plan(replace(seen, nodes={**seen.nodes, FIRST: refused}, sentinels=said))
        return [step.process.pod for step in made.steps if isinstance(step, FailOver)]

    assert asked(frozenset({"s_down"}), in_tilt=False) == [SENTINELS[2]]
    assert asked(frozenset({"s_down"}), in_tilt=True) == []
    assert asked(frozenset({"disconnected"}), in_tilt=True) == [SENTINELS[0]]


def test_in_peace_a_sentinel_in_tilt_changes_nothing() -> None:
    world = with_data()
    tilt(world, *SENTINELS)

    made = planned(world)

    assert (made.steps, guards(made)) == ((), [])


def test_no_sentinel_begins_anew_while_another_could_not_fail_over() -> None:
    world = with_data()
    world.sentinels()[SENTINELS[0]].watched["mymaster"].replicas.add(("10.9.9.9", 6379))

    tilt(world, SENTINELS[1])
    assert (begun_anew(planned(world)), guards(planned(world))) == ([], ["other_sentinels_are_ready"])

    tilt(world, SENTINELS[0])
    assert begun_anew(planned(world)) == [SENTINELS[0]]


def begun_anew(made: Plan) -> list[str]:
    return [step.process.pod for step in made.steps if isinstance(step, Monitor)]
