"""Sentinels that have forgotten replicas and each other (SENTINEL RESET) as the primary dies: the operator's word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tdredis.planning.plan import Plan
from tdredis.planning.steps import Monitor, Promote
from tdredis.redis.sentinels import Watch
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_standby import SimulatedStandby
from tests.unit.planning.test_standby_failovers import as_sentinels_say
from tests.unit.planning.test_standby_plans import FIRST, SECOND, SENTINELS, THIRD, guards, planned, with_data


def reset(world: SimulatedStandby) -> SimulatedStandby:
    for sentinel in world.sentinels().values():
        for watch in sentinel.watched.values():
            watch.replicas.clear()
            watch.others.clear()
    return world


def promoted(made: Plan) -> list[str]:
    return [step.process.pod for step in made.steps if isinstance(step, Promote)]


def carry_out(world: SimulatedStandby, passes: int = 6) -> None:
    for _ in range(passes):
        for step in planned(world).steps:
            world.apply(step)
        world.settle(1.0)


def find_it_down(world: SimulatedStandby, *names: str) -> None:
    """Nothing has come from it for their down-after-milliseconds."""
    world.redis()[FIRST].silent = True
    for name in names:
        world.sentinels()[name].finds_down = True


def refuses(world: SimulatedStandby) -> None:
    world.redis()[FIRST].silent = world.redis()[FIRST].refused = True


def ends(world: SimulatedStandby) -> None:
    world.pods[FIRST].stopped = True


def loads(world: SimulatedStandby) -> None:
    """For minutes, where there is much: the replica has it all."""
    world.restart(FIRST)
    world.redis()[FIRST].loading = True


@pytest.mark.parametrize("dies", [refuses, ends, loads])
def test_a_primary_that_is_proven_dead_is_replaced_though_no_sentinel_knows_a_replica(
    dies: Callable[[SimulatedStandby], None],
) -> None:
    world = reset(with_data())
    keys = world.redis()[FIRST].keys
    dies(world)

    made = planned(world)

    assert promoted(made) == [SECOND]
    (why,) = (step.why for step in made.steps if isinstance(step, Promote))
    assert why.endswith("and no Sentinel knows a replica to choose")
    carry_out(world)
    assert world.watched_places() == {world.place(SECOND)}
    assert world.redis()[SECOND].keys == keys


def test_the_former_primary_follows_when_it_is_back() -> None:
    world = reset(with_data())
    refuses(world)
    carry_out(world)
    keys = world.redis()[SECOND].keys

    world.redis()[FIRST].silent = world.redis()[FIRST].refused = False  # it never died: somebody's firewall
    carry_out(world)

    assert world.primaries() == [SECOND]
    assert (world.redis()[FIRST].keys, world.redis()[SECOND].keys) == (keys, keys)


def test_of_several_replicas_the_furthest_takes_over() -> None:
    world = reset(with_data(replicas=2))
    world.redis()[SECOND].offset, world.redis()[THIRD].offset = 5, 7
    refuses(world)

    assert promoted(planned(world)) == [THIRD]


def test_a_replica_that_was_never_in_sync_does_not_take_over() -> None:
    world = reset(with_data())
    refuses(world)
    world.restart(SECOND)

    assert promoted(planned(world)) == []


def test_who_is_back_with_its_data_is_the_primary_again() -> None:
    """It has what it acknowledged last, and nobody need be told anything."""
    world = reset(with_data())
    world.restart(FIRST)

    assert promoted(planned(world)) == [FIRST]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_silent_primary_is_replaced_when_most_sentinels_find_it_down_and_only_then(count: int) -> None:
    """As they would by themselves, if they knew whom to choose."""
    world = reset(with_data())
    find_it_down(world, *SENTINELS[:count])

    made = planned(world)

    assert promoted(made) == ([SECOND] if count >= 2 else [])
    assert ("every_process_answers" in guards(made)) is (count < 2)
    carry_out(world)
    assert world.watched_places() == {world.place(SECOND if count >= 2 else FIRST)}


def test_sentinels_that_know_a_replica_vote_themselves() -> None:
    world = with_data()
    find_it_down(world, *SENTINELS)

    assert promoted(planned(world)) == []


def test_a_sentinel_in_tilt_does_not_count() -> None:
    world = reset(with_data())
    find_it_down(world, *SENTINELS)
    for name in SENTINELS[1:]:
        world.sentinels()[name].in_tilt = True

    assert promoted(planned(world)) == []


def test_a_sentinel_without_the_password_does_not_count() -> None:
    world = reset(with_data())
    find_it_down(world, *SENTINELS)

    def shut_out(name: str, watch: Watch) -> Watch:
        return watch if name == SENTINELS[0] else replace(watch, ok_age_ms=9000, info_age_ms=0, reply_age_ms=0)

    assert promoted(plan(as_sentinels_say(world, shut_out))) == []


@pytest.mark.parametrize("elsewhere", [("127.255.255.8", 6379), None], ids=["a foreign one", "a replica that died"])
def test_where_sentinels_watch_another_one_the_death_of_that_proves_nothing_of_the_primary(
    elsewhere: tuple[str, int] | None,
) -> None:
    """It is silent, and clients may reach it."""
    world = with_data(replicas=2)
    place = elsewhere or world.place(THIRD)
    for sentinel in world.sentinels().values():
        sentinel.watched["mymaster"].place = place
    reset(world)
    world.redis()[FIRST].silent = True
    if elsewhere is None:
        world.redis()[THIRD].silent = world.redis()[THIRD].refused = True

    assert promoted(planned(world)) == []


def test_one_that_thaws_follows_and_what_was_written_since_stays() -> None:
    world = reset(with_data())
    find_it_down(world, *SENTINELS)
    carry_out(world)
    world.redis()[SECOND].keys += 5
    world.redis()[SECOND].offset += 5
    keys = world.redis()[SECOND].keys

    world.redis()[FIRST].silent = False
    carry_out(world)

    assert world.primaries() == [SECOND]
    assert world.redis()[FIRST].keys == world.redis()[SECOND].keys == keys


def test_a_sentinel_that_answers_late_and_knows_a_newer_configuration_is_told_all_the_same() -> None:
    """By it the silent one would be the primary again when it thaws, and what was written since would be lost."""
    world = reset(with_data())
    for sentinel in world.sentinels().values():
        for watch in sentinel.watched.values():
            watch.epoch = 4
    find_it_down(world, *SENTINELS)
    late = world.sentinels()[SENTINELS[2]]
    late.silent = True
    carry_out(world)
    assert world.watched_places() == {world.place(FIRST), world.place(SECOND)}

    late.silent = False
    told = [step.process.pod for step in planned(world).steps if isinstance(step, Monitor)]

    assert told == [SENTINELS[2]]
    carry_out(world)
    world.redis()[FIRST].silent = False
    carry_out(world)
    assert (world.primaries(), world.watched_places()) == ([SECOND], {world.place(SECOND)})
