"""How many keys go in a call, and when nodes are given a rest."""

from __future__ import annotations

import asyncio

import pytest

from tdredis.movers.pace import FAST, GENTLE, LEAST_KEYS, MOST_KEYS, Pacer


def test_calls_that_take_too_long_get_smaller_and_short_ones_larger_again() -> None:
    pacer = Pacer(GENTLE)

    for _ in range(30):
        pacer.moved(pacer.keys, GENTLE.hold_s * 2)
    least = pacer.keys
    for _ in range(100):
        pacer.moved(pacer.keys, GENTLE.hold_s / 2)

    assert (least, pacer.keys) == (LEAST_KEYS, MOST_KEYS)


def test_a_slot_with_few_keys_says_nothing_of_larger_calls() -> None:
    pacer = Pacer(GENTLE)
    before = pacer.keys

    pacer.moved(3, GENTLE.hold_s / 10)

    assert pacer.keys == before


@pytest.mark.looptime
async def test_a_late_ping_is_answered_by_a_rest_of_its_length_and_smaller_writes_until_none_is_late() -> None:
    pacer = Pacer(GENTLE)
    loop = asyncio.get_running_loop()
    pacer.heard(0.030)
    began_at = loop.time()

    await pacer.rest()

    assert loop.time() - began_at == pytest.approx(0.030)
    assert pacer.settings == GENTLE.settings // 2
    for _ in range(10):
        pacer.heard(0.001)
        await pacer.rest()
    assert loop.time() - began_at == pytest.approx(0.030)
    assert pacer.settings == GENTLE.settings


@pytest.mark.looptime
async def test_the_gentle_pace_leaves_nodes_alone_for_as_long_as_it_kept_them_busy_the_fast_one_does_not() -> None:
    loop = asyncio.get_running_loop()
    began_at = loop.time()

    gentle, fast = Pacer(GENTLE), Pacer(FAST)
    for _ in range(10):
        await gentle.kept_busy(0.001)
        await fast.kept_busy(0.001)

    assert loop.time() - began_at == pytest.approx(0.010)


async def test_the_fast_pace_hears_no_pings() -> None:
    pacer = Pacer(FAST)
    pacer.heard(1.0)

    async with asyncio.timeout(0.5), pacer.listening(()):
        await pacer.rest()

    assert pacer.settings == FAST.settings
