"""Sentinels and proxies up and down: whole each way, taken back half way, by an operator that dies anywhere."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import Apply, ReplacePod
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

PAIRS = list(itertools.permutations((3, 5, 7), 2))


def healthy(**spec: object) -> SimulatedStandby:
    world = SimulatedStandby("RedisStandby", **spec)
    world.goes_slowly = True
    world.converge()
    return world


def wish(world: SimulatedStandby | SimulatedCluster, **spec: object) -> None:
    world.resource["spec"] = {**world.resource["spec"], **spec}  # type: ignore[dict-item]


def assert_majority(world: SimulatedStandby) -> None:
    """Of all that the Sentinels which watch know, themselves among them, more than half are there."""
    there = world.sentinels()
    for name, sentinel in there.items():
        if (watch := sentinel.watched.get("mymaster")) is not None:
            voters = {name, *watch.others}
            assert 2 * len(voters & there.keys()) > len(voters), f"{name} finds no majority of {sorted(voters)}"


def finish(world: SimulatedStandby) -> None:
    """Pods go slowly, and nothing is to be done meanwhile."""
    for _ in range(60):
        world.run_pass()
        assert_majority(world)
    made = world.converge()
    assert made.holds == ()


def assert_count(world: SimulatedStandby, count: int) -> None:
    watches = [one.watched["mymaster"] for one in world.sentinels().values()]
    assert [watch.quorum for watch in watches] == [count // 2 + 1] * count
    assert [len(watch.others) for watch in watches] == [count - 1] * count
    assert world.resource["status"]["sentinels"] == {"ready": count, "wanted": count}  # type: ignore[index, call-overload]


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_sentinels_become_more_or_fewer_and_are_a_majority_at_any_time(before: int, after: int) -> None:
    world = healthy(sentinel={"replicas": before})
    wish(world, sentinel={"replicas": after})

    finish(world)

    assert_count(world, after)


@pytest.mark.parametrize("dies_after", range(16))
def test_an_operator_that_dies_after_any_step_of_fewer_sentinels_is_succeeded(dies_after: int) -> None:
    world = healthy(sentinel={"replicas": 7})
    wish(world, sentinel={"replicas": 3})
    left = dies_after
    for _ in range(40):
        _, done = world.run_pass(interrupt_after=left)
        assert_majority(world)
        left -= done
        if left <= 0:
            break

    finish(world)

    assert_count(world, 3)


@pytest.mark.parametrize("back_after", range(8))
@pytest.mark.parametrize(("before", "after"), [(3, 7), (7, 3)])
def test_the_wish_may_be_taken_back_half_way(before: int, after: int, back_after: int) -> None:
    world = healthy(sentinel={"replicas": before})
    wish(world, sentinel={"replicas": after})
    for _ in range(back_after):
        world.run_pass()
        assert_majority(world)

    wish(world, sentinel={"replicas": before})
    finish(world)

    assert_count(world, before)


def test_fewer_wait_for_one_that_stays_and_does_not_answer() -> None:
    world = healthy(sentinel={"replicas": 5})
    world.sentinels()["sentinel-standby-tom-0"].silent = True
    wish(world, sentinel={"replicas": 3})

    made, _ = world.run_pass()

    (hold,) = [each for each in made.holds if each.guard == "sentinels_keep_a_majority"]
    assert "sentinel-standby-tom-0 must answer" in hold.why
    assert len(world.sentinels()) == 5
    world.sentinels()["sentinel-standby-tom-0"].silent = False
    finish(world)
    assert_count(world, 3)


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 1), (1, 2)])
def test_proxies_become_more_or_fewer_and_none_is_made_anew(before: int, after: int) -> None:
    world = SimulatedCluster(proxy={"replicas": before})
    world.converge()
    ref = Ref("Deployment", "predixy-redis-cluster-rat")
    old: Any = world.children[ref]["spec"]
    wish(world, proxy={"replicas": after})

    made, _ = world.run_pass()
    world.converge()

    applied = [step.ref for step in made.steps if isinstance(step, Apply)]
    new: Any = world.children[ref]["spec"]
    assert applied == [ref]
    assert (old["replicas"], new["replicas"]) == (before, after)
    assert new["template"] == old["template"]
    assert not [step for step in made.steps if isinstance(step, ReplacePod)]


@pytest.mark.parametrize("back_after", [0, 1, 3])
def test_replicas_sentinels_and_capacity_in_one_edit_and_back(back_after: int) -> None:
    world = healthy()
    before = {name: pod.uid for name, pod in world.pods.items()}
    wish(world, replicas=3, capacity=768, sentinel={"replicas": 5})
    for _ in range(back_after):
        world.run_pass()
    wish(world, replicas=1, capacity=384, sentinel={"replicas": 3})

    finish(world)

    assert {name: pod.uid for name, pod in world.pods.items()} == before
    assert_count(world, 3)
