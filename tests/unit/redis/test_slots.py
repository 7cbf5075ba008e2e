"""Slots: sets, ranges and the even split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from tdredis.redis.slots import (
    ALL_SLOTS,
    SLOT_COUNT,
    SlotRange,
    SlotSet,
    even_split,
    keys_into,
    parse_slot_range,
    parse_slots,
)

slot_sets = st.sets(st.integers(0, SLOT_COUNT - 1), max_size=60).map(
    lambda slots: SlotSet.of(SlotRange(slot, slot) for slot in slots)
)


def test_three_shards_split_as_redis_cli_splits_them() -> None:
    assert [str(part) for part in even_split(3)] == ["0-5460", "5461-10922", "10923-16383"]


@given(st.integers(1, 500))
def test_an_even_split_covers_every_slot_once_and_is_even(shards: int) -> None:
    parts = even_split(shards)

    assert SlotSet(sum(part.bits for part in parts)) == ALL_SLOTS
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(slot_sets)
def test_ranges_make_the_same_set_again(slots: SlotSet) -> None:
    assert parse_slots(str(each) for each in slots.ranges()) == slots
    assert sum(each.count for each in slots.ranges()) == len(slots)
    assert sorted(slots) == list(slots)


@given(slot_sets, slot_sets)
def test_sets_behave_as_sets(a: SlotSet, b: SlotSet) -> None:
    assert set(a | b) == set(a) | set(b)
    assert set(a & b) == set(a) & set(b)
    assert set(a - b) == set(a) - set(b)


@pytest.mark.parametrize("text", ["16384", "5-4", "-1", "a", "1-", "0-16384"])
def test_a_range_outside_the_slots_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_slot_range(text)


@pytest.mark.parametrize("shards", [1, 3, 100])
def test_every_part_has_a_key_of_its_own(shards: int) -> None:
    parts = even_split(shards)

    keys = keys_into(parts)

    assert [key_slot(key.encode()) in part for key, part in zip(keys, parts, strict=True)] == [True] * shards


def test_a_part_of_one_slot_has_a_key_too() -> None:
    (key,) = keys_into((SlotSet.of([SlotRange(7, 7)]),))

    assert key_slot(key.encode()) == 7
