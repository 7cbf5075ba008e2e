"""Plans of a RedisStandby and a RedisStandalone, on a simulated world that is interrupted, broken and healed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.snapshot import Ref, Trouble
from tdredis.planning.steps import (
    FailOver,
    Follow,
    Monitor,
    Promote,
    PublishHellos,
    RemoveMonitor,
    ReplacePod,
    SetAuthPass,
    SetConfig,
    Step,
)
from tdredis.redis.sentinels import SentinelFacts
from tests.unit.planning.passes import plan, report
from tests.unit.planning.simulated_standby import SimulatedStandby, Watched

NAME = "redis-standby-tom"
FIRST, SECOND, THIRD = (f"{NAME}-{number}" for number in range(3))
SENTINELS = tuple(f"sentinel-standby-tom-{number}" for number in range(3))
DISRUPTIVE = (FailOver, Follow, Promote, ReplacePod, Monitor)


def healthy(**spec: object) -> SimulatedStandby:
    world = SimulatedStandby("RedisStandby", **spec)
    world.converge()
    return world


def with_data(**spec: object) -> SimulatedStandby:
    world = healthy(**spec)
    world.write(10)
    world.run_pass()
    return world


def spec_of(world: SimulatedStandby, **changes: object) -> None:
    world.resource["spec"] = {**world.resource["spec"], **changes}  # type: ignore[dict-item]


def planned(world: SimulatedStandby) -> Plan:
    return plan(world.snapshot())


def kinds(made: Plan) -> list[type[Step]]:
    return [type(step) for step in made.steps]


def guards(made: Plan) -> list[str]:
    return [hold.guard for hold in made.holds]


def endpoints(world: SimulatedStandby, service: str) -> list[str]:
    """Pods that the Service leads to."""
    suffix = "replicas" if service.endswith("-ro") else "primary"
    live = world.children[Ref("EndpointSlice", f"{service}-{suffix}")]
    return [each["targetRef"]["name"] for each in live["endpoints"]]  # type: ignore[index, call-overload, union-attr, misc]


# ---- creation


def test_a_new_resource_becomes_a_primary_with_its_standby_and_three_sentinels() -> None:
    world = SimulatedStandby()

    world.converge(passes=8)

    status = world.instance.status
    assert (status.phase, status.size, status.capacity) == ("Ready", 1, 128)
    assert [(shard.primary, shard.replicas_ready) for shard in status.shards] == [(FIRST, 1)]
    assert world.primaries() == [FIRST]
    assert world.watched_places() == {world.place(FIRST)}
    assert (endpoints(world, NAME), endpoints(world, f"{NAME}-ro")) == ([FIRST], [SECOND])


def test_a_new_standalone_becomes_one_redis() -> None:
    world = SimulatedStandby("RedisStandalone")

    world.converge(passes=4)

    assert (world.instance.status.phase, world.primaries()) == ("Ready", [FIRST])


@pytest.mark.parametrize("spec", [{}, {"replicas": 3}, {"sentinel": {"replicas": 5}}, {"storageclass": "fast"}])
def test_a_healthy_instance_has_an_empty_plan_and_an_unchanged_status(spec: dict[str, object]) -> None:
    world = healthy(**spec)
    writes = world.status_writes

    made, done = world.run_pass()

    assert (made.steps, made.holds, done) == ((), (), 0)
    assert world.status_writes == writes


def steps_of_creation() -> int:
    world, total = SimulatedStandby(), 0
    while True:
        made, done = world.run_pass()
        total += done
        if not done and made.verdict is Verdict.HEALTHY:
            return total


@pytest.mark.parametrize("after", range(steps_of_creation() + 1))
def test_an_operator_that_dies_after_any_step_is_succeeded_by_one_that_finishes(after: int) -> None:
    world = SimulatedStandby()
    left = after
    while left:
        _, done = world.run_pass(interrupt_after=left)
        left -= done
        if not done:
            world.settle()

    world.converge()

    assert world.instance.status.phase == "Ready"


def test_sentinels_begin_to_watch_when_the_replicas_are_there_to_be_found() -> None:
    world = SimulatedStandby(replicas=2)
    seen: list[int] = []
    while not seen:
        made, _ = world.run_pass()
        if any(isinstance(step, Monitor) for step in made.steps):
            seen.append(sum(redis.link_up for redis in world.redis().values()))

    assert seen == [2]


# ---- failover


@pytest.mark.parametrize("replicas", [1, 2, 5])
def test_a_dead_primary_is_replaced_by_the_sentinels_own_failover(replicas: int) -> None:
    world = with_data(replicas=replicas)
    world.restart(FIRST)
    world.settle()

    made, _ = world.run_pass()

    assert kinds(made) == [FailOver]
    assert world.primaries() == [SECOND]
    made, _ = world.run_pass()
    assert endpoints(world, NAME) == [SECOND]
    world.converge()
    assert {redis.keys for redis in world.redis().values()} == {10}
    assert world.watched_places() == {world.place(SECOND)}


def test_the_proof_of_death_is_told() -> None:
    world = with_data()
    world.restart(FIRST)

    (step,) = planned(world).steps

    assert step.why == f"{FIRST} was restarted, and is a replica of nobody"


def test_a_primary_that_is_silent_is_not_proven_dead() -> None:
    world = with_data()
    world.redis()[FIRST].silent = True
    world.settle()

    made = planned(world)

    assert not [step for step in made.steps if isinstance(step, DISRUPTIVE)]
    assert guards(made) == ["primary_is_proven_dead"]
    assert endpoints(world, NAME) == [FIRST]


def test_a_primary_that_refuses_connections_is_dead_when_the_sentinels_have_lost_it_too() -> None:
    world = with_data()
    world.redis()[FIRST].silent = world.redis()[FIRST].refused = True

    made = planned(world)

    assert FailOver in kinds(made)
    assert "3 of 3 Sentinels have lost it too" in made.steps[-1].why


def test_a_refused_connection_alone_is_no_proof() -> None:
    world = with_data()
    snapshot = world.snapshot()
    world.redis()[FIRST].silent = world.redis()[FIRST].refused = True
    doubted = world.snapshot()
    doubted = type(doubted)(**{**vars(doubted), "sentinels": snapshot.sentinels})

    assert FailOver not in kinds(plan(doubted))
    assert "primary_is_proven_dead" in guards(plan(doubted))


def test_a_primary_whose_pod_is_gone_is_dead() -> None:
    world = with_data()
    world.lose(FIRST)
    world.settle()

    world.converge()

    assert world.primaries() == [SECOND]
    assert {redis.keys for redis in world.redis().values()} == {10}


def test_a_primary_that_came_back_empty_never_empties_its_standby() -> None:
    world = with_data()
    world.restart(FIRST)
    world.redis()[FIRST].keys = 0

    world.converge()

    assert world.primaries() == [SECOND]
    assert {redis.keys for redis in world.redis().values()} == {10}


def test_the_last_primary_takes_over_again_when_its_standby_never_had_the_data() -> None:
    world = with_data()
    world.lose(SECOND)
    world.redis()[SECOND].silent = False
    world.redis()[SECOND].follows = ("127.0.0.1", 1)
    world.restart(FIRST)
    for sentinel in world.sentinels().values():
        sentinel.watched["mymaster"].replicas = set()

    world.converge()

    assert world.primaries() == [FIRST]
    assert {redis.keys for redis in world.redis().values()} == {10}


def test_everything_restarted_at_once_comes_back_with_its_data() -> None:
    world = with_data()
    for pod in list(world.pods):
        world.restart(pod)
        world.settle()

    world.converge()

    assert {redis.keys for redis in world.redis().values()} == {10}


def test_all_pods_lost_on_volumes_come_back_with_their_data() -> None:
    world = with_data(storageclass="fast")
    for pod in list(world.pods):
        world.lose(pod, keeps_data=True)

    world.converge()

    assert {redis.keys for redis in world.redis().values()} == {10}
    assert world.watched_places() == {world.place(world.primaries()[0])}


def test_all_pods_lost_on_an_emptydir_come_back_empty() -> None:
    world = with_data()
    for pod in list(world.pods):
        world.lose(pod)

    world.converge()

    assert {redis.keys for redis in world.redis().values()} == {0}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=10))
def test_whatever_dies_one_after_the_other_the_data_stays(deaths: list[tuple[int, bool]]) -> None:
    """One process at a time, on volumes or restarted in place; between two the instance becomes whole again."""
    world = with_data(replicas=2)
    for number, whole_pod in deaths:
        pod = sorted(world.pods)[number]
        if whole_pod:
            world.lose(pod)
        else:
            world.restart(pod)
        world.settle()
        world.converge()
        assert len(world.primaries()) == 1

    assert {redis.keys for redis in world.redis().values()} == {10}


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 6))
def test_whatever_dies_at_once_an_interrupted_operator_brings_back(deaths: set[int], interrupted: int) -> None:
    world = with_data(replicas=2, storageclass="fast")
    for number in deaths:
        world.lose(sorted(world.pods)[number], keeps_data=True)
    world.settle()
    for after in range(interrupted):
        world.run_pass(interrupt_after=after)

    world.converge()

    assert len(world.primaries()) == 1
    assert {redis.keys for redis in world.redis().values()} == {10}


# ---- who may be chosen


def test_a_replica_may_be_chosen_by_sentinels_from_the_moment_in_which_it_is_in_sync() -> None:
    world = SimulatedStandby(replicas=2)
    while not any(one.watched for one in world.sentinels().values()):
        world.run_pass()

    assert {name: redis.priority for name, redis in world.redis().items() if redis.follows} == {SECOND: 100, THIRD: 100}


def test_a_replica_without_a_copy_may_not_be_chosen() -> None:
    world = with_data(replicas=2)
    copying = world.redis()[THIRD]
    copying.follows, copying.link_up, copying.priority = world.place(FIRST), False, 100

    made = planned(world)

    assert [(step.process.pod, step.value) for step in made.steps if isinstance(step, SetConfig)] == [(THIRD, 0)]


# ---- two primaries


def test_of_two_primaries_the_one_that_the_sentinels_chose_stays_and_the_others_clients_are_disconnected() -> None:
    world = with_data()
    world.redis()[SECOND].follows = None

    world.converge()

    assert (world.primaries(), world.disconnected) == ([FIRST], [SECOND])


def test_of_two_primaries_that_nobody_watches_the_one_with_data_stays() -> None:
    world = with_data()
    for sentinel in world.sentinels().values():
        sentinel.watched.clear()
    world.resource["status"]["shards"] = []  # type: ignore[index, call-overload]
    world.redis()[SECOND].follows = None
    world.redis()[FIRST].keys = world.redis()[FIRST].offset = 0

    world.converge()

    assert world.primaries() == [SECOND]


def test_a_process_that_still_loads_its_data_is_told_whom_to_follow_when_it_has() -> None:
    world = with_data()
    world.restart(SECOND)
    world.redis()[SECOND].loading = True
    assert not [step for step in planned(world).steps if isinstance(step, Follow)]

    world.redis()[SECOND].loading = False
    assert [step.process.pod for step in planned(world).steps if isinstance(step, Follow)] == [SECOND]


# ---- Sentinels


def test_a_sentinel_that_was_replaced_is_told_whom_to_watch() -> None:
    world = with_data()
    world.lose(SENTINELS[1])

    world.converge()

    assert world.watched_places() == {world.place(FIRST)}
    assert all(len(one.watched["mymaster"].others) == 2 for one in world.sentinels().values())


def test_all_sentinels_replaced_at_once_watch_again() -> None:
    world = with_data()
    for name in SENTINELS:
        world.lose(name)

    world.converge()

    assert [len(one.watched) for one in world.sentinels().values()] == [1, 1, 1]


def test_a_sentinel_watches_nothing_foreign() -> None:
    world = with_data()
    world.sentinels()[SENTINELS[0]].watched["other"] = Watched(place=("10.1.2.3", 6379), quorum=2)

    made, _ = world.run_pass()

    assert kinds(made) == [RemoveMonitor]


def test_a_sentinel_that_watches_a_foreign_primary_is_corrected() -> None:
    world = with_data()
    world.sentinels()[SENTINELS[0]].watched["mymaster"] = Watched(place=("10.1.2.3", 6379), quorum=2)

    world.converge()

    assert world.watched_places() == {world.place(FIRST)}


def test_a_sentinel_that_is_cut_off_from_the_others_is_told_of_a_new_primary() -> None:
    """It would go on sending clients to the old one; those who hear of it by themselves are not disturbed."""
    world = with_data()
    cut_off = world.sentinels()[SENTINELS[2]]
    cut_off.cut_off = True
    world.restart(FIRST)
    world.settle()
    world.run_pass()
    assert world.primaries() == [SECOND]

    plans = [world.run_pass()[0] for _ in range(3)]

    assert cut_off.watched["mymaster"].place == world.place(SECOND)
    told = [step.process.pod for each in plans for step in each.steps if isinstance(step, PublishHellos)]
    assert told == [SENTINELS[2]]


def test_a_replica_that_a_sentinel_is_promoting_is_the_primary_before_the_others_have_heard_of_it() -> None:
    world = with_data()
    world.redis()[FIRST].silent = True
    world.settle()
    world.promote(world.redis()[SECOND])
    assert endpoints(world, NAME) == [FIRST]
    assert planned(world).steps == ()

    world.sentinels()[SENTINELS[2]].failing_over = True
    world.run_pass()

    assert endpoints(world, NAME) == [SECOND]


def test_a_silent_primary_is_looked_at_often_because_sentinels_may_choose_another() -> None:
    world = with_data()
    world.redis()[FIRST].silent = True
    assert planned(world).next_look_s < 1

    world.redis()[FIRST].silent, world.redis()[SECOND].silent = False, True
    assert planned(world).next_look_s > 1


def test_a_sentinel_that_the_primary_refuses_is_told_the_password() -> None:
    world = with_data()
    world.sentinels()[SENTINELS[1]].watched["mymaster"].shut_out = True

    made, _ = world.run_pass()

    assert [(type(step), step.process.pod) for step in made.steps if isinstance(step, SetAuthPass)] == [
        (SetAuthPass, SENTINELS[1])
    ]
    assert planned(world).steps == ()


def test_sentinels_that_watch_the_primary_are_told_of_each_other() -> None:
    world = with_data()
    for sentinel in world.sentinels().values():
        sentinel.watched["mymaster"].others.clear()
    world.sentinels()[SENTINELS[2]].watched["mymaster"].place = ("10.1.2.3", 6379)

    told = [step for step in plan(world.snapshot()).steps if isinstance(step, PublishHellos)]

    assert [(step.process.pod, [other.name for other in step.others]) for step in told] == [
        (SENTINELS[0], [SENTINELS[1]]),
        (SENTINELS[1], [SENTINELS[0]]),
    ]


def test_all_sentinels_know_the_new_primary_before_the_one_that_carries_out_the_failover_says_so() -> None:
    world = with_data()
    world.pods[FIRST].stopped = True
    *others, leader = SENTINELS
    world.sentinels()[leader].failing_over = True
    world.promote(world.redis()[SECOND])

    told = []
    for _ in range(2):
        steps = [step for step in plan(world.snapshot()).steps if isinstance(step, PublishHellos)]
        told.append([(step.process.pod, step.others[0].name, step.others[0].config_epoch) for step in steps])
        for step in steps:
            world.apply(step)

    assert told == [[(name, leader, 1) for name in others], [(leader, others[0], 1)]]
    assert world.watched_places() == {world.place(SECOND)}


def test_a_promoted_replica_is_the_primary_although_the_former_one_is_back() -> None:
    """What the former one takes from now on will be lost: nobody is to be led to it any more."""
    world = with_data()
    world.sentinels()[SENTINELS[2]].failing_over = True
    world.promote(world.redis()[SECOND])

    made = plan(world.snapshot())

    told = [step for step in made.steps if isinstance(step, PublishHellos)]
    assert [(step.process.pod, (step.others[0].primary_host, 6379)) for step in told] == [
        (name, world.place(SECOND)) for name in SENTINELS[:2]
    ]
    followers = [step for step in made.steps if isinstance(step, Follow)]
    assert [(step.process.pod, step.primary, step.was_primary) for step in followers] == [(FIRST, SECOND, True)]


def test_a_primary_is_not_demoted_while_a_sentinel_may_choose_it() -> None:
    """Two are primaries, and a failover is at its beginning: whose it will be is not known."""
    world = with_data()
    world.sentinels()[SENTINELS[2]].failing_over = world.sentinels()[SENTINELS[2]].choosing = True
    world.promote(world.redis()[SECOND])

    made = plan(world.snapshot())

    assert [step for step in made.steps if isinstance(step, Follow)] == []


def test_a_sentinel_that_asked_a_replica_too_early_asks_again() -> None:
    world = with_data()
    snapshot = world.snapshot()
    seen = {}
    for name, facts in snapshot.sentinels.items():
        assert isinstance(facts, SentinelFacts)
        watch = facts.watches[0]
        replicas = tuple(replace(known, priority=0) for known in watch.replicas)
        seen[name] = replace(facts, watches=(replace(watch, replicas=replicas),))

    made = plan(replace(snapshot, sentinels=seen))

    assert [step.process.pod for step in made.steps if isinstance(step, Monitor)] == [SENTINELS[0]]


def test_nobody_is_told_of_a_primary_before_it_is_one() -> None:
    world = with_data()
    world.pods[FIRST].stopped = True
    world.sentinels()[SENTINELS[2]].failing_over = True

    assert not [step for step in plan(world.snapshot()).steps if isinstance(step, PublishHellos)]


def test_a_sentinel_that_could_not_fail_over_anyway_begins_anew_at_once() -> None:
    world = with_data()
    for sentinel in world.sentinels().values():
        sentinel.watched["mymaster"].replicas = {("10.9.9.9", 6379)}

    resets = [step for step in plan(world.snapshot()).steps if isinstance(step, Monitor)]

    assert [step.process.pod for step in resets] == [SENTINELS[0]]


def test_the_last_sentinel_that_could_fail_over_does_not_begin_anew_before_another_can() -> None:
    world = with_data()
    able, *others = SENTINELS
    world.sentinels()[able].watched["mymaster"].replicas.add(("10.9.9.9", 6379))
    for name in others:
        world.sentinels()[name].watched["mymaster"].replicas.clear()

    made = plan(world.snapshot())

    assert not [step for step in made.steps if isinstance(step, Monitor)]
    assert [hold.guard for hold in made.holds] == ["other_sentinels_are_ready"]


def test_stale_addresses_are_forgotten_by_one_sentinel_at_a_time() -> None:
    world = with_data()
    for sentinel in world.sentinels().values():
        sentinel.watched["mymaster"].replicas.add(("10.9.9.9", 6379))

    resets = []
    for _ in range(10):
        made, _ = world.run_pass()
        resets.append(sum(isinstance(step, Monitor) for step in made.steps))
        assert not resets[-1] or made.next_look_s < 1, "the next one waits for nobody's news"

    assert (sum(resets), max(resets)) == (3, 1)
    world.converge()


def test_settings_of_spec_reach_sentinels_that_watch_already() -> None:
    world = with_data()
    spec_of(world, sentinel={"downAfterMilliseconds": 1000, "replicas": 5})

    world.converge()

    watches = [one.watched["mymaster"] for one in world.sentinels().values()]
    assert [(watch.quorum, watch.settings["down-after-milliseconds"]) for watch in watches] == [(3, 1000)] * 5


# ---- wishes


def test_more_and_fewer_replicas_are_carried_out() -> None:
    world = with_data()
    spec_of(world, replicas=2)
    world.converge()
    assert len(world.redis()) == 3

    spec_of(world, replicas=1)
    world.converge()

    assert sorted(world.redis()) == [FIRST, SECOND]


def test_a_pod_that_is_the_primary_is_not_removed() -> None:
    world = with_data(replicas=2)
    world.restart(FIRST)
    world.redis()[SECOND].offset = 1
    world.run_pass()
    world.converge()
    assert world.primaries() == [THIRD]
    spec_of(world, replicas=1)

    made, _ = world.run_pass()

    assert "no_primary_is_removed" in guards(made)
    assert THIRD in world.redis()


def test_capacity_is_changed_without_a_restart() -> None:
    world = with_data()
    spec_of(world, capacity=256)

    made, _ = world.run_pass()

    assert kinds(made).count(SetConfig) == 2
    world.converge()
    assert {redis.maxmemory for redis in world.redis().values()} == {256 * 2**20}
    assert world.instance.status.capacity == 256


def test_capacity_below_the_used_memory_is_refused_and_says_what_to_write() -> None:
    world = with_data()
    world.redis()[FIRST].used_mib = 90
    world.settle()
    spec_of(world, capacity=64)

    made, _ = world.run_pass()

    (hold,) = made.holds
    assert hold.guard == "used_memory_fits"
    assert "write capacity: 112 or more" in hold.why
    assert {redis.maxmemory for redis in world.redis().values()} == {128 * 2**20}


def test_capacity_is_not_lowered_while_somebody_is_silent() -> None:
    world = with_data()
    world.redis()[SECOND].silent = True
    spec_of(world, capacity=64)

    made, _ = world.run_pass()

    assert "used_memory_fits" in guards(made)


def test_volumes_stay_as_they_were_made() -> None:
    world = with_data()
    spec_of(world, storageclass="fast")

    made, _ = world.run_pass()

    assert guards(made) == ["volumes_are_unchanged"]
    assert made.steps == ()


def test_a_paused_instance_is_left_alone_and_says_so() -> None:
    world = with_data()
    spec_of(world, paused=True)
    world.restart(FIRST)

    made, done = world.run_pass()

    assert (made.steps, done) == ((), 0)
    status = world.instance.status
    assert status.phase == "Suspended"
    assert [(each.type, each.status) for each in status.conditions][-1] == ("Paused", "True")
    spec_of(world, paused=False)
    world.converge()
    assert world.primaries() == [SECOND]


def test_beside_a_statefulset_of_somebody_else_nothing_is_done_and_it_is_named() -> None:
    world = SimulatedStandby()

    made = plan(replace(world.snapshot(), foreign=(Ref("StatefulSet", NAME),)))

    assert made.steps == ()
    assert guards(made) == ["no_foreign_objects"]


# ---- trouble


@pytest.mark.parametrize("field", ["image", "sentinelimage", "monitorimage"])
def test_a_bad_image_is_named_and_correcting_it_heals(field: str) -> None:
    world = SimulatedStandby()
    world.bad_images.add("no.such:1")
    spec_of(world, **{field: "no.such:1"})
    for _ in range(5):
        world.run_pass()
    ready = next(each for each in world.instance.status.conditions if each.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "ErrImagePull")

    spec_of(world, **{field: "redis:7.0"})
    world.converge()

    assert world.instance.status.phase == "Ready"


def test_a_running_primary_is_made_anew_after_it_has_handed_over() -> None:
    world = with_data()
    for pod in (FIRST, SECOND):
        world.pods[pod].trouble = Trouble(reason="CrashLoopBackOff", message="the exporter fails")
    spec_of(world, monitorimage="oliver006/redis_exporter:v1.46")

    handed_over = []
    for _ in range(20):
        made, _ = world.run_pass()
        handed_over += [step for step in made.steps if isinstance(step, FailOver)]

    world.converge()
    assert [step.primary.pod for step in handed_over if step.primary] == [FIRST]
    assert {redis.keys for redis in world.redis().values()} == {10}


@pytest.mark.parametrize("pod", [FIRST, SECOND, *SENTINELS])
def test_no_disruptive_step_rests_on_a_silent_process(pod: str) -> None:
    world = with_data()
    process = world.pods[pod].process
    assert process is not None
    process.silent = True
    world.settle()

    for _ in range(10):
        made, _ = world.run_pass()
        assert not [step for step in made.steps if isinstance(step, DISRUPTIVE)]


def test_status_of_a_snapshot_is_the_same_whoever_computes_it() -> None:
    world = with_data()
    snapshot = world.snapshot()

    assert report(snapshot, plan(snapshot)) == report(snapshot, plan(snapshot))
