"""What a pass does with views that were kept: it looks once while they show nothing to do; no step rests on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec import structs

from tdredis.planning.snapshot import ClusterSnapshot, Key, Snapshot
from tdredis.planning.steps import SetConfig
from tdredis.redis.facts import NodeFacts, Unknown
from tests.unit.controllers.test_loop import A_LONG_TIME_S, MINUTE_S, cluster
from tests.unit.controllers.world import World, most_in
from tests.unit.planning.simulated_cluster import SimulatedCluster

pytestmark = pytest.mark.looptime


class KeptViews:
    """Of a node that was not asked whom it knows a pass at peace is shown *kept*; any other pass asks everybody."""

    def __init__(self, world: World, kept: Callable[[Snapshot], dict[str, NodeFacts | Unknown]]) -> None:
        self.looks: list[tuple[float, bool]] = []  # when, and whether as at peace
        self._world = world
        self._kept = kept
        self._gather = world.observer.gather
        world.observer.gather = self.gather  # type: ignore[method-assign]

    async def gather(self, key: Key, *, at_peace: bool = False, is_urgent: bool = False) -> Snapshot | None:
        self.looks.append((self._world.now(), at_peace))
        seen = await self._gather(key, at_peace=at_peace, is_urgent=is_urgent)
        if not at_peace:
            return seen
        assert isinstance(seen, ClusterSnapshot)
        return replace(seen, views_are_kept=True, nodes={**seen.nodes, **self._kept(seen)})

    def after(self, since: float) -> list[bool]:
        return [at_peace for at, at_peace in self.looks if at >= since]


async def test_while_views_that_were_kept_show_nothing_to_do_each_pass_looks_once() -> None:
    world = cluster()
    views = KeptViews(world, lambda _seen: {})

    await world.run(A_LONG_TIME_S)

    assert views.looks[0][1] is False, "what was before is not known"
    assert all(views.after(MINUTE_S))
    assert most_in(14.9, [at for at, _ in views.looks if at > MINUTE_S]) == 1


async def test_no_step_rests_on_a_view_that_was_kept() -> None:
    """By an old view a node does not know another one yet, and would be introduced: everybody is asked first."""
    world = cluster()

    def old(seen: Snapshot) -> dict[str, NodeFacts | Unknown]:
        name, node = next(iter(seen.nodes.items()))
        assert isinstance(node, NodeFacts)
        assert node.view is not None
        return {name: structs.replace(node, view=replace(node.view, others={}))}

    views = KeptViews(world, old)

    await world.run(A_LONG_TIME_S)

    late = views.after(MINUTE_S)
    assert late[:4] == [True, False, True, False], "the second look is the same pass's"
    assert most_in(0.5, [at for at, _ in views.looks if at > MINUTE_S]) == 2
    assert (world.told, world.events) == ([], [])
    assert world.condition("Ready")["status"] == "True"


async def test_what_is_wrong_indeed_is_put_right_by_what_everybody_says() -> None:
    world = cluster()
    views = KeptViews(world, lambda _seen: {})
    async with world.running():
        world.queue.add(world.key)
        await asyncio.sleep(MINUTE_S)
        assert world.told == []
        began = world.now()

        assert isinstance(world.simulated, SimulatedCluster)
        node = next(node for node in world.simulated.nodes() if node.primary is None)
        node.maxmemory //= 2
        await asyncio.sleep(MINUTE_S / 2)

        assert [(type(step), at >= began) for at, step in world.told] == [(SetConfig, True)]
        told_at = world.told[0][0]
        before = [at_peace for at, at_peace in views.looks if began <= at <= told_at]
        assert before == [True, False], "one look at what was kept, one at everybody, and then the step"
