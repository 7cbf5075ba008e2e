"""Two owners of the same slots: who keeps them, who is reset, and when nobody decides (docs/decisions/0010)."""

from __future__ import annotations

import pytest

from tdredis.planning.steps import Forget, Meet, ResetNode
from tdredis.redis.slots import NO_SLOTS, SlotSet, parse_slots
from tests.unit.planning.passes import plan, report
from tests.unit.planning.simulated_cluster import Node, SimulatedCluster

FIRST, SECOND = "redis-cluster-rat-0-0", "redis-cluster-rat-0-1"
ONE = tuple(f"redis-cluster-rat-{shard}-0" for shard in range(3))
OTHER = tuple(f"redis-cluster-rat-{shard}-1" for shard in range(3))


def healthy(**spec: object) -> SimulatedCluster:
    world = SimulatedCluster(**spec)
    world.converge()
    return world


def node(world: SimulatedCluster, pod: str) -> Node:
    process = world.pods[pod].process
    assert process is not None
    return process


def split(world: SimulatedCluster, *, epochs: tuple[int, int], keys: tuple[int, int]) -> None:
    """Primaries and former replicas each own everything, and have forgotten each other."""
    for side, epoch, count in zip((ONE, OTHER), epochs, keys, strict=True):
        ids = {node(world, pod).id for pod in side}
        for number, pod in enumerate(side):
            each = node(world, pod)
            each.slots, each.primary = node(world, ONE[number]).slots, None
            each.epoch, each.keys = epoch + number, count
            each.known = {other: address for other, address in each.known.items() if other in ids}


def reset(world: SimulatedCluster) -> list[str]:
    return [step.process.pod for step in plan(world.snapshot()).steps if isinstance(step, ResetNode)]


def guards(world: SimulatedCluster) -> set[str]:
    return {hold.guard for hold in plan(world.snapshot()).holds}


def endpoints(world: SimulatedCluster) -> list[str]:
    (live,) = (live for ref, live in world.children.items() if ref.kind == "EndpointSlice")
    return [each["targetRef"]["name"] for each in live["endpoints"]]  # type: ignore[index, call-overload, union-attr, misc]


@pytest.mark.parametrize(
    ("epochs", "keys", "losers"),
    [
        pytest.param((1, 5), (100, 90), ONE, id="the newer claim, where both have data"),
        pytest.param((5, 1), (100, 90), OTHER, id="the newer claim is the older side's"),
        pytest.param((1, 5), (100, 0), OTHER, id="data against a newer claim"),
        pytest.param((1, 5), (100, 9), OTHER, id="a handful of keys is no data"),
        pytest.param((1, 5), (9, 100), ONE, id="both"),
        pytest.param((1, 1), (0, 0), OTHER, id="nothing to tell them apart: the lowest name"),
    ],
)
def test_of_two_whole_clusters_one_wins_and_the_other_is_reset_and_joined(
    epochs: tuple[int, int], keys: tuple[int, int], losers: tuple[str, ...]
) -> None:
    world = healthy()
    split(world, epochs=epochs, keys=keys)

    assert reset(world) == list(losers)

    lost = keys[losers is OTHER]
    world.converge()
    assert world.dropped == [(pod, lost) for pod in losers]
    winners = ONE if losers is OTHER else OTHER
    assert tuple(shard.primary for shard in world.cluster.status.shards) == winners


def test_what_is_dropped_is_counted_in_the_words_of_the_step() -> None:
    world = healthy()
    split(world, epochs=(5, 1), keys=(100, 90))

    step = next(step for step in plan(world.snapshot()).steps if isinstance(step, ResetNode))

    assert str(step) == f"reset {OTHER[0]}, dropping 90 keys"
    assert step.why.endswith("by config epoch 7 against 3; 270 keys of the other are dropped")


def test_clients_are_led_to_the_winner_before_the_other_is_reset() -> None:
    world = healthy()
    split(world, epochs=(1, 5), keys=(100, 90))

    made = plan(world.snapshot())
    world.run_pass(interrupt_after=1)

    assert not isinstance(made.steps[0], ResetNode)
    assert endpoints(world) == list(OTHER)


@pytest.mark.parametrize("after", range(1, 12))
def test_an_operator_that_dies_while_it_joins_them_is_succeeded_by_one_that_finishes(after: int) -> None:
    world = healthy()
    split(world, epochs=(1, 5), keys=(100, 90))
    left = after
    while left:
        _, done = world.run_pass(interrupt_after=left)
        left -= done
        if not done:
            world.settle()

    world.converge()

    assert sorted(pod for pod, _ in world.dropped) == sorted(ONE)


@pytest.mark.parametrize("fault", ["silent", "without_process", "starting"])
def test_nobody_is_reset_or_met_while_somebody_could_contradict(fault: str) -> None:
    world = healthy()
    split(world, epochs=(1, 5), keys=(100, 90))
    if fault == "silent":
        node(world, OTHER[1]).silent = True
    elif fault == "without_process":
        world.pods[OTHER[1]].stopped = True
    else:
        world.pods[OTHER[1]].process = None

    made = plan(world.snapshot())

    assert not [step for step in made.steps if isinstance(step, ResetNode | Meet)]
    assert guards(world) & {"every_process_answers", "pods_have_started", "no_slot_has_two_owners"}
    if fault != "starting":
        placed = set(published(world))
        assert {*ONE, OTHER[0], OTHER[2]} <= placed, "who loses is not known yet"


def test_a_side_that_alone_owns_some_slots_is_not_reset() -> None:
    world = healthy()
    split(world, epochs=(5, 1), keys=(100, 90))
    node(world, ONE[2]).slots = NO_SLOTS

    assert reset(world) == []

    assert "no_slot_has_two_owners" in guards(world)


def test_where_one_shard_s_data_is_here_and_another_s_there_nobody_decides() -> None:
    world = healthy()
    split(world, epochs=(5, 1), keys=(100, 90))
    node(world, ONE[0]).keys = 0

    assert reset(world) == []

    assert "no_slot_has_two_owners" in guards(world)


def test_of_a_node_that_owns_two_shards_slots_each_shard_is_looked_at() -> None:
    world = healthy()
    split(world, epochs=(5, 1), keys=(100, 90))
    loser, idle = node(world, OTHER[0]), node(world, OTHER[1])
    loser.slots |= idle.slots
    idle.slots = NO_SLOTS
    idle.keys = 0
    node(world, ONE[1]).keys = 0

    assert reset(world) == []

    assert "no_slot_has_two_owners" in guards(world)


def give_replicas(world: SimulatedCluster, side: tuple[str, ...], *, keys: int) -> tuple[str, ...]:
    """The third pod of each shard follows its primary in *side*, and is of that side."""
    third = tuple(f"redis-cluster-rat-{shard}-2" for shard in range(3))
    for pod, primary in zip(third, side, strict=True):
        replica, leader = node(world, pod), node(world, primary)
        replica.primary, replica.keys, replica.known = leader.id, keys, {leader.id: leader.address}
        leader.known[replica.id] = replica.address
    return third


def test_replicas_of_the_side_that_loses_are_reset_with_it() -> None:
    world = healthy(replicas=2)
    split(world, epochs=(1, 5), keys=(100, 90))
    replicas = give_replicas(world, ONE, keys=100)

    assert reset(world) == sorted((*ONE, *replicas))

    world.converge()
    assert sorted(world.dropped) == sorted([*((pod, 100) for pod in ONE), *((pod, 0) for pod in replicas)])


def test_a_replica_of_nobody_who_is_there_may_have_what_nobody_else_has() -> None:
    world = healthy(replicas=2)
    split(world, epochs=(1, 5), keys=(100, 90))
    (orphan, *_) = give_replicas(world, ONE, keys=100)
    node(world, orphan).primary = "f" * 40

    assert reset(world) == []

    assert "no_slot_has_two_owners" in guards(world)


# ---- two primaries of one shard that know each other


def made_itself_primary(world: SimulatedCluster, pod: str, *, keys: tuple[int, int] = (100, 100)) -> None:
    """By hand (TAKEOVER), cut off from everybody."""
    taker, owner = node(world, pod), node(world, FIRST)
    taker.primary, taker.slots, taker.epoch = None, owner.slots, 9
    owner.keys, taker.keys = keys
    for other in world.nodes():
        if other is not taker:
            other.unlinked.add(taker.id)
            taker.unlinked.add(other.id)
            other.believes[taker.id] = NO_SLOTS


def test_a_replica_that_made_itself_primary_while_it_was_cut_off_is_reset_before_it_comes_back() -> None:
    world = healthy()
    made_itself_primary(world, SECOND)

    assert reset(world) == [SECOND]

    world.run_pass()
    world.run_pass()
    assert SECOND not in endpoints(world)
    world.converge()
    assert world.cluster.status.shards[0].primary == FIRST
    assert world.dropped == [(SECOND, 100)]


@pytest.mark.parametrize("pod", [ONE[1], ONE[2]])
def test_a_winner_of_an_election_of_which_not_all_have_heard_is_never_reset(pod: str) -> None:
    world = healthy()
    made_itself_primary(world, SECOND)
    taker = node(world, SECOND)
    voter = node(world, pod)
    voter.believes = {taker.id: taker.slots, node(world, FIRST).id: NO_SLOTS}

    assert reset(world) == []


def test_a_winner_of_an_election_that_answered_later_than_its_voters_is_never_reset() -> None:
    """They had not been asked yet; it has just heard from them."""
    world = healthy()
    made_itself_primary(world, SECOND)
    node(world, SECOND).unlinked = set()

    assert reset(world) == []


@pytest.mark.parametrize("pods", [(FIRST, SECOND), (SECOND, FIRST)], ids=["the owner", "the taker"])
def test_one_to_which_the_owner_is_about_to_step_down_is_never_reset(pods: tuple[str, str]) -> None:
    """Both are cut off together. The owner would copy it, and then be emptied with it."""
    world = healthy()
    made_itself_primary(world, SECOND)
    one, other = (node(world, pod) for pod in pods)
    one.unlinked.discard(other.id)

    assert reset(world) == []


def test_who_is_to_be_reset_is_known_by_whom_it_does_not_reach() -> None:
    world = healthy()
    made_itself_primary(world, SECOND)

    (step,) = (step for step in plan(world.snapshot()).steps if isinstance(step, ResetNode))

    assert step.apart == {other.id for other in world.nodes()} - {step.process.id}


def test_of_two_that_made_themselves_primaries_neither_speaks_for_the_other() -> None:
    world = healthy(size=5)
    made_itself_primary(world, SECOND)
    other = node(world, OTHER[1])
    other.primary, other.slots, other.epoch = None, node(world, ONE[1]).slots, 9
    for each in world.nodes():
        if each is not other:
            each.unlinked.add(other.id)
            other.unlinked.add(each.id)
            each.believes[other.id] = NO_SLOTS

    assert reset(world) == [SECOND, OTHER[1]]


def test_one_that_may_have_been_elected_is_left_to_the_engine() -> None:
    """They talk to each other, and its claim is on its way."""
    world = healthy()
    made_itself_primary(world, SECOND)
    for each in world.nodes():
        each.unlinked = set()

    assert reset(world) == []

    assert "no_slot_has_two_owners" not in guards(world)
    assert SECOND not in published(world), "the others do not know of it"
    node(world, ONE[1]).believes = {node(world, SECOND).id: node(world, SECOND).slots}
    assert FIRST not in published(world), "it won an election"


def published(world: SimulatedCluster) -> list[str]:
    world.run_pass()
    return endpoints(world)


def test_one_that_alone_has_data_is_not_reset() -> None:
    world = healthy()
    made_itself_primary(world, SECOND, keys=(0, 100))

    assert reset(world) == []


def test_a_former_primary_that_was_cut_off_is_no_owner_any_more() -> None:
    """The others elected its replica: it steps down when it hears of it, and clients are not led to it meanwhile."""
    world = healthy()
    old, candidate = node(world, FIRST), node(world, SECOND)
    candidate.primary, candidate.slots, candidate.epoch, candidate.keys, old.keys = None, old.slots, 9, 100, 110
    for other in world.nodes():
        if other is not old:
            other.unlinked.add(old.id)
            old.unlinked.add(other.id)
            other.believes[old.id] = NO_SLOTS

    made = plan(world.snapshot())

    assert not [step for step in made.steps if isinstance(step, ResetNode | Forget)]
    assert FIRST not in published(world)
    assert world.cluster.status.shards[0].primary == SECOND


def test_slots_are_a_union() -> None:
    assert SlotSet.union((parse_slots(["1-2"]), parse_slots(["2-3"]))) == parse_slots(["1-3"])


def two_owners(world: SimulatedCluster, slots: str, keys: tuple[int, int]) -> tuple[Node, Node]:
    """SECOND owns *slots* of FIRST's, and they have so many *keys*."""
    first, second = node(world, FIRST), node(world, SECOND)
    given = parse_slots([slots])
    first.slots, second.slots, second.primary = first.slots - given, given, None
    first.keys, second.keys = keys
    return first, second


@pytest.mark.parametrize(
    ("slots", "keys", "told"),
    [
        pytest.param("0-999", (300, 20), (4461, 300, 1000, 20), id="both have keys"),
        pytest.param("0", (300, 20), (5460, 300, 1, 20), id="a single slot"),
        pytest.param("0-4999", (300, 20), (5000, 20, 461, 300), id="who has more slots is the owner"),
    ],
)
def test_two_owners_of_different_slots_in_one_shard_are_named_with_what_to_type(
    slots: str, keys: tuple[int, int], told: tuple[int, int, int, int]
) -> None:
    world = healthy()
    first, second = two_owners(world, slots, keys)
    owner, other = (first, second) if len(first.slots) > len(second.slots) else (second, first)
    names = (FIRST, SECOND) if owner is first else (SECOND, FIRST)

    snapshot = world.snapshot()
    made = plan(snapshot)
    (ready, *_) = report(snapshot, made).conditions

    assert ready.reason == "ShardHasTwoOwners"
    many, keys_of_many, few, keys_of_few = told
    assert f"{names[0]} owns {many} slots with {keys_of_many} keys and {names[1]} owns {few} slots" in ready.message
    assert f"with {keys_of_few} keys; no key is lost" in ready.message
    assert f"--cluster-from {other.id} --cluster-to {owner.id} --cluster-slots {few} --cluster-yes" in ready.message
    assert not [step for step in made.steps if isinstance(step, ResetNode)], "who has keys is not reset"


@pytest.mark.parametrize(
    ("slots", "keys", "begins_anew"),
    [
        pytest.param("0-999", (300, 0), SECOND, id="the smaller one has none"),
        pytest.param("0-999", (0, 20), FIRST, id="the greater one has none"),
        pytest.param("0", (0, 300), FIRST, id="who has the keys owns a single slot"),
        pytest.param("0-999", (0, 0), SECOND, id="none has any"),
    ],
)
def test_of_two_owners_in_one_shard_one_without_a_key_begins_anew_and_no_key_is_lost(
    slots: str, keys: tuple[int, int], begins_anew: str
) -> None:
    world = healthy()
    two_owners(world, slots, keys)

    assert reset(world) == [begins_anew]
    world.converge()

    stays = SECOND if begins_anew == FIRST else FIRST
    assert world.cluster.status.shards[0].primary == stays
    assert node(world, stays).keys == sum(keys)
    assert world.dropped == [(begins_anew, 0)]


def test_an_owner_without_a_key_that_somebody_copies_or_that_moves_a_slot_is_left_alone() -> None:
    world = healthy(replicas=2)
    two_owners(world, "0-999", (0, 20))
    assert reset(world) == [], "a replica follows it"

    world = healthy()
    first, _ = two_owners(world, "0-999", (0, 20))
    first.migrating = {5000: node(world, OTHER[0]).id}
    assert reset(world) == []


def test_no_owner_without_a_key_begins_anew_while_somebody_does_not_answer() -> None:
    world = healthy()
    two_owners(world, "0-999", (0, 20))
    node(world, OTHER[0]).silent = True

    assert reset(world) == []
    assert "every_process_answers" in guards(world)


def test_who_owns_nothing_any_more_is_made_a_replica_again() -> None:
    world = healthy()
    first, second = two_owners(world, "0-999", (300, 20))
    world.run_pass()

    first.slots, second.slots, first.keys, second.keys = first.slots | second.slots, NO_SLOTS, 320, 0
    world.converge()

    assert second.primary == first.id
