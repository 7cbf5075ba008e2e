"""A pass grows with the nodes of a cluster, not with their square: counted in calls, which no load changes."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from bench.passes import World

SMALL, LARGE = 40, 120


async def calls_per_node(nodes: int) -> float:
    world = World(nodes)
    await world.converge()
    await world.timed_pass()
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        await world.run_pass()
    finally:
        sys.setprofile(None)
    return calls / nodes


async def test_a_pass_in_which_nothing_is_to_be_done_grows_with_the_nodes() -> None:
    assert await calls_per_node(LARGE) < 1.2 * await calls_per_node(SMALL)
