"""What a plan of slots costs grows with the slots, not with the shards that might give and take each of them."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from bench.moves import shards_of
from tdredis.redis.first_fit import FirstFit
from tdredis.redis.moves import NoRoom, plan_moves
from tdredis.redis.slots import SLOT_COUNT

MOST_CALLS = 300  # a slot; each of 100 takers asked for each slot, it was several thousands


def calls_of(work: Callable[[], object]) -> int:
    """How often anything is called meanwhile: the same on every machine, however busy."""
    count = 0

    def on_event(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(on_event)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("keys", [0, 200_000])
@pytest.mark.parametrize(("before", "after"), [(100, 200), (500, 1000), (1000, 999)])
def test_no_slot_is_offered_to_every_shard(before: int, after: int, keys: int) -> None:
    shards, leaving = shards_of(before, after, keys)

    assert not isinstance(plan_moves(shards, leaving), NoRoom)
    calls = calls_of(lambda: plan_moves(shards, leaving))

    assert calls < MOST_CALLS * SLOT_COUNT, f"{calls / SLOT_COUNT:.0f} a slot"


@pytest.mark.parametrize("wanted", [[], [3], [5, 1, 7, 7, -2], [-1, -9, 4, 0, 4, 12, 3, 3]])
def test_the_first_that_wants_enough_is_found_as_if_each_was_asked(wanted: list[int]) -> None:
    tree = FirstFit([0] * len(wanted))
    for number, amount in enumerate(wanted):
        tree[number] = amount

    for least in range(-10, 14):
        for after in range(-1, len(wanted)):
            able = [number for number, amount in enumerate(wanted) if number > after and amount >= least]
            assert tree.first(least, after=after) == (able[0] if able else None)
