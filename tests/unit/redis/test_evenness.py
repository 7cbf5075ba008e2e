"""How even shards are after a plan: by bytes and by the number of slots, and that no other plan follows."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tdredis.redis.loads import ShardLoad, SlotLoad
from tdredis.redis.moves import NoRoom, plan_moves
from tdredis.redis.slots import ALL_SLOTS, SLOT_COUNT, SlotSet, even_split

MIB = 1 << 20
GIB = 1 << 30
WOBBLE_PERCENT = 5

Sizes = Mapping[int, int]  # bytes by slot


def shards_of(
    sizes: Sizes, owned: Sequence[Collection[int]], *, new: int = 0, limits: Mapping[str, int] | None = None
) -> list[ShardLoad]:
    made = []
    for number, slots in enumerate([*owned, *[()] * new]):
        loads = {slot: SlotLoad(keys=1 if sizes.get(slot) else 0, size_bytes=sizes.get(slot, 0)) for slot in slots}
        name = f"rat-{number}"
        used = sum(load.size_bytes for load in loads.values())
        made.append(ShardLoad(name=name, slots=loads, used_bytes=used, maxmemory_bytes=(limits or {}).get(name, 0)))
    return made


def even(count: int) -> list[Collection[int]]:
    return [list(slots) for slots in even_split(count)]


def after(shards: Sequence[ShardLoad], leaving: Collection[str] = ()) -> list[ShardLoad]:
    """*shards* once the plan is carried out. Asserts that it can be, that each slot has one owner, and that nobody got
    more than it had room for.
    """
    moves = plan_moves(shards, leaving)
    assert not isinstance(moves, NoRoom), moves.why
    owned = {each.name: dict(each.slots) for each in shards}
    used = {each.name: each.used_bytes for each in shards}
    coming = dict.fromkeys(used, 0)
    for move in moves:
        assert move.source != move.target
        assert move.slots
        for slot in move.slots:
            owned[move.target][slot] = owned[move.source].pop(slot)
        used[move.source] -= move.size_bytes
        used[move.target] += move.size_bytes
        coming[move.target] += move.size_bytes
    for each in shards:
        assert each.room_bytes is None or not coming[each.name] or coming[each.name] <= each.room_bytes
    assert sum(map(len, owned.values())) == SLOT_COUNT
    assert SlotSet.union(SlotSet(sum(1 << slot for slot in slots)) for slots in owned.values()) == ALL_SLOTS
    pairs = [(move.source, move.target) for move in moves]
    assert len(pairs) == len(set(pairs)), "what goes from one to the other goes at once"
    both = {slot for move in moves for slot in move.slots}
    assert len(both) == sum(len(move.slots) for move in moves), "no slot moves twice"
    return [replace(each, slots=owned[each.name], used_bytes=used[each.name]) for each in shards]


def wobbling(shards: Sequence[ShardLoad], seed: int) -> list[ShardLoad]:
    """Every slot up to 5 % larger or smaller."""
    chance = random.Random(seed)  # noqa: S311 a simulation
    made = []
    for each in shards:
        slots = {}
        for slot, load in each.slots.items():
            factor = 1 + chance.uniform(-WOBBLE_PERCENT, WOBBLE_PERCENT) / 100
            slots[slot] = replace(load, size_bytes=round(load.size_bytes * factor))
        used = sum(load.size_bytes for load in slots.values())
        made.append(replace(each, slots=slots, used_bytes=used))
    return made


def counts(shards: Sequence[ShardLoad]) -> list[int]:
    return [len(each.slots) for each in shards]


# ---- what they hold: bytes by slot, from a seed


def nothing(_chance: random.Random) -> Sizes:
    return {}


def few_keys(chance: random.Random) -> Sizes:
    return {chance.randrange(SLOT_COUNT): chance.choice([50, 3000, MIB]) for _ in range(chance.randrange(1, 40))}


def one_giant(chance: random.Random) -> Sizes:
    return {chance.randrange(SLOT_COUNT): GIB}


def giants_beside_others(chance: random.Random) -> Sizes:
    giants = {chance.randrange(SLOT_COUNT): chance.choice([GIB, 3 * GIB]) for _ in range(chance.randrange(1, 6))}
    return {**dict.fromkeys(range(SLOT_COUNT), 20_000), **giants}


def zipf(chance: random.Random) -> Sizes:
    ranks = list(range(1, SLOT_COUNT + 1))
    chance.shuffle(ranks)
    return {slot: GIB // rank for slot, rank in enumerate(ranks)}


def sorted_zipf(_chance: random.Random) -> Sizes:
    """All that is large is in the first shard."""
    return {slot: GIB // (slot + 1) for slot in range(SLOT_COUNT)}


def alike(chance: random.Random) -> Sizes:
    return {slot: 10_000 + chance.randrange(1000) for slot in range(SLOT_COUNT)}


def half_of_it(chance: random.Random) -> Sizes:
    return {slot: 10_000 for slot in range(SLOT_COUNT) if chance.random() < 0.5}


def one_shard_has_all(_chance: random.Random) -> Sizes:
    return dict.fromkeys(range(5000), 10_000)


DISTRIBUTIONS: tuple[Callable[[random.Random], Sizes], ...] = (
    nothing,
    few_keys,
    one_giant,
    giants_beside_others,
    zipf,
    sorted_zipf,
    alike,
    half_of_it,
    one_shard_has_all,
)


@dataclass(frozen=True)
class Recipe:
    """*owners* have all slots, evenly or as they happened to get them; *new* have none; the last *leavers* go."""

    sizes: Callable[[random.Random], Sizes]
    owners: int
    new: int
    leavers: int
    is_even: bool
    seed: int
    limit: int = 0  # maxmemory of each, in percent of what all hold by now, evenly spread over those that stay; 0: none

    @property
    def leaving(self) -> frozenset[str]:
        count = min(self.leavers, self.owners - 1)
        return frozenset(f"rat-{number}" for number in range(self.owners - count, self.owners))

    @property
    def shards(self) -> list[ShardLoad]:
        chance = random.Random(self.seed)  # noqa: S311 a simulation
        sizes = self.sizes(chance)
        owned = even(self.owners)
        if not self.is_even:
            edges = [0, *sorted(chance.sample(range(1, SLOT_COUNT), self.owners - 1)), SLOT_COUNT]
            owned = [range(first, last) for first, last in pairwise(edges)]
        staying = self.owners + self.new - len(self.leaving)
        each = sum(sizes.values()) * self.limit // 100 // staying
        return shards_of(sizes, owned, new=self.new, limits={f"rat-{n}": each for n in range(self.owners + self.new)})


def recipes_with(*limits: int) -> st.SearchStrategy[Recipe]:
    return st.builds(
        Recipe,
        sizes=st.sampled_from(DISTRIBUTIONS),
        owners=st.integers(1, 7),
        new=st.integers(0, 4),
        leavers=st.integers(0, 2),
        is_even=st.booleans(),
        seed=st.integers(0, 2**32),
        limit=st.sampled_from(limits),
    )


recipes = recipes_with(0)
limited = recipes_with(120, 150, 400)


@settings(max_examples=12, deadline=None)
@given(recipes)
@example(Recipe(nothing, owners=3, new=1, leavers=0, is_even=True, seed=0))
@example(Recipe(one_giant, owners=3, new=1, leavers=0, is_even=True, seed=0))
@example(Recipe(few_keys, owners=4, new=0, leavers=1, is_even=True, seed=0))
def test_no_shard_has_less_than_half_of_its_share_of_slots_or_more_than_twice_unless_bytes_force_it(
    recipe: Recipe,
) -> None:
    staying = [each for each in after(recipe.shards, recipe.leaving) if each.name not in recipe.leaving]

    share = SLOT_COUNT // len(staying)
    fullest = max(staying, key=lambda each: len(each.slots))
    common = sum(each.size_bytes for each in staying) // len(staying)
    for each in staying:
        if len(each.slots) >= share // 2 and len(each.slots) <= 2 * share:
            continue
        # What it lacks, of the lightest that there are, would be worth noticing.
        missing = share // 8
        lightest = sorted(load.size_bytes for load in fullest.slots.values())[:missing]
        mine = sorted(load.size_bytes for load in each.slots.values())[: share // 2]
        assert sum(mine) + sum(lightest) > common * 9 // 1000, f"{each.name} {counts(staying)}"


@settings(max_examples=12, deadline=None)
@given(recipes)
def test_a_plan_that_was_carried_out_is_followed_by_none(recipe: Recipe) -> None:
    done = after(recipe.shards, recipe.leaving)

    assert plan_moves(done, recipe.leaving) == ()


@pytest.mark.parametrize(("owners", "leavers", "limit"), [(3, 1, 120), (7, 0, 150), (4, 2, 400)])
def test_nor_where_memory_is_limited_and_a_full_shard_gets_slots_when_it_has_given_bytes(
    owners: int, leavers: int, limit: int
) -> None:
    recipe = Recipe(one_shard_has_all, owners=owners, new=4, leavers=leavers, is_even=True, seed=0, limit=limit)
    done = after(recipe.shards, recipe.leaving)

    assert plan_moves(done, recipe.leaving) == ()


@settings(max_examples=12, deadline=None)
@given(limited)
def test_plans_where_memory_is_limited_come_to_an_end(recipe: Recipe) -> None:
    """What went makes room, so that another plan may follow."""
    shards = recipe.shards
    assume(not isinstance(plan_moves(shards, recipe.leaving), NoRoom))

    for _ in range(5):
        shards = after(shards, recipe.leaving)
        if plan_moves(shards, recipe.leaving) == ():
            return

    raise AssertionError(f"still no end: {counts(shards)}")


@settings(max_examples=12, deadline=None, derandomize=True)  # few slots with most of the data may open a better way
@given(recipes, st.integers(0, 2**32))
def test_nor_by_one_when_sizes_have_changed_a_little(recipe: Recipe, seed: int) -> None:
    done = after(recipe.shards, recipe.leaving)

    assert plan_moves(wobbling(done, seed), recipe.leaving) == ()


@settings(max_examples=6, deadline=None)
@given(recipes | limited)
def test_in_whatever_order_shards_come_the_plan_is_the_same(recipe: Recipe) -> None:
    shards = recipe.shards

    assert plan_moves(shards, recipe.leaving) == plan_moves(shards[::-1], sorted(recipe.leaving))


@settings(max_examples=12, deadline=None)
@given(recipes)
def test_bytes_are_as_even_as_slots_allow(recipe: Recipe) -> None:
    """Who is above the common level has one slot that is larger than that, or is above it by little."""
    staying = [each for each in after(recipe.shards, recipe.leaving) if each.name not in recipe.leaving]

    common = sum(each.size_bytes for each in staying) / len(staying)
    for each in staying:
        largest = max((load.size_bytes for load in each.slots.values()), default=0)
        assert each.size_bytes <= max(common * 1.1 + largest, largest * 1.1), counts(staying)


def test_an_empty_cluster_gets_a_fourth_shard_and_loses_it() -> None:
    grown = after(shards_of({}, even(3), new=1))
    back = after(grown, ["rat-3"])

    assert counts(grown) == [4096, 4096, 4096, 4096]
    assert sorted(counts(back)) == [0, 5461, 5461, 5462]


@pytest.mark.parametrize("size", [50, MIB, GIB])
def test_three_keys_do_not_decide_where_all_other_slots_go(size: int) -> None:
    """One of them in each shard."""
    grown = after(shards_of({100: size, 6000: size, 12000: size}, even(3), new=1))

    assert [sum(load.keys for load in each.slots.values()) for each in grown] == [1, 1, 1, 0]
    assert counts(grown) == [4096, 4096, 4096, 4096]


@pytest.mark.parametrize("slot", [0, 5460, 8000, 16383])
def test_the_shard_of_one_large_slot_keeps_others(slot: int) -> None:
    grown = after(shards_of({slot: GIB}, even(3), new=1))
    back = after(grown, ["rat-3"])

    assert counts(grown) == [4096, 4096, 4096, 4096]
    assert all(count in range(5000, 6000) for count in counts(back)[:3])


def test_a_large_slot_among_others_alike_has_its_shard_nearly_to_itself() -> None:
    """Bytes force it: there is as much in it as in any other shard."""
    sizes = {**dict.fromkeys(range(SLOT_COUNT), 10_000), 0: 10_000 * SLOT_COUNT // 2}

    done = after(shards_of(sizes, even(3)))

    held = [each.size_bytes for each in done]
    assert max(held) <= min(held) * 1.12
    assert counts(done)[0] < 1000


def test_two_large_slots_of_one_shard_are_parted() -> None:
    done = after(shards_of({0: GIB, 1: GIB}, even(3)))

    assert sorted(each.size_bytes // GIB for each in done) == [0, 1, 1]
    assert all(count in range(5000, 6000) for count in counts(done))


def test_light_slots_go_along_with_their_neighbours_so_that_few_ranges_become_many() -> None:
    chance = random.Random(1)  # noqa: S311 a simulation
    moves = plan_moves(shards_of(half_of_it(chance), even(3), new=1))

    assert not isinstance(moves, NoRoom)
    assert sum(len(move.slots.ranges()) for move in moves) < 60


def test_a_shard_without_room_is_given_no_slot_for_the_sake_of_their_number() -> None:
    sizes = dict.fromkeys(range(200), MIB)
    shards = shards_of(sizes, [range(100), range(100, SLOT_COUNT)], limits={"rat-0": 100 * MIB})

    assert len(after(shards)[0].slots) <= 100
