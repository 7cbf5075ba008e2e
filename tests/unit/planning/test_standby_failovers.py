"""Plans of a RedisStandby while its Sentinels carry out a failover, are cut off in one, or begin anew after one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import ReplicationSnapshot
from tdredis.planning.steps import Apply, Monitor, Promote
from tdredis.redis.sentinels import Known, SentinelFacts
from tdredis.redis.sentinels import Watch as WatchFacts
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_standby import SimulatedStandby
from tests.unit.planning.test_standby_plans import FIRST, SECOND, SENTINELS, THIRD, guards, planned, with_data

SLAVE = frozenset({"slave"})


def as_sentinels_say(world: SimulatedStandby, change: Callable[[str, WatchFacts], WatchFacts]) -> ReplicationSnapshot:
    """What is seen when each Sentinel says *change* of what it would say."""
    seen = world.snapshot()
    said = {}
    for name, facts in seen.sentinels.items():
        assert isinstance(facts, SentinelFacts)
        said[name] = replace(facts, watches=(change(name, facts.watches[0]),))
    return replace(seen, sentinels=said)


def targets(made: Plan, endpoint_slice: str) -> list[str]:
    """Pods that *made* has it lead to."""
    (step,) = (step for step in made.steps if isinstance(step, Apply) and step.ref.name == endpoint_slice)
    return [each["targetRef"]["name"] for each in step.manifest["endpoints"]]  # type: ignore[index, call-overload, union-attr, misc]


def begun_anew(made: Plan) -> list[str]:
    return [step.process.pod for step in made.steps if isinstance(step, Monitor)]


def test_a_promotion_that_was_cut_off_does_not_count_against_a_newer_configuration() -> None:
    """One Sentinel and the replica it promoted were cut off; the others have chosen another one since."""
    world = with_data(replicas=2)
    world.redis()[SECOND].follows = world.redis()[THIRD].follows = None
    world.redis()[FIRST].follows = world.place(THIRD)
    second, third, first = (world.place(pod) for pod in (SECOND, THIRD, FIRST))

    def say(name: str, watch: WatchFacts) -> WatchFacts:
        if name == SENTINELS[0]:
            known = (Known(host=second[0], port=second[1], flags=SLAVE | {"promoted"}),)
            return replace(watch, config_epoch=1, flags=watch.flags | {"failover_in_progress"}, replicas=known)
        replicas = tuple(Known(host=host, port=port, flags=SLAVE) for host, port in (first, second))
        return replace(watch, host=third[0], port=third[1], run_id="", config_epoch=5, replicas=replicas)

    assert targets(plan(as_sentinels_say(world, say)), f"{FIRST.removesuffix('-0')}-primary") == [THIRD]


def test_readers_keep_their_replicas_until_those_are_told_of_the_new_primary() -> None:
    world = with_data(replicas=2)
    world.redis()[SECOND].follows = None
    world.sentinels()[SENTINELS[2]].failing_over = True

    made = planned(world)

    assert targets(made, f"{FIRST.removesuffix('-0')}-primary") == [SECOND]
    assert targets(made, f"{FIRST.removesuffix('-0')}-ro-replicas") == [THIRD]


def test_sentinels_that_asked_too_early_begin_anew_only_beside_others_who_know_the_replicas() -> None:
    """Each of them still knows the other replica: it could carry out a failover; who knows none could not."""
    world = with_data(replicas=2)
    early = world.place(SECOND)

    def but_for(*blind: str) -> Callable[[str, WatchFacts], WatchFacts]:
        def say(name: str, watch: WatchFacts) -> WatchFacts:
            asked = tuple(
                replace(each, priority=0) if (each.host, each.port) == early else each for each in watch.replicas
            )
            return replace(watch, replicas=() if name in blind else asked)

        return say

    assert begun_anew(plan(as_sentinels_say(world, but_for()))) == [SENTINELS[0]]
    for blind in (SENTINELS[:1], SENTINELS[:2]):
        made = plan(as_sentinels_say(world, but_for(*blind)))
        assert begun_anew(made) == []
        assert "other_sentinels_are_ready" in guards(made)


def test_without_a_record_an_empty_pod_is_no_primary_while_another_is_silent() -> None:
    """The API server may be slow to take the record: that there is none is no proof that nobody has data."""
    world = with_data()
    for sentinel in world.sentinels().values():
        sentinel.watched.clear()
    world.restart(FIRST)
    world.redis()[FIRST].keys = 0
    world.redis()[SECOND].silent = True
    seen = world.snapshot()
    unwritten = msgspec.structs.replace(seen.instance, status=type(seen.instance.status)())

    made = plan(replace(seen, instance=unwritten))

    assert not [step for step in made.steps if isinstance(step, Promote)]
