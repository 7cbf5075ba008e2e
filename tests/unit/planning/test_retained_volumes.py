"""A cluster that is made again on the volumes of an earlier one, never gives slots away empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tdredis.planning.plan import Plan
from tdredis.planning.steps import AssignSlots, Forget
from tests.unit.planning.simulated_cluster import Node, SimulatedCluster

NAME = "redis-cluster-rat"
BEGIN_ANEW = "cache.tongdun.net/begin-anew"
EARLIER, LATER = "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"


def made_again(
    was: int, size: int, *, storage: str = "fast", claims: bool = True, nodes: Mapping[str, Node | None] | None = None
) -> Any:
    """A cluster of *was* shards with data is deleted, and made again with *size*, on its volumes. *claims*: they are
    known to be of before. *nodes*: what is on volumes instead; None: nothing.
    """
    former = SimulatedCluster(size=was, storageclass="fast")
    former.converge()
    for node in former.nodes():
        node.slot_keys = {slot: {f"key {slot}": 1} for slot in list(node.slots)[:100]}
    former.settle()
    world = SimulatedCluster(size=size, storageclass=storage)
    world._counter = former._counter  # ids and addresses of the first are not given again
    kept = {pod: each.process for pod, each in former.pods.items()} | dict(nodes or {})
    world.volumes = {pod: node for pod, node in kept.items() if node is not None}
    world.late = set(kept)
    world.slots_of_dead = {node.id: node.slots for node in former.nodes() if node.slots}
    if claims:
        world.claims = former.claims
        for claim in world.claims.values():
            claim["metadata"]["creationTimestamp"] = EARLIER  # type: ignore[index, call-overload]
    return world


def run(world: SimulatedCluster, passes: int = 30) -> list[Plan]:
    return [world.run_pass()[0] for _ in range(passes)]


def steps_of(plans: list[Plan], *kinds: type) -> list[Any]:
    return [step for made in plans for step in made.steps if isinstance(step, kinds)]


def ready(world: SimulatedCluster) -> tuple[str, str]:
    status: Any = world.resource["status"]
    (found,) = [each for each in status["conditions"] if each["type"] == "Ready"]
    return found["reason"], found["message"]


def owners(world: SimulatedCluster) -> dict[str, int]:
    return {pod: len(each.process.slots) for pod, each in world.pods.items() if each.process and each.process.slots}


def blank(pod: str, lost: str = "", keys: int = 0) -> Node:
    return Node(id=f"{abs(hash(pod)):040x}"[:40], ip="", maxmemory=0, lost=lost, keys=keys)


@pytest.mark.parametrize(("was", "storage"), [(4, "fast"), (6, "fast"), (4, "")])
def test_shards_beyond_size_come_with_their_volumes_and_are_scaled_in(was: int, storage: str) -> None:
    world = made_again(was, 3, storage=storage)  # "": the volumes that are there are used all the same

    plans = run(world)

    assert not steps_of(plans, AssignSlots)
    for _ in range(30):
        world.run_pass()
        world.settle(6.0)  # an emptied shard sends clients on for a while
    world.converge()
    assert set(owners(world)) == {f"{NAME}-{index}-0" for index in range(3)}
    keys = {slot for node in world.nodes() if node.slots for slot, held in node.slot_keys.items() if held}
    assert len(keys) == was * 100
    assert sum(owners(world).values()) == 16384
    assert set(world.pods) == {f"{NAME}-{index}-{ordinal}" for index in range(3) for ordinal in range(2)}


def test_a_shard_beyond_size_that_forgot_who_it_was_is_asked_before_its_slots_are_given_away() -> None:
    lost = "lost-nodes: nodes.conf cannot be read: starting as a new node"
    nodes = {f"{NAME}-3-{ordinal}": blank(f"3-{ordinal}", lost, keys=300) for ordinal in range(2)}
    world = made_again(4, 3, nodes=nodes)

    assigned = steps_of(run(world), AssignSlots)

    assert {step.shard for step in assigned} == {f"{NAME}-3"}


def test_the_volumes_of_shards_that_left_before_bring_none_back() -> None:
    world = made_again(3, 3)
    claim: Any = dict(world.claims[f"redis-data-{NAME}-2-0"])
    world.claims[f"redis-data-{NAME}-3-0"] = claim

    plans = run(world)

    assert not steps_of(plans, AssignSlots)
    assert set(world.pods) == {f"{NAME}-{index}-{ordinal}" for index in range(3) for ordinal in range(2)}
    world.converge()


def test_slots_of_an_owner_that_others_remember_are_not_given_away() -> None:
    """Its volumes are not known to be of before: they were restored, say, or are not there at all."""
    world = made_again(4, 3, claims=False)

    plans = run(world)

    assert not steps_of(plans, AssignSlots, Forget)
    reason, message = ready(world)
    assert reason == "DataLost"
    assert "write size: 4" in message
    world.resource["spec"]["size"] = 4
    world.converge()
    assert len(owners(world)) == 4
    assert not steps_of(plans, AssignSlots, Forget)


@pytest.mark.parametrize("size", [3, 4])
def test_slots_of_an_owner_that_is_gone_are_given_up_by_their_owner_s_word_alone(size: int) -> None:
    gone = {f"{NAME}-3-{ordinal}": None for ordinal in range(2)}
    world = made_again(4, size, claims=False, nodes=gone)
    plans = run(world)
    assert not steps_of(plans, AssignSlots)
    assert ready(world)[0] == "DataLost"
    assert ("write size: 4" in ready(world)[1]) == (size == 3)

    world.resource["metadata"]["annotations"] = {BEGIN_ANEW: "1"}
    world.converge()

    assert sum(owners(world).values()) == 16384


def test_a_shard_that_forgot_who_it_was_and_has_its_data_is_no_loss() -> None:
    lost = "lost-nodes: nodes.conf cannot be read: starting as a new node"
    nodes = {f"{NAME}-2-{ordinal}": blank(f"2-{ordinal}", lost, keys=300) for ordinal in range(2)}
    world = made_again(3, 3, nodes=nodes)

    run(world)

    assert ready(world)[0] != "DataLost"
    assert sum(owners(world).values()) == 16384
