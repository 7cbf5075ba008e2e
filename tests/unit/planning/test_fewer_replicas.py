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
