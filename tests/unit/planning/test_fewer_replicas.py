"""Fewer replicas: whoever may go is sent away once, and its silence on the way out does not take the change back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tdredis.api.json_object import JSONObject
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import Apply
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
KINDS = pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])


def healthy(make: Callable[..., World]) -> World:
    world = make(replicas=2)
    world.goes_slowly = True
    world.converge()
    return world


def name_of(world: World) -> str:
    """Of the (first) StatefulSet of Redis pods."""
    return "redis-cluster-rat-0" if isinstance(world, SimulatedCluster) else "redis-standby-tom"


def statefulset(world: World) -> JSONObject:
    spec = world.children[Ref("StatefulSet", name_of(world))]["spec"]
    assert isinstance(spec, dict)
    return spec


def wish(world: World, replicas: int) -> None:
    world.resource["spec"] = {**world.resource["spec"], "replicas": replicas}  # type: ignore[dict-item]


def redis_pods(world: World) -> set[str]:
    return {name for name in world.pods if name.startswith(f"{name_of(world)}-")}


def writes(plans: list[Plan], world: World) -> int:
    """How often the StatefulSet was written."""
    ref = Ref("StatefulSet", name_of(world))
    return sum(isinstance(step, Apply) and step.ref == ref for each in plans for step in each.steps)


@KINDS
def test_it_comes_to_an_end_and_the_statefulset_is_written_once(make: Callable[..., World]) -> None:
    world = healthy(make)
    wish(world, 1)

    plans = [world.run_pass()[0] for _ in range(12)]
    world.converge()

    assert writes(plans, world) == 1
    assert redis_pods(world) == {f"{name_of(world)}-0", f"{name_of(world)}-1"}
    assert "no_primary_is_removed" not in {hold.guard for each in plans for hold in each.holds}


@KINDS
def test_a_pod_on_its_way_out_is_no_reason_not_to_be_ready(make: Callable[..., World]) -> None:
    world = healthy(make)
    wish(world, 1)

    phases = []
    for _ in range(12):
        world.run_pass()
        phases.append(world.resource["status"]["phase"])  # type: ignore[index, call-overload]

    assert set(phases[:1]) | set(phases[8:]) == {"Ready"}


@KINDS
def test_one_that_is_silent_and_was_sent_away_is_not_asked_back(make: Callable[..., World]) -> None:
    world = healthy(make)
    wish(world, 1)
    world.run_pass()
    leaving = world.pods[f"{name_of(world)}-2"].process
    assert leaving is not None
    leaving.silent = True

    made, _ = world.run_pass()

    assert statefulset(world)["replicas"] == 2
    assert "no_primary_is_removed" not in {hold.guard for hold in made.holds}
    ready = next(each for each in world.resource["status"]["conditions"] if each["type"] == "Ready")  # type: ignore[index, call-overload, union-attr]
    assert "does not answer" not in ready["message"]  # type: ignore[index, call-overload, operator]


@KINDS
def test_one_that_is_silent_and_was_not_sent_away_stays(make: Callable[..., World]) -> None:
    world = healthy(make)
    silent = world.pods[f"{name_of(world)}-2"].process
    assert silent is not None
    silent.silent = True
    wish(world, 1)

    plans = [world.run_pass()[0] for _ in range(3)]

    assert statefulset(world)["replicas"] == 3
    assert "no_primary_is_removed" in {hold.guard for each in plans for hold in each.holds}
    silent.silent = False
    world.converge()
    assert statefulset(world)["replicas"] == 2


@KINDS
def test_after_somebody_has_forced_more_it_ends_too(make: Callable[..., World]) -> None:
    world = healthy(make)
    wish(world, 1)
    for _ in range(12):
        world.run_pass()
    statefulset(world)["replicas"] = 3
    world.run_statefulsets()

    plans = [world.run_pass()[0] for _ in range(12)]
    world.converge()

    assert redis_pods(world) == {f"{name_of(world)}-0", f"{name_of(world)}-1"}
    assert writes(plans, world) <= 2


def primary_of(world: World) -> str:
    """Of the (first) StatefulSet."""
    if isinstance(world, SimulatedStandby):
        return world.primaries()[0]
    return next(name for name in sorted(redis_pods(world)) if (node := world.pods[name].process) and node.slots)


def led_by_the_last(make: Callable[..., World], **spec: object) -> World:
    """Its primary is the pod that would go first."""
    world = make(replicas=2, **spec)
    world.goes_slowly = True
    world.converge()
    name = name_of(world)
    for lower in (f"{name}-0", f"{name}-1"):
        for each in (f"{name}-0", f"{name}-1"):
            process = world.pods[each].process
            assert process is not None
            process.silent = each != lower
        world.lose(lower)
        for _ in range(4):
            world.run_pass()
        for each in redis_pods(world):
            process = world.pods[each].process
            assert process is not None
            process.silent = False
        if primary_of(world) == f"{name}-2":
            break
    world.converge()
    assert primary_of(world) == f"{name}-2"
    return world


@KINDS
def test_a_primary_that_would_be_removed_hands_over_and_goes(make: Callable[..., World]) -> None:
    world = led_by_the_last(make)
    wish(world, 1)

    made, _ = world.run_pass()
    assert "no_primary_is_removed" in {hold.guard for hold in made.holds}
    assert f"{name_of(world)}-2" in world.pods
    world.converge()

    assert redis_pods(world) == {f"{name_of(world)}-0", f"{name_of(world)}-1"}
    assert primary_of(world) in redis_pods(world)
    assert world.snapshot().resource.status.phase == "Ready"


@KINDS
def test_whoever_dies_after_any_step_of_that_is_succeeded_by_one_that_finishes(make: Callable[..., World]) -> None:
    for after in range(12):
        world = led_by_the_last(make)
        wish(world, 1)
        left = after
        for _ in range(20):
            _, done = world.run_pass(interrupt_after=left)
            left -= done
            if left <= 0:
                break

        world.converge()

        assert redis_pods(world) == {f"{name_of(world)}-0", f"{name_of(world)}-1"}, f"killed after {after} steps"


@KINDS
def test_it_stays_where_primaries_hand_over_on_request_and_when_the_wish_is_taken_back(
    make: Callable[..., World],
) -> None:
    world = led_by_the_last(make, rollout={"primaries": "onRequest"})
    wish(world, 1)

    plans = [world.run_pass()[0] for _ in range(8)]

    assert primary_of(world) == f"{name_of(world)}-2"
    assert {"no_primary_is_removed", "primaries_go_on_request"} <= {hold.guard for hold in plans[-1].holds}
    wish(world, 2)
    made = world.converge()
    assert (made.holds, primary_of(world)) == ((), f"{name_of(world)}-2")


@KINDS
def test_ordinals_count_from_where_the_statefulset_begins(make: Callable[..., World]) -> None:
    """Somebody set ordinals.start: which pods were sent away is for the StatefulSet to say."""
    world = healthy(make)
    wish(world, 1)
    world.run_pass()
    statefulset(world)["ordinals"] = {"start": 1}
    statefulset(world)["replicas"] = 2  # pods 1 and 2
    seen = world.snapshot()
    assert f"{name_of(world)}-2" in seen.pods

    world.pods[f"{name_of(world)}-2"].deleting = False
    leaving = world.pods[f"{name_of(world)}-2"].process
    assert leaving is not None
    leaving.silent = True
    made, _ = world.run_pass(interrupt_after=0)

    assert "no_primary_is_removed" in {hold.guard for hold in made.holds}
