"""A RedisCluster that gets more shards, or fewer: slots move, keys stay, and an edit back takes it back."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from tdredis.planning.moving import State
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import Apply, MoveSlots, Remove, ResetNode
from tdredis.redis.facts import Unknown
from tdredis.redis.slots import ALL_SLOTS, SlotSet
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_cluster import Node, SimulatedCluster

NAME = "redis-cluster-rat"
MIB = 2**20


def full(size: int = 3, *, keys: int = 40, **spec: object) -> SimulatedCluster:
    """A cluster that serves, with *keys* keys, each in a slot of its own."""
    world = SimulatedCluster(size=size, **spec)
    world.mover.batch = 2500
    world.converge()
    for slot in range(0, 16384, 16384 // keys):
        owner = next(node for node in world.nodes() if slot in node.slots)
        owner.slot_keys[slot] = {f"key-{slot}": 1}
    world.settle()
    return world


def edit(world: SimulatedCluster, **spec: object) -> None:
    resource: Any = world.resource
    resource["spec"] |= spec
    resource["metadata"]["generation"] += 1


def annotate(world: SimulatedCluster, name: str, value: str) -> None:
    metadata: Any = world.resource["metadata"]
    metadata.setdefault("annotations", {})[name] = value


def primaries(world: SimulatedCluster) -> dict[str, Node]:
    """Those that own slots, by shard."""
    return {
        name.rpartition("-")[0]: pod.process for name, pod in world.pods.items() if pod.process and pod.process.slots
    }


def keys(world: SimulatedCluster) -> int:
    """How many there are, each at the owner of its slot and nowhere else."""
    found = 0
    for node in world.nodes():
        for slot, there in node.slot_keys.items():
            if node.primary is None and there:
                assert slot in node.slots, f"keys of slot {slot} are not where clients look for them"
                found += len(there)
    return found


def accepted(world: SimulatedCluster) -> tuple[str, str]:
    found = next(each for each in world.cluster.status.conditions if each.type == "Accepted")
    return found.reason, found.message


def is_whole(world: SimulatedCluster, size: int, *, with_keys: int = 41) -> None:
    """It has *size* shards, and no trace is left of others."""
    owners = primaries(world)
    assert sorted(owners) == [f"{NAME}-{index}" for index in range(size)]
    assert sum(len(node.slots) for node in owners.values()) == len(ALL_SLOTS)
    assert SlotSet.union(node.slots for node in owners.values()) == ALL_SLOTS
    assert keys(world) == with_keys
    assert not any(node.migrating or node.importing for node in world.nodes())
    assert {name.rpartition("-")[0] for name in world.pods} == set(owners)
    of_shards = {(ref.kind, ref.name) for ref in world.children if ref.kind in ("StatefulSet", "PodDisruptionBudget")}
    for kind in ("StatefulSet", "PodDisruptionBudget"):
        assert {name for each, name in of_shards if each == kind and name.startswith(NAME)} == set(owners)
    ids = {node.id for node in world.nodes()}
    assert all(set(node.known) | {node.id} == ids for node in world.nodes()), "somebody knows a node that is gone"
    status = world.cluster.status
    assert (status.phase, status.resharding, status.size) == ("Ready", 0, size)
    assert sorted(status.slots) == sorted(owners)
    assert accepted(world) == ("AsSpecified", "spec is fully applied")


def orders(plans: list[Plan]) -> list[MoveSlots]:
    return [step for plan in plans for step in plan.steps if isinstance(step, MoveSlots)]


def until(world: SimulatedCluster, reached: Callable[[], bool], *, passes: int = 60) -> list[Plan]:
    plans: list[Plan] = []
    for _ in range(passes):
        if reached():
            return plans
        plans.append(world.run_pass()[0])
    raise AssertionError(f"not reached: {plans[-1]}")


def is_half_way(world: SimulatedCluster) -> Callable[[], bool]:
    return lambda: world.mover.moving is not None and world.mover.moving.slots_done > 0


def finish(world: SimulatedCluster) -> None:
    """Passes until nothing is left to do: a pass may do nothing but write into status what it is about to do."""
    at_rest = 0
    for _ in range(300):
        made, done = world.run_pass()
        at_rest = at_rest + 1 if not done and world.cluster.status.phase == "Ready" else 0
        if at_rest == 2:
            return
    raise AssertionError(f"no end: {made.verdict}, {made.holds}, {made.steps}, {world.mover.moving}")


# ---- more shards


def test_a_new_shard_gets_its_share_when_all_of_its_processes_are_in_sync() -> None:
    world = full()
    edit(world, size=4)

    plans = until(world, lambda: world.mover.moving is not None)

    new = [pod.process for name, pod in sorted(world.pods.items()) if name.startswith(f"{NAME}-3-")]
    assert [node.primary for node in new if node] == [None, new[0].id if new[0] else ""]
    assert world.cluster.status.resharding == 3, "it is written down before the first slot moves"
    assert len(orders(plans)) == 1
    assert world.cluster.status.phase == "Migrating"
    assert accepted(world)[0] == "Migrating"
    finish(world)
    is_whole(world, 4)
    sizes = [len(node.slot_keys) for _, node in sorted(primaries(world).items())]
    assert max(sizes) - min(sizes) <= 2, "they are even by what they hold"
    assert world.mover.begun == 1


def test_a_shard_that_cannot_start_is_named_and_nothing_moves() -> None:
    world = full()
    world.unschedulable.add(f"{NAME}-3-1")
    edit(world, size=4)

    plans = [world.run_pass()[0] for _ in range(8)]

    assert not orders(plans)
    assert accepted(world)[0] == "new_shards_can_start"
    assert f"{NAME}-3-1: 0/3 nodes are available" in accepted(world)[1]
    ready = next(each for each in world.cluster.status.conditions if each.type == "Ready")
    assert ready.status == "True", "clients are served as before"
    edit(world, size=3)
    finish(world)
    is_whole(world, 3)


def test_what_becomes_of_it_is_told_with_numbers() -> None:
    world = full()
    edit(world, size=4)
    world.mover.batch = 1000
    until(world, is_half_way(world))
    world.run_pass()

    reason, message = accepted(world)

    assert reason == "Migrating"
    assert message.startswith("size 3 -> 4: 1000 of ")
    assert " slots have moved; " in message
    assert world.cluster.status.slots[f"{NAME}-3"], "status.slots says what is"


@pytest.mark.parametrize(("size", "then"), [(4, 5), (4, 3), (3, 4)])
def test_what_was_moved_for_another_change_is_not_told_of_this_one(size: int, then: int) -> None:
    world = full(5)
    edit(world, size=size)
    finish(world)
    before = world.mover.begun
    edit(world, size=then)

    told = []
    while world.mover.begun == before:
        world.run_pass()
        told.append(accepted(world)[1])

    assert len(told) > 1
    assert not any("have moved" in message for message in told), told


def test_new_shards_stay_empty_until_somebody_asks_where_they_are_filled_by_hand() -> None:
    world = full(scale={"rebalance": "manual"})
    edit(world, size=4)

    plans = [world.run_pass()[0] for _ in range(8)]
    assert not orders(plans)
    assert "stay empty until cache.tongdun.net/rebalance asks for more" in accepted(world)[1]
    assert world.cluster.status.phase == "Ready"

    annotate(world, "cache.tongdun.net/rebalance", "1")
    finish(world)
    is_whole(world, 4)
    assert world.cluster.status.rebalanced == "1"


@pytest.mark.parametrize("size", [3, 4])
def test_each_request_to_rebalance_is_carried_out_after_others_were(size: int) -> None:
    world = full()
    edit(world, size=size)
    finish(world)
    for number in (1, 2):
        first = primaries(world)[f"{NAME}-0"]
        for slot in list(first.slots)[:60]:
            first.slot_keys.setdefault(slot, {})[f"more-{number}-{slot}"] = 1
        world.settle()
        before, count = world.mover.begun, keys(world)

        annotate(world, "cache.tongdun.net/rebalance", str(number))
        finish(world)

        assert world.mover.begun == before + 1, "nothing was moved"
        assert world.cluster.status.rebalanced == str(number)
        is_whole(world, size, with_keys=count)
        sizes = [sum(map(len, node.slot_keys.values())) for node in primaries(world).values()]
        assert max(sizes) - min(sizes) <= count // 5


def test_memory_is_given_before_slots_come_and_taken_when_they_are_gone() -> None:
    world = full(capacity=600)
    edit(world, size=4, capacity=400)

    until(world, is_half_way(world))
    assert {node.maxmemory for node in world.nodes()} == {200 * MIB}, "what is not moved yet has its room"

    finish(world)
    is_whole(world, 4)
    assert {node.maxmemory for node in world.nodes()} == {100 * MIB}


# ---- fewer shards


def test_a_shard_that_goes_is_emptied_reset_forgotten_and_then_removed() -> None:
    world = full(4)
    edit(world, size=3)
    ref = Ref("StatefulSet", f"{NAME}-3")
    plans: list[Plan] = []
    while ref in world.children and len(plans) < 60:
        plans.append(world.run_pass()[0])

    steps = [step for plan in plans for step in plan.steps]
    assert orders(plans)[0].order.leaving == {f"{NAME}-3"}
    kinds = [type(step) for step in steps]
    emptied = next(
        number
        for number, step in enumerate(steps)
        if isinstance(step, Apply) and step.ref == ref and step.manifest["spec"]["replicas"] == 0  # type: ignore[index, call-overload]
    )
    assert kinds.index(MoveSlots) < kinds.index(ResetNode) < emptied < kinds.index(Remove)
    finish(world)
    is_whole(world, 3)
    assert set(world.dropped) == {(f"{NAME}-3-0", 0), (f"{NAME}-3-1", 0)}, "no key was dropped"


def test_a_shard_that_has_just_been_emptied_sends_clients_on_before_it_goes() -> None:
    """One that is reset would not know where, and one that is gone would let them wait."""
    world = full(4)
    edit(world, size=3)
    while world.mover.moving is None or world.mover.moving.state is not State.DONE:
        world.run_pass()
    moved = world.snapshot()
    assert moved.moving is not None

    plans = {after: plan(replace(moved, moving=replace(moved.moving, ended_s=after))) for after in (0.0, 4.9, 5.0)}

    resets = {after: any(isinstance(step, ResetNode) for step in made.steps) for after, made in plans.items()}
    assert resets == {0.0: False, 4.9: False, 5.0: True}
    assert "clients_are_sent_on" in {hold.guard for hold in plans[0.0].holds}
    assert plans[0.0].next_look_s <= 1


def test_an_operator_that_did_not_see_a_shard_being_emptied_lets_it_send_clients_on_as_long() -> None:
    world = full(4)
    edit(world, size=3)
    while world.mover.moving is None or world.mover.moving.state is not State.DONE:
        world.run_pass()
    world.operator_died()
    found = world.snapshot()

    def heard(seconds: float) -> Plan:
        nodes = {
            name: node if isinstance(node, Unknown) else structs.replace(node, heard_s=seconds)
            for name, node in found.nodes.items()
        }
        return plan(replace(found, nodes=nodes))

    resets = {after: any(isinstance(step, ResetNode) for step in heard(after).steps) for after in (0.0, 4.9, 5.0)}
    assert resets == {0.0: False, 4.9: False, 5.0: True}
    assert "clients_are_sent_on" in {hold.guard for hold in heard(0.0).holds}


def test_volumes_of_a_shard_that_goes_stay() -> None:
    world = full(4, storageclass="local-ssd")
    edit(world, size=3)
    finish(world)
    is_whole(world, 3)
    assert {name for name in world.claims if f"{NAME}-3-" in name} == {
        f"redis-data-{NAME}-3-0",
        f"redis-data-{NAME}-3-1",
    }


def test_pods_go_too_that_no_statefulset_takes_along() -> None:
    world = full(4)
    world.of_the_resource |= {pod.uid for pod in world.pods.values()}
    edit(world, size=3)
    finish(world)
    is_whole(world, 3)


def test_fewer_shards_than_have_room_are_refused_with_numbers() -> None:
    world = full(4, capacity=400)
    for node in world.nodes():
        node.used_mib = 80
        node.keys = 1000 if node.slots else 0
    edit(world, size=3, capacity=300)

    plans = [world.run_pass()[0] for _ in range(4)]

    assert not orders(plans)
    reason, message = accepted(world)
    assert reason == "shards_have_room"
    assert "size 3 gives each shard 100 MiB" in message
    assert "write capacity: " in message
    assert "or size: 4" in message
    edit(world, size=4, capacity=400)
    world.run_pass()
    assert accepted(world) == ("AsSpecified", "spec is fully applied")


def test_a_key_that_nobody_can_move_is_named_and_its_shard_stays() -> None:
    world = full(4)
    slot = min(slot for slot, there in primaries(world)[f"{NAME}-3"].slot_keys.items() if there)
    world.mover.stuck.add(slot)
    edit(world, size=3)

    for _ in range(20):
        world.run_pass()

    assert accepted(world)[0] == "keys_can_be_moved"
    assert f"a key of slot {slot} is too big" in accepted(world)[1]
    assert len(primaries(world)[f"{NAME}-3"].slots) == 1, "the others have moved"
    assert keys(world) == 41
    world.mover.stuck.clear()
    world.mover.die()  # the operator is restarted
    finish(world)
    is_whole(world, 3)


# ---- taken back, interrupted, and with other changes

OUT_AND_IN = pytest.mark.parametrize(("before", "after"), [(3, 4), (4, 3)], ids=["out", "in"])


@OUT_AND_IN
def test_an_edit_back_half_way_takes_it_back(before: int, after: int) -> None:
    world = full(before)
    edit(world, size=after)
    until(world, is_half_way(world))
    edit(world, size=before)
    finish(world)
    is_whole(world, before)


@pytest.mark.parametrize("with_replicas", [1, 2])
@pytest.mark.parametrize("lost", [None, 0, 1])
def test_a_shard_that_is_wanted_again_when_it_has_been_emptied_begins_anew(
    with_replicas: int, lost: int | None
) -> None:
    """All of its processes replicate another shard's by then."""
    world = full(4, replicas=with_replicas)
    edit(world, size=3)
    until(world, lambda: world.mover.moving is not None and world.mover.moving.state is State.DONE)
    others = {node.id for node in primaries(world).values()}
    left = [pod.process for name, pod in world.pods.items() if name.startswith(f"{NAME}-3-")]
    assert all(process is not None and process.primary in others for process in left)
    world.settle()
    if lost is not None:
        world.lose(f"{NAME}-3-{lost}", keeps_data=True)
    edit(world, size=4)
    finish(world)
    is_whole(world, 4)


def test_what_waits_for_a_process_that_is_silent_is_that_a_shard_wanted_again_begins_anew() -> None:
    """No slot has two owners, and nothing is said of any."""
    world = full(4, replicas=1)
    edit(world, size=3)
    until(world, lambda: world.mover.moving is not None and world.mover.moving.state is State.DONE)
    world.settle()
    edit(world, size=4)
    process = world.pods[f"{NAME}-0-1"].process
    assert process is not None
    process.silent = True

    made = plan(world.snapshot())

    assert not [step for step in made.steps if isinstance(step, ResetNode)]
    words = " ".join(hold.why for hold in made.holds)
    assert "which process of a shard that is to get slots begins anew" in words
    assert "two owners" not in words


@OUT_AND_IN
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5])
def test_killed_after_any_step_it_goes_on(before: int, after: int, steps: int) -> None:
    """Every other pass is killed after *steps* of it, and with it whoever moves slots."""
    world = full(before)
    edit(world, size=after)
    for _ in range(14):
        world.run_pass(interrupt_after=steps)
        world.settle()
        world.run_pass()
    finish(world)
    is_whole(world, after)


@OUT_AND_IN
def test_killed_between_batches_it_goes_on(before: int, after: int) -> None:
    world = full(before)
    world.mover.batch = 500
    edit(world, size=after)
    for _ in range(3):
        until(world, is_half_way(world))
        world.mover.die()
    finish(world)
    is_whole(world, after)


@OUT_AND_IN
@pytest.mark.parametrize("shard", [0, 3], ids=["one_that_stays", "the_other"])
def test_a_primary_that_dies_meanwhile_is_replaced_and_slots_go_on(before: int, after: int, shard: int) -> None:
    world = full(before)
    edit(world, size=after)
    until(world, is_half_way(world))
    world.settle()
    dead = next(name for name, pod in sorted(world.pods.items()) if pod.process is primaries(world)[f"{NAME}-{shard}"])
    world.lose(dead)
    finish(world)
    is_whole(world, after)


def test_a_new_primary_that_dies_before_its_first_slot_leaves_the_keys_that_came_to_its_replica() -> None:
    """Nobody votes for the successor of a primary that owns nothing."""
    world = full()
    edit(world, size=4)
    new = f"{NAME}-3-0"

    def has_keys() -> bool:
        pod = world.pods.get(new)
        return pod is not None and pod.process is not None and any(pod.process.slot_keys.values())

    until(world, has_keys)
    assert NAME + "-3" not in primaries(world)
    world.settle()
    world.mover.die()
    world.lose(new)
    finish(world)
    is_whole(world, 4)


@OUT_AND_IN
def test_an_image_and_memory_in_the_same_edit(before: int, after: int) -> None:
    world = full(before)
    edit(world, size=after, image="redis:7.0.15", capacity=512)
    finish(world)
    is_whole(world, after)
    assert {pod.images["redis"] for pod in world.pods.values()} == {"redis:7.0.15"}
    assert {node.maxmemory for node in world.nodes()} == {512 // after * MIB}


def test_pods_are_recreated_when_what_is_open_has_ended_and_the_other_slots_go_on_then() -> None:
    world = full()
    edit(world, size=4)
    until(world, is_half_way(world))
    edit(world, image="redis:7.0.15")
    began = {pod.uid for pod in world.pods.values()}
    moved: set[int] = set()
    while any(pod.images["redis"] != "redis:7.0.15" for pod in world.pods.values()):
        world.run_pass()
        if not began <= {pod.uid for pod in world.pods.values()}:
            assert not any(node.migrating or node.importing for node in world.nodes())
            moved.add(len(primaries(world)[f"{NAME}-3"].slots))
    assert len(moved) == 1, "slots stand still while pods are recreated"
    assert 0 < moved.pop() < 4000
    finish(world)
    is_whole(world, 4)
    assert {pod.images["redis"] for pod in world.pods.values()} == {"redis:7.0.15"}


def test_an_order_that_failed_or_found_no_room_is_told() -> None:
    world = full()
    edit(world, size=4)
    until(world, is_half_way(world))
    assert world.mover.moving is not None
    world.mover.refuse("1 bytes would have to go to shards that have room for 0")
    world.run_pass()
    assert world.mover.moving.state is State.REFUSED
    assert accepted(world)[0] == "shards_have_room"


# ---- spec that cannot be carried out, where the server did not refuse it

WRONG = pytest.mark.parametrize("wrong", [{"size": 2}, {"capacity": 1}], ids=str)


@OUT_AND_IN
@WRONG
@pytest.mark.parametrize(("passes", "dies"), [(0, False), (3, True), (7, False), (7, True), (11, True)])
def test_an_invalid_spec_meanwhile_is_refused_stops_what_moves_and_loses_nothing(
    before: int, after: int, wrong: dict[str, int], passes: int, dies: bool
) -> None:
    """*passes* after the size was edited; *dies*: whoever moves slots does at that moment."""
    world = full(before)
    edit(world, size=after)
    for _ in range(passes):
        world.run_pass()
    begun, spec = world.cluster.status.resharding, copy.deepcopy(world.resource["spec"])
    owners = {name: node.slots for name, node in primaries(world).items()}
    edit(world, **wrong)
    if dies:
        world.mover.die()

    plans = [world.run_pass()[0] for _ in range(25)]

    assert plans[-1].verdict == "invalid"
    assert not orders(plans)
    assert any(hold.guard == "spec_is_valid" and hold.about == "spec" for hold in plans[-1].holds)
    assert accepted(world)[0] == "spec_is_valid", accepted(world)
    assert world.cluster.status.resharding == begun
    assert not any(node.migrating or node.importing for node in world.nodes()), "no slot is left open"
    assert SlotSet.union(node.slots for node in world.nodes()) == ALL_SLOTS
    assert keys(world) == 41
    assert world.cluster.status.phase in ("Ready", "Migrating"), world.cluster.status
    at_most = sum(
        len(slots - primaries(world)[name].slots) for name, slots in owners.items() if name in primaries(world)
    )
    assert at_most <= 2 * world.mover.batch, "what was open ended, and no more"
    world.resource["spec"] = spec
    edit(world)
    finish(world)
    is_whole(world, after)


@OUT_AND_IN
def test_an_invalid_size_meanwhile_may_be_taken_back_too(before: int, after: int) -> None:
    world = full(before)
    edit(world, size=after)
    until(world, is_half_way(world))
    edit(world, size=1)
    for _ in range(10):
        world.run_pass()
    edit(world, size=before)
    finish(world)
    is_whole(world, before)
