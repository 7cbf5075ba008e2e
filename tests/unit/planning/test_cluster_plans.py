"""Plans of a RedisCluster, carried out on a simulated world that is interrupted, broken and healed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdredis.planning.cluster.planner import plan
from tdredis.planning.cluster.report import report
from tdredis.planning.plan import Verdict
from tdredis.planning.steps import Apply, AssignSlots, Forget, Meet, Remove, ReplacePod, Replicate, SetConfig
from tests.unit.planning.simulated_cluster import SimulatedCluster

DISRUPTIVE = (AssignSlots, Forget, Meet, Remove, Replicate, ReplacePod)


def new(**spec: object) -> SimulatedCluster:
    return SimulatedCluster(**spec)


def healthy(**spec: object) -> SimulatedCluster:
    world = new(**spec)
    world.converge()
    return world


def test_a_new_resource_becomes_a_working_cluster() -> None:
    world = new()

    world.converge(passes=8)

    status = world.cluster.status
    assert (status.phase, status.size, status.capacity) == ("Ready", 3, 384)
    assert status.slots == {
        "redis-cluster-rat-0": ("0-5460",),
        "redis-cluster-rat-1": ("5461-10922",),
        "redis-cluster-rat-2": ("10923-16383",),
    }
    assert [(shard.primary, shard.replicas_ready) for shard in status.shards] == [
        ("redis-cluster-rat-0-0", 1),
        ("redis-cluster-rat-1-0", 1),
        ("redis-cluster-rat-2-0", 1),
    ]


@pytest.mark.parametrize(
    "spec", [{}, {"size": 5, "replicas": 0}, {"size": 7, "replicas": 2}, {"proxy": {"enabled": False}}]
)
def test_a_healthy_cluster_has_an_empty_plan_and_an_unchanged_status(spec: dict[str, object]) -> None:
    world = healthy(**spec)
    writes = world.status_writes

    made, done = world.run_pass()

    assert (made.steps, made.holds, done) == ((), (), 0)
    assert world.status_writes == writes


def steps_of_creation() -> int:
    world, total = new(), 0
    while True:
        made, done = world.run_pass()
        total += done
        if not done and made.verdict is Verdict.HEALTHY:
            return total


@pytest.mark.parametrize("after", range(steps_of_creation() + 1))
def test_an_operator_that_dies_after_any_step_is_succeeded_by_one_that_finishes(after: int) -> None:
    world = new()
    left = after
    while left:
        _, done = world.run_pass(interrupt_after=left)
        left -= done
        if not done:
            world.settle()

    world.converge()

    assert world.cluster.status.phase == "Ready"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=12))
def test_lost_pods_come_back_into_the_same_cluster(losses: list[tuple[int, bool]]) -> None:
    """Replicas on any storage, primaries on volumes: what needs a vote of the engine is not simulated."""
    world = healthy()
    slots = world.cluster.status.slots
    for number, keeps_data in losses:
        pod = sorted(world.pods)[number]
        world.lose(pod, keeps_data=keeps_data or pod.endswith("-0"))
        world.run_pass()

    world.converge()

    assert world.cluster.status.slots == slots


def test_everything_lost_at_once_is_rebuilt_with_the_same_slot_map() -> None:
    world = healthy()
    recorded = {
        "redis-cluster-rat-0": ["0-99"],
        "redis-cluster-rat-1": ["100-199"],
        "redis-cluster-rat-2": ["200-16383"],
    }
    world.resource["status"]["slots"] = recorded  # type: ignore[index, call-overload, assignment]
    for pod in list(world.pods):
        world.lose(pod)

    world.converge()

    assert world.cluster.status.slots == {name: tuple(ranges) for name, ranges in recorded.items()}


@pytest.mark.parametrize("silent", range(6))
def test_no_disruptive_step_rests_on_a_silent_process(silent: int) -> None:
    world = new()
    world.run_pass()
    world.run_pass(interrupt_after=0)
    world.nodes()[silent].silent = True

    made, _ = world.run_pass()

    assert not [step for step in made.steps if isinstance(step, AssignSlots | Forget | ReplacePod)]
    assert "every_process_answers" in {hold.guard for hold in made.holds}


def test_a_silent_process_keeps_its_place_in_the_endpoints() -> None:
    world = healthy()
    world.nodes()[0].silent = True

    made, _ = world.run_pass()

    assert made.steps == ()
    assert made.verdict is Verdict.DEGRADED
    assert world.cluster.status.phase == "NodeNotReady"


def test_a_pod_that_cannot_be_scheduled_is_named_with_the_scheduler_s_words_and_the_rest_serves() -> None:
    world = new()
    world.unschedulable = {"redis-cluster-rat-2-1"}
    for _ in range(10):
        world.run_pass()

    status = world.cluster.status
    ready = next(each for each in status.conditions if each.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "Unschedulable")
    assert "pod redis-cluster-rat-2-1: 0/3 nodes are available" in ready.message
    assert status.size == 3


def test_a_bad_image_is_named_and_correcting_it_heals() -> None:
    world = new(image="redis:nosuch")
    world.bad_images = {"redis:nosuch"}
    for _ in range(5):
        world.run_pass()
    ready = next(each for each in world.cluster.status.conditions if each.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "ErrImagePull")
    assert "redis-cluster-rat-0-0" in ready.message

    world.resource["spec"]["image"] = "redis:7.0"  # type: ignore[index, call-overload]

    world.converge()


def test_a_bad_image_given_to_a_running_cluster_stops_nothing() -> None:
    world = healthy()
    world.bad_images = {"redis:nosuch"}
    world.resource["spec"]["image"] = "redis:nosuch"  # type: ignore[index, call-overload]

    made, _ = world.run_pass()

    assert {type(step) for step in made.steps} == {Apply}
    assert all(node.slots or node.primary for node in world.nodes())


@pytest.mark.parametrize(
    ("change", "guard"),
    [
        ({"size": 4}, "size_is_unchanged"),
        ({"capacity": 48}, "used_memory_fits"),
        ({"size": 2}, "spec_is_valid"),
        ({"storageclass": "fast"}, "volumes_are_unchanged"),
    ],
)
def test_a_wish_that_would_hurt_is_held_and_taking_it_back_ends_the_hold(change: dict[str, int], guard: str) -> None:
    world = healthy()
    spec = dict(world.resource["spec"])  # type: ignore[arg-type]
    world.nodes()[0].used_mib = 40
    world.resource["spec"] = {**spec, **change}

    made, done = world.run_pass()

    assert (done, [hold.guard for hold in made.holds]) == (0, [guard])
    accepted = next(each for each in world.cluster.status.conditions if each.type == "Accepted")
    assert (accepted.status, accepted.reason) == ("False", guard)
    world.resource["spec"] = spec
    world.converge()


def test_capacity_is_changed_live_and_kept_for_the_next_start() -> None:
    world = healthy()
    world.resource["spec"]["capacity"] = 768  # type: ignore[index, call-overload]

    made, _ = world.run_pass()

    assert sum(isinstance(step, SetConfig) for step in made.steps) == 6
    assert [str(step.ref) for step in made.steps if isinstance(step, Apply)] == ["ConfigMap redis-cluster-rat"]
    world.converge()
    assert (world.cluster.status.phase, world.cluster.status.capacity) == ("Ready", 768)


def test_the_proxy_goes_when_it_is_switched_off_and_comes_back() -> None:
    world = healthy()
    before = set(world.children)
    world.resource["spec"]["proxy"] = {"enabled": False}  # type: ignore[index, call-overload]

    world.converge()

    gone = before - set(world.children)
    assert {ref.kind for ref in gone} >= {"Deployment", "Service", "ConfigMap", "Secret"}
    assert {ref.name for ref in gone} == {"predixy-redis-cluster-rat"}
    world.resource["spec"]["proxy"] = {"enabled": True}  # type: ignore[index, call-overload]
    world.converge()
    assert set(world.children) == before


def test_two_owners_of_a_slot_are_not_joined() -> None:
    world = healthy()
    intruder = world.pods["redis-cluster-rat-1-1"].node
    assert intruder is not None
    intruder.primary, intruder.slots, intruder.known = None, world.nodes()[0].slots, {}

    made = plan(world.snapshot())

    assert not [step for step in made.steps if isinstance(step, DISRUPTIVE)]
    assert "no_slot_has_two_owners" in {hold.guard for hold in made.holds}


def test_a_replica_that_lost_its_primary_waits_for_the_vote() -> None:
    world = healthy()
    world.lose("redis-cluster-rat-0-0")

    made = plan(world.snapshot())

    guards = {hold.guard for hold in made.holds}
    assert {"no_replica_follows_the_ghost", "no_replica_holds_the_data"} <= guards
    assert not [step for step in made.steps if isinstance(step, AssignSlots | Forget)]


def test_passwords_are_in_no_status_and_in_no_word_of_a_plan() -> None:
    world = new()
    for _ in range(8):
        snapshot = world.snapshot()
        made = plan(snapshot)
        text = f"{made!r} {snapshot!r} {report(snapshot, made)!r}"
        assert "vault" not in text
        assert "door" not in text
        world.run_pass()
