"""Which slots go where: by bytes, never more than fits, nothing moved that need not be, the same plan each time."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdredis.redis.loads import ShardLoad, SlotLoad, spread_bytes
from tdredis.redis.moves import Move, NoRoom, in_rounds, plan_moves
from tdredis.redis.slots import ALL_SLOTS, SlotSet, even_split

MIB = 1 << 20


def shard(
    name: str, slots: Mapping[int, int] | None = None, *, used: int | None = None, maxmemory: int = 0
) -> ShardLoad:
    """*slots*: bytes of each."""
    slots = slots or {}
    return ShardLoad(
        name=name,
        slots={slot: SlotLoad(keys=1 if size else 0, size_bytes=size) for slot, size in slots.items()},
        used_bytes=sum(slots.values()) if used is None else used,
        maxmemory_bytes=maxmemory,
    )


def cluster(count: int, size_bytes: int, *, maxmemory: int = 0) -> list[ShardLoad]:
    """Every slot has *size_bytes*."""
    return [
        shard(f"rat-{number}", dict.fromkeys(slots, size_bytes), maxmemory=maxmemory)
        for number, slots in enumerate(even_split(count))
    ]


def after(shards: Sequence[ShardLoad], moves: Sequence[Move]) -> dict[str, dict[int, SlotLoad]]:
    """The slots of each shard when *moves* are done. Raises KeyError when one moves what its source has not."""
    owned = {each.name: dict(each.slots) for each in shards}
    for move in moves:
        for slot in move.slots:
            owned[move.target][slot] = owned[move.source].pop(slot)
    return owned


def planned(shards: Sequence[ShardLoad], leaving: Collection[str] = ()) -> tuple[Move, ...]:
    moves = plan_moves(shards, leaving)
    assert not isinstance(moves, NoRoom), moves.why
    return moves


def summary(moves: Sequence[Move]) -> list[tuple[str, str, int]]:
    return [(move.source, move.target, len(move.slots)) for move in moves]


def test_a_fourth_shard_gets_a_quarter_and_nothing_moves_between_the_old_ones() -> None:
    moves = planned([*cluster(3, 100), shard("rat-3")])

    assert summary(moves) == [("rat-0", "rat-3", 1365), ("rat-1", "rat-3", 1366), ("rat-2", "rat-3", 1365)]
    assert [len(move.slots.ranges()) for move in moves] == [1, 1, 1], (
        "the highest slots, so that few ranges become many"
    )


def test_an_empty_cluster_is_spread_by_count() -> None:
    assert summary(planned([*cluster(3, 0), shard("rat-3")])) == [
        ("rat-0", "rat-3", 1365),
        ("rat-1", "rat-3", 1366),
        ("rat-2", "rat-3", 1365),
    ]


def test_bytes_count_and_not_slots() -> None:
    """One shard has all the data in half of the slots: half of the data goes, in few slots."""
    full = shard("rat-0", dict.fromkeys(range(8192), 1000))
    moves = planned([full, shard("rat-1", dict.fromkeys(range(8192, 16384), 0))])

    (move,) = moves
    assert move.source == "rat-0"
    assert move.size_bytes == pytest.approx(4_096_000, rel=0.02)


def test_doubling_goes_by_disjoint_pairs_all_at_once() -> None:
    moves = planned([*cluster(3, 100), shard("rat-3"), shard("rat-4"), shard("rat-5")])

    assert [(move.source, move.target) for move in moves] == [
        ("rat-0", "rat-3"),
        ("rat-1", "rat-4"),
        ("rat-2", "rat-5"),
    ]
    assert in_rounds(moves) == (moves,)


def test_what_goes_into_one_shard_goes_one_after_the_other() -> None:
    moves = planned([*cluster(3, 100), shard("rat-3")])

    assert in_rounds(moves) == tuple((move,) for move in moves)


def test_a_shard_is_drained_to_all_others_alike() -> None:
    moves = planned(cluster(4, 100), ["rat-3"])

    assert summary(moves) == [("rat-3", "rat-0", 1365), ("rat-3", "rat-1", 1365), ("rat-3", "rat-2", 1366)]


@pytest.mark.parametrize(("sizes", "count"), [((1000, 1040), 0), ((1000, 1200), 1)])
def test_a_small_difference_moves_nothing(sizes: tuple[int, int], count: int) -> None:
    shards = [
        shard("rat-0", dict.fromkeys(range(8192), sizes[0])),
        shard("rat-1", dict.fromkeys(range(8192, 16384), sizes[1])),
    ]

    assert len(planned(shards)) == count


def test_the_tenth_shard_comes_after_the_second() -> None:
    shards = [*cluster(2, 100), *(shard(f"rat-{number}") for number in range(2, 11))]

    assert [move.target for move in planned(shards)][-1] == "rat-10"


def test_a_drain_for_which_there_is_no_room_is_refused_with_the_numbers() -> None:
    shards = [
        shard("rat-0", {0: 80 * MIB}, maxmemory=100 * MIB),
        shard("rat-1", {1: 80 * MIB}, maxmemory=100 * MIB),
        shard("rat-2", {2: 30 * MIB}, maxmemory=100 * MIB),
    ]

    refused = plan_moves(shards, ["rat-2"])

    assert refused == NoRoom(
        "31457280 bytes would have to go to shards that have room for 20971520 (rat-0 10485760, rat-1 10485760)"
    )


def test_a_slot_that_fits_nowhere_is_named() -> None:
    """There is room enough, in two parts."""
    shards = [
        shard("rat-0", {0: 80 * MIB}, maxmemory=100 * MIB),
        shard("rat-1", {1: 80 * MIB}, maxmemory=100 * MIB),
        shard("rat-2", {2: 15 * MIB}, maxmemory=100 * MIB),
    ]

    refused = plan_moves(shards, ["rat-2"])

    assert isinstance(refused, NoRoom)
    assert refused.why.startswith("slot 2 of rat-2 has 15728640 bytes, and nobody has room for it")


def test_memory_that_is_not_in_slots_counts_too() -> None:
    """A target that uses memory for something else takes less: the other one gets what it cannot."""
    shards = [
        shard("rat-0", dict.fromkeys(range(100), MIB)),
        shard("rat-1", used=80 * MIB, maxmemory=100 * MIB),
        shard("rat-2", maxmemory=1000 * MIB),
    ]

    taken = {move.target: move.size_bytes // MIB for move in planned(shards)}

    assert taken == {"rat-1": 10, "rat-2": 45}


def test_nobody_stays() -> None:
    assert plan_moves(cluster(1, 1), ["rat-0"]) == NoRoom("every shard would leave")


def test_the_bytes_of_a_node_are_spread_by_keys() -> None:
    assert spread_bytes({1: 1, 2: 3, 3: 0}, 400) == {
        1: SlotLoad(keys=1, size_bytes=100),
        2: SlotLoad(keys=3, size_bytes=300),
        3: SlotLoad(),
    }
    assert spread_bytes({1: 0}, 400) == {1: SlotLoad()}


@dataclass(frozen=True)
class Recipe:
    """A cluster: some shards own all slots, some are new. It is made from *seed* when it is asked for: 16384 sizes
    drawn one by one would take longer than the test, and a page to print.
    """

    owners: int
    new: int
    largest: int  # bytes of a slot
    seed: int
    leavers: int  # bits

    @property
    def leaving(self) -> frozenset[str]:
        found = [f"rat-{number}" for number in range(self.owners) if self.leavers >> number & 1]
        return frozenset(found if self.new else found[: self.owners - 1])

    @property
    def shards(self) -> list[ShardLoad]:
        chance = random.Random(self.seed)  # noqa: S311 a simulation
        edges = sorted(chance.sample(range(1, 16384), self.owners - 1))
        made = []
        for number, (first, last) in enumerate(zip([0, *edges], [*edges, 16384], strict=True)):
            sizes = chance.choices([0, 1, self.largest // 7, self.largest], [8, 1, 1, 1], k=last - first)
            used = sum(sizes) + chance.randrange(100 * MIB)
            limit = chance.choice([0, used * 2, used + MIB])
            made.append(shard(f"rat-{number}", dict(enumerate(sizes, first)), used=used, maxmemory=limit))
        for number in range(self.owners, self.owners + self.new):
            used = chance.randrange(10 * MIB)
            made.append(shard(f"rat-{number}", used=used, maxmemory=chance.choice([0, used * 3])))
        chance.shuffle(made)
        return made


recipes = st.builds(
    Recipe,
    owners=st.integers(1, 6),
    new=st.integers(0, 4),
    largest=st.sampled_from([0, 1, 1000, 10 * MIB]),
    seed=st.integers(0, 2**32),
    leavers=st.integers(0, 63),
)


@settings(max_examples=20, deadline=None)
@given(recipes)
def test_every_slot_has_one_owner_after_and_nobody_more_than_it_holds(
    recipe: Recipe,
) -> None:
    shards, leaving = recipe.shards, recipe.leaving
    moves = plan_moves(shards, leaving)
    if isinstance(moves, NoRoom):
        assert leaving, "only who must empty a shard can fail"
        return

    owned = after(shards, moves)

    assert sum(map(len, owned.values())) == 16384
    assert SlotSet.union(SlotSet(sum(1 << slot for slot in slots)) for slots in owned.values()) == ALL_SLOTS
    assert not any(owned[name] for name in leaving)
    coming = {each.name: 0 for each in shards}
    for move in moves:
        coming[move.target] += move.size_bytes
        assert move.target not in leaving
        assert move.keys == sum(1 for slot in move.slots if owned[move.target][slot].keys)
    for each in shards:
        assert not each.maxmemory_bytes or not coming[each.name] or coming[each.name] <= (each.room_bytes or 0)


@settings(max_examples=20, deadline=None)
@given(recipes)
def test_the_same_cluster_in_another_order_gives_the_same_plan(recipe: Recipe) -> None:
    shards, leaving = recipe.shards, recipe.leaving

    assert plan_moves(shards, leaving) == plan_moves(sorted(shards, key=lambda each: each.name), set(leaving))


@settings(max_examples=20, deadline=None)
@given(recipes)
def test_nobody_gives_and_takes_and_a_plan_that_was_carried_out_is_not_followed_by_another_that_undoes_it(
    recipe: Recipe,
) -> None:
    shards = recipe.shards
    moves = planned(shards)

    mean = sum(each.size_bytes for each in shards) / len(shards)
    of_weight = [move for move in moves if move.size_bytes * 20 > mean]  # others fill up who has few slots
    assert not {move.source for move in of_weight} & {move.target for move in of_weight}
    largest = max((load.size_bytes for each in shards for load in each.slots.values()), default=0)
    surplus = sum(max(0.0, each.size_bytes - mean) for each in shards)
    assert sum(move.size_bytes for move in moves) <= surplus * 1.05 + len(shards) * (largest + 1)


@settings(max_examples=20, deadline=None)
@given(recipes)
def test_rounds_have_every_move_once_and_no_shard_twice(recipe: Recipe) -> None:
    moves = planned(recipe.shards)

    rounds = in_rounds(moves)

    assert sorted(map(str, moves)) == sorted(str(move) for each in rounds for move in each)
    for each in rounds:
        involved = [name for move in each for name in (move.source, move.target)]
        assert len(involved) == len(set(involved))
