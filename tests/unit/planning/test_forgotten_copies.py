"""Copies that lost their nodes.conf: each claims the slots of its own keys, and knows nobody (docs/decisions/0010)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations_with_replacement

import pytest

from tdredis.planning.steps import ResetNode
from tdredis.redis.slots import parse_slots
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.test_disputes import FIRST, ONE, OTHER, SECOND, guards, healthy, node

# Of each shard nobody, the former primary, or the former replica; which shard it is makes no difference.
AT_MOST_ONE_OF_EACH_SHARD = tuple(
    tuple(f"redis-cluster-rat-{shard}-{which}" for shard, which in enumerate(chosen) if which is not None)
    for chosen in combinations_with_replacement((None, 0, 1), len(ONE))
)


def forgotten(world: SimulatedCluster) -> None:
    """Every nodes.conf was lost: each process claims the slots of its own keys, a replica those of its copy."""
    tags = {pod.rpartition("-")[0]: parse_slots([str(node(world, pod).slots).split("-")[0]]) for pod in ONE}
    for name in world.pods:
        each = node(world, name)
        each.id, each.keys, each.known = f"{world.next_number():040x}", 300, {}
        each.primary, each.epoch, each.slots = None, 0, tags[name.rpartition("-")[0]]


def come_back(world: SimulatedCluster, first: Iterable[str]) -> None:
    """*first* have been introduced to each other before their copies answered."""
    some = [node(world, name) for name in first if name]
    for number, each in enumerate(some if len(some) > 1 else ()):
        each.known = {other.id: other.address for other in some if other is not each}
        each.epoch = number  # as the engine does. Source: cluster.c, clusterHandleConfigEpochCollision


def test_copies_that_all_forgot_who_they_were_are_settled_in_favour_of_the_former_primaries() -> None:
    world = healthy()
    before = world.cluster.status.slots
    forgotten(world)

    world.converge()

    assert tuple(pod for pod in sorted(world.pods) if node(world, pod).slots) == ONE
    assert world.cluster.status.slots == before


@pytest.mark.parametrize("first", AT_MOST_ONE_OF_EACH_SHARD, ids=lambda pods: "+".join(pods) or "nobody")
def test_copies_that_forgot_who_they_were_are_settled_whoever_comes_back_and_is_introduced_first(
    first: tuple[str, ...],
) -> None:
    """And wherever the operator dies in between."""
    left, steps = 0, 1
    while left <= steps:
        world = healthy()
        before = world.cluster.status.slots
        forgotten(world)
        come_back(world, first)
        made = plan(world.snapshot()).steps
        assert sum(isinstance(step, ResetNode) for step in made) == len(OTHER)

        world.run_pass(interrupt_after=left)
        world.converge()

        assert world.cluster.status.slots == before
        assert len(world.dropped) == len(OTHER), "one copy of each shard, and no more, is made anew"
        assert {each.keys for each in world.nodes()} == {300}
        left, steps = left + 1, len(made)


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_copies_are_settled_where_a_reset_failed_and_the_slots_were_given_to_the_other(failing: int) -> None:
    world = healthy()
    before = world.cluster.status.slots
    forgotten(world)
    come_back(world, (FIRST, OTHER[1]))
    for number, step in enumerate(plan(world.snapshot()).steps):
        if not isinstance(step, ResetNode) or number >= failing:
            world.apply(step)

    world.converge()

    assert world.cluster.status.slots == before
    assert {each.keys for each in world.nodes()} == {300}


def test_of_copies_that_forgot_who_they_were_the_one_that_owns_what_all_own_is_kept() -> None:
    """The last DEL of the former primary never came to the other, which has a slot more."""
    world = healthy()
    forgotten(world)
    node(world, OTHER[0]).slots |= parse_slots(["77"])

    world.converge()

    assert [pod for pod, _ in world.dropped] == [FIRST, *OTHER[1:]]


def test_of_copies_that_each_own_what_the_other_has_not_nobody_decides() -> None:
    world = healthy()
    forgotten(world)
    come_back(world, (ONE[0], OTHER[1]))
    node(world, ONE[0]).slots |= parse_slots(["78"])
    node(world, OTHER[0]).slots |= parse_slots(["77"])

    for _ in range(5):
        world.run_pass()

    assert not world.dropped
    assert "no_slot_has_two_owners" in guards(world)


def test_a_whole_cluster_with_an_empty_shard_and_a_process_with_its_data_are_for_a_person() -> None:
    world = healthy()
    for each in world.nodes():
        each.keys = 300
    empty, alone = node(world, FIRST), node(world, SECOND)
    for each in world.nodes():
        each.known.pop(alone.id, None)
    empty.keys, alone.known, alone.primary, alone.epoch, alone.slots = 0, {}, None, 0, empty.slots

    for _ in range(5):
        world.run_pass()

    assert not world.dropped
    assert "no_slot_has_two_owners" in guards(world)


@pytest.mark.parametrize("first", AT_MOST_ONE_OF_EACH_SHARD[1:], ids="+".join)
def test_owners_that_all_forgot_who_they_were_are_introduced_when_their_copies_answer(first: tuple[str, ...]) -> None:
    world = healthy()
    before = world.cluster.status.slots
    forgotten(world)
    for name in world.pods:
        node(world, name).silent = name not in first

    for _ in range(3):
        world.run_pass()

    assert "every_process_answers" in guards(world)
    assert not any(each.known for each in world.nodes())
    for each in world.nodes():
        each.silent = False
    world.converge()
    assert world.cluster.status.slots == before
    assert {each.keys for each in world.nodes()} == {300}


def test_owners_that_forgot_who_they_were_do_not_wait_for_a_pod_that_is_gone() -> None:
    world = healthy()
    before = world.cluster.status.slots
    forgotten(world)
    node(world, SECOND).silent = True
    world.run_pass()
    assert "every_process_answers" in guards(world)

    world.lose(SECOND)
    world.converge()

    assert world.cluster.status.slots == before
    assert {each.keys for each in world.nodes()} == {300}
