"""A standalone that keeps its data nowhere else is recreated with another pod beside it, which has a copy meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tdredis.planning.handover import HANDOVER
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import Apply, Disconnect, Follow, PassOn, Promote, ReplacePod, Step, TakeBack
from tests.unit.planning.passes import edit, plan
from tests.unit.planning.simulated_standby import Redis, SimulatedStandby

OWN, BESIDE = "redis-standby-tom-0", "redis-standby-tom-1"
KEYS = 100
NEW = "redis:7.0.15"


def alone(**spec: object) -> SimulatedStandby:
    """A standalone that works, with data."""
    world = SimulatedStandby("RedisStandalone", **spec)
    world.converge()
    world.redis()[OWN].keys = KEYS
    return world


def image_of(world: SimulatedStandby, pod: str) -> str:
    return world.pods[pod].images["redis"]


def entrance(world: SimulatedStandby) -> str:
    """The pod to which the Service leads."""
    service: Any = world.children[Ref("Service", "redis-standby-tom")]
    return str(service["spec"]["selector"]["statefulset.kubernetes.io/pod-name"])


def roll(world: SimulatedStandby, *, passes: int = 80, interrupt_after: int | None = None) -> list[Step]:
    """Passes until the edit is carried out and nothing is left to do. At no time has no process that answers the data,
    nor does the Service lead to a primary without it.
    """
    done: list[Step] = []
    for _ in range(passes):
        made, count = world.run_pass(interrupt_after=interrupt_after)
        done += made.steps[:count]
        having = {name for name, redis in world.redis().items() if redis.keys == KEYS}
        assert having, made
        if entrance(world) in world.primaries():
            assert entrance(world) in having, "clients would find nothing, and write"
        if not count and made.verdict == "healthy" and set(world.pods) == {OWN}:
            return done
    raise AssertionError(f"the roll does not end: {made.verdict} {made.holds} {made.steps} {sorted(world.pods)}")


def what(steps: list[Step]) -> list[str]:
    """Steps that move data or clients, in their order."""
    return [type(each).__name__ for each in steps if isinstance(each, PassOn | ReplacePod | Promote | Disconnect)]


NOTHING_KEPT: dict[str, object] = {"storageclass": "fast", "config": {"appendonly": "no", "save": ""}}


@pytest.mark.parametrize("spec", [{}, NOTHING_KEPT], ids=["no volume", "nothing is written to it"])
def test_the_pod_beside_it_comes_first_and_goes_last(spec: dict[str, object]) -> None:
    world = alone(**spec)
    before = world.pods[OWN].uid
    edit(world, image=NEW)

    done = roll(world)

    assert image_of(world, OWN) == NEW
    assert world.pods[OWN].uid != before
    assert world.redis()[OWN].keys == KEYS
    assert entrance(world) == OWN
    assert what(done) == ["PassOn", "Disconnect", "ReplacePod", "PassOn", "Disconnect"]
    assert world.disconnected[-2:] == [OWN, BESIDE]


def test_the_service_leads_to_its_only_pod_before_anything_is_changed() -> None:
    """A pod that comes beside it is not to be found by clients, whatever happens to the operator then."""
    assert entrance(alone()) == OWN


def test_an_operator_that_dies_after_every_single_step_gets_there() -> None:
    world = alone()
    edit(world, image=NEW)

    roll(world, passes=300, interrupt_after=1)

    assert image_of(world, OWN) == NEW
    assert (world.redis()[OWN].keys, entrance(world)) == (KEYS, OWN)


@pytest.mark.parametrize("after", range(1, 16))
def test_an_edit_back_half_way_takes_back_what_was_done(after: int) -> None:
    world = alone()
    edit(world, image=NEW)
    for _ in range(after):
        world.run_pass()
    edit(world, image="redis:7.0")

    roll(world)

    assert image_of(world, OWN) == "redis:7.0"
    assert (world.redis()[OWN].keys, entrance(world)) == (KEYS, OWN)


@pytest.mark.parametrize("after", range(1, 16))
def test_whoever_comes_back_without_anything_does_not_empty_the_other(after: int) -> None:
    """The primary's pod is lost at any moment of it, with the data in it, when the other one has a copy."""
    world = alone()
    edit(world, image=NEW)
    for _ in range(after):
        world.run_pass()
    others = {name: redis for name, redis in world.redis().items() if redis.follows is not None and redis.keys == KEYS}
    if not others:
        return
    (primary,) = world.primaries()
    world.lose(primary)

    roll(world)

    assert world.redis()[OWN].keys == KEYS


def test_where_primaries_go_on_request_it_is_asked_to_hand_over_and_gets_its_data_back_by_itself() -> None:
    world = alone(rollout={"primaries": "onRequest"})
    edit(world, image=NEW)
    held = [world.run_pass()[0] for _ in range(20)][-1]
    assert "primaries_go_on_request" in {hold.guard for hold in held.holds}
    assert image_of(world, OWN) == "redis:7.0"

    world.resource["metadata"]["annotations"] = {HANDOVER: "now"}  # type: ignore[index, call-overload]
    roll(world)

    assert image_of(world, OWN) == NEW
    assert (world.redis()[OWN].keys, entrance(world)) == (KEYS, OWN)


def test_one_that_is_only_empty_is_not_replaced_as_the_primary() -> None:
    world = alone()
    world.redis()[OWN].keys = 0
    edit(world, image=NEW)

    steps = [step for _ in range(40) for step in world.run_pass()[0].steps]

    assert [type(step) for step in steps if isinstance(step, Promote)] == []
    assert image_of(world, OWN) == NEW
    assert set(world.pods) == {OWN}


def test_an_engine_that_cannot_hand_over_is_held() -> None:
    """Redis 6.0 does not know FAILOVER."""
    world = alone()
    world.version = "6.0.16"
    edit(world, image=NEW)

    plans = [world.run_pass()[0] for _ in range(6)]

    assert image_of(world, OWN) == "redis:7.0"
    assert "delete the pod yourself" in plans[-1].holds[0].why


def test_no_room_for_the_pod_beside_it_changes_nothing_and_the_edit_back_takes_it_away() -> None:
    world = alone()
    edit(world, image="no-such-redis:99")
    world.bad_images = {"no-such-redis:99"}
    plans = [world.run_pass()[0] for _ in range(12)]

    assert image_of(world, OWN) == "redis:7.0"
    assert [hold.guard for hold in plans[-1].holds] == ["copies_stay"]
    assert plans[-1].verdict == "healthy"

    edit(world, image="redis:7.0")
    roll(world)
    assert image_of(world, OWN) == "redis:7.0"


def at_the_handover() -> tuple[SimulatedStandby, Redis]:
    """One that was just told to hand over, and has not done it."""
    world = alone()
    edit(world, image=NEW)
    for _ in range(20):
        if any(isinstance(step, PassOn) for step in plan(world.snapshot()).steps):
            return world, world.redis()[OWN]
        world.run_pass()
    raise AssertionError("it does not hand over")


def test_one_that_hands_over_is_not_asked_again() -> None:
    world, primary = at_the_handover()
    primary.handing_over = True

    made = plan(world.snapshot())

    assert not [step for step in made.steps if not isinstance(step, Apply)]
    assert "handover_ends" in {hold.guard for hold in made.holds}


def test_a_handover_to_somebody_who_is_gone_is_taken_back() -> None:
    """The engine would try for ever, while its clients wait."""
    world, primary = at_the_handover()
    primary.handing_over, primary.follows = True, world.place(BESIDE)

    assert "handover_ends" in {hold.guard for hold in plan(world.snapshot()).holds}

    world.pods[BESIDE].stopped = True
    made = plan(world.snapshot())
    assert [type(step) for step in made.steps if not isinstance(step, Apply)] == [TakeBack]
    world.run_pass()
    assert world.primaries() == [OWN]


def test_a_primary_that_is_deleted_while_another_is_beside_it_hands_over() -> None:
    world, _ = at_the_handover()
    edit(world, image="redis:7.0")
    world.pods[OWN].deleting = True

    made = plan(world.snapshot())

    assert [step.candidate.pod for step in made.steps if isinstance(step, PassOn)] == [BESIDE]
    assert not [step for step in made.steps if isinstance(step, Follow)]
