"""Pods that spec wants anew wait for their turn among all resources; what heals does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tdredis.planning.decide import assess, plan
from tdredis.planning.plan import Hold
from tdredis.planning.rolling import Ask, Next, Replace, Yield
from tdredis.planning.snapshot import Turn
from tdredis.planning.steps import ReplacePod
from tdredis.planning.turn import wants_turn
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
KINDS = pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])
TAKEN = Turn(ours=False, others=3, limit=3)


def edited(make: Callable[..., World], **spec: object) -> World:
    """Whole, and its StatefulSets have a template that no pod has yet."""
    world = make(replicas=2, **spec)
    world.converge()
    world.resource["spec"] = {**world.resource["spec"], "image": "redis:7.0.15"}  # type: ignore[dict-item]
    world.run_pass()
    return world


@KINDS
def test_pods_are_recreated_when_it_is_their_turn(make: Callable[..., World]) -> None:
    world = edited(make)
    waiting, begun = (
        assess(replace(world.snapshot(), turn=turn)) for turn in (TAKEN, Turn(ours=True, others=2, limit=3))
    )

    assert plan(waiting).steps == ()
    assert [hold.guard for hold in plan(waiting).holds] == ["others_roll_first"]
    assert "3 other resources are being recreated, of 3 at once" in " ".join(each.sentence for each in waiting.pending)
    assert waiting.wants_turn
    assert [type(step) for step in plan(begun).steps] == [ReplacePod]
    assert begun.wants_turn


@KINDS
def test_what_breaks_is_healed_without_a_turn(make: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    world = edited(make)
    seen = world.snapshot
    monkeypatch.setattr(world, "snapshot", lambda: replace(seen(), turn=TAKEN))
    pod = next(name for name in sorted(world.pods) if not name.startswith("sentinel-"))
    uids = {name: each.uid for name, each in world.pods.items()}
    world.lose(pod)

    verdicts = [world.run_pass()[0].verdict for _ in range(80)]

    assert verdicts[0] == "degraded"
    assert verdicts[-1] == "healthy"
    assert [name for name, each in world.pods.items() if each.uid != uids[name]] == [pod]


@KINDS
@pytest.mark.parametrize("spec", [{"paused": True}, {"rollout": {"primaries": "onRequest"}}], ids=["paused", "asked"])
def test_who_waits_for_a_person_wants_none(make: Callable[..., World], spec: dict[str, object]) -> None:
    world = edited(make)
    world.resource["spec"] = {**world.resource["spec"], **spec}  # type: ignore[dict-item]
    for _ in range(80):
        world.run_pass()

    found = assess(replace(world.snapshot(), turn=TAKEN))

    assert found.pending
    assert not found.wants_turn


@KINDS
@pytest.mark.parametrize("spec", [{"paused": True}, {"capacity": -1}], ids=["paused", "invalid"])
def test_who_was_stopped_by_a_person_in_the_middle_is_not_waited_for(
    make: Callable[..., World], spec: dict[str, object]
) -> None:
    world = edited(make)
    world.lose(next(name for name in sorted(world.pods) if not name.startswith("sentinel-")))
    going_on = assess(world.snapshot())
    world.resource["spec"] = {**world.resource["spec"], **spec}  # type: ignore[dict-item]

    stopped = assess(world.snapshot())

    assert (going_on.wants_turn, going_on.is_stopped) == (True, False)
    assert (stopped.wants_turn, stopped.is_stopped) == (False, True)
    assert stopped.findings


@pytest.mark.parametrize(
    ("steps", "wants"),
    [
        ((), False),
        ((Replace(pod="a-0", why=""),), True),
        ((Yield(shard="a", primary="a-0", candidates=("a-1",), why=""),), True),
        ((Ask(shard="a", more=True, why=""),), True),
        ((Hold(guard="copies_are_whole", why=""),), True),
        ((Hold(guard="copies_stay", about="spec", why=""),), False),
        ((Hold(guard="primaries_go_on_request", why=""),), False),
        ((Hold(guard="primaries_go_in_window", why=""),), False),
    ],
)
def test_what_goes_on_by_itself_wants_a_turn(steps: tuple[Next, ...], wants: bool) -> None:
    assert wants_turn(steps) is wants
