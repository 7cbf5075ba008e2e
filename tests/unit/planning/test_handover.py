"""A handover that somebody asks for by an annotation is carried out once for each value, whoever dies meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tdredis.planning.steps import FailOver, HandOver, Step
from tests.unit.planning.passes import edit
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby
from tests.unit.planning.test_rolls import KEYS, KINDS, Make, World, healthy, images, roles, roll


def ask(world: World, value: str | None) -> None:
    metadata: Any = world.resource["metadata"]
    metadata["annotations"] = {} if value is None else {"cache.tongdun.net/handover": value}


def passes(world: World, count: int = 14, *, interrupt_after: int | None = None) -> list[Step]:
    found: list[Step] = []
    for _ in range(count):
        made, done = world.run_pass(interrupt_after=interrupt_after)
        found += made.steps[:done]
    return found


def handovers(steps: list[Step]) -> int:
    return sum(isinstance(step, HandOver | FailOver) for step in steps)


def record(world: World) -> Any:
    status: Any = world.resource["status"]
    return status["handover"]


@KINDS
def test_the_pod_that_is_named_becomes_the_primary_and_stays_it(make: Make) -> None:
    world = healthy(make)
    shard, primary = min(roles(world).items())
    other = f"{shard}-1" if primary.endswith("-0") else f"{shard}-0"
    ask(world, other)

    done = passes(world)

    assert handovers(done) == 1
    assert roles(world)[shard] == other
    assert record(world) == {"asked": other, "primary": primary, "done": True}
    ask(world, primary)
    assert handovers(passes(world)) == 1
    assert roles(world)[shard] == primary
    ask(world, None)
    assert handovers(passes(world)) == 0


@KINDS
def test_whoever_is_the_primary_already_hands_over_to_nobody(make: Make) -> None:
    world = healthy(make)
    ask(world, min(roles(world).values()))

    assert handovers(passes(world)) == 0
    assert record(world)["done"] is True


def test_a_standby_hands_over_once_for_each_value_that_is_no_pod_s_name() -> None:
    world = healthy(SimulatedStandby, replicas=2)
    seen = [min(roles(world).values())]
    for value in ("now", "again"):
        ask(world, value)
        assert handovers(passes(world)) == 1
        seen.append(min(roles(world).values()))

    assert seen[0] != seen[1] != seen[2]


def test_nothing_is_done_before_status_says_who_was_the_primary() -> None:
    """Else an operator that dies behind the handover, before it writes that, would hand back."""
    world = healthy(SimulatedStandby)
    primary = min(roles(world).values())
    ask(world, "now")

    made, _ = world.run_pass()

    assert (made.steps, [hold.guard for hold in made.holds]) == ((), ["handover_is_recorded"])
    assert made.next_look_s <= 0.1
    assert record(world) == {"asked": "now", "primary": primary}


@KINDS
def test_an_operator_that_dies_after_every_step_hands_over_once(make: Make) -> None:
    world = healthy(make)
    shard, primary = min(roles(world).items())
    other = f"{shard}-1" if primary.endswith("-0") else f"{shard}-0"
    ask(world, other)
    world.run_pass()
    before = world.resource["status"]
    done = passes(world, 1, interrupt_after=1)
    world.resource["status"] = before  # it died before it wrote what came of it

    done += passes(world, 30, interrupt_after=1)

    assert handovers(done) == 1
    assert roles(world)[shard] == other


@KINDS
def test_it_waits_for_what_is_wrong(make: Make) -> None:
    world = healthy(make)
    shard, primary = min(roles(world).items())
    other = f"{shard}-1" if primary.endswith("-0") else f"{shard}-0"
    process: Any = world.pods[other].process
    process.silent = True
    ask(world, other)

    assert handovers(passes(world)) == 0
    process.silent = False
    assert handovers(passes(world)) == 1


@pytest.mark.parametrize(
    ("make", "spec", "value"),
    [(SimulatedCluster, {}, "now"), (SimulatedStandby, {"replicas": 2}, "redis-standby-tom-1")],
    ids=["no pod of a cluster", "a standby with a choice"],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write(make: Make, spec: dict[str, object], value: str) -> None:
    world = healthy(make, **spec)
    ask(world, value)

    done = passes(world, 4)
    made, _ = world.run_pass()

    assert handovers(done) == 0
    (hold,) = made.holds
    assert (hold.guard, hold.about) == ("handover_names_a_pod", "spec")


def test_a_standalone_has_nobody_to_hand_over_to_and_is_not_looked_at_all_the_time() -> None:
    world = SimulatedStandby("RedisStandalone", storageclass="fast")
    world.converge()
    ask(world, "now")

    passes(world, 3)
    made, _ = world.run_pass()

    (hold,) = made.holds
    assert (hold.guard, hold.about) == ("handover_names_a_pod", "spec")
    assert made.next_look_s > 1
    edit(world, image="redis:7.2")
    for _ in range(20):
        world.run_pass()
    assert images(world) == {"redis:7.2"}


@pytest.mark.parametrize(
    ("make", "value"),
    [(SimulatedCluster, "now"), (SimulatedStandby, "redis-standby-tom-1")],
    ids=["no pod of a cluster", "a standby with a choice"],
)
def test_one_that_cannot_be_meant_keeps_no_pod_from_being_recreated(make: Make, value: str) -> None:
    world = healthy(make, replicas=2)
    ask(world, value)
    edit(world, image="redis:7.2")

    roll(world)

    assert images(world) == {"redis:7.2"}


@KINDS
def test_it_comes_before_the_next_pod_of_a_roll(make: Make) -> None:
    world = healthy(make, storageclass="fast")
    shard, primary = min(roles(world).items())
    other = f"{shard}-1" if primary.endswith("-0") else f"{shard}-0"
    edit(world, image="redis:7.2")
    ask(world, other)

    done = passes(world, 4)

    assert handovers(done) == 1
    assert roles(world)[shard] == other
    roll(world)


WITHOUT_A_LEADER_S = 20.0  # longer than Sentinels take to demote who was replaced


@pytest.mark.parametrize("dies_after", [0, 1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("RedisStandby", {}),
        ("RedisStandby", {"replicas": 2}),
        ("RedisStandby", {"writePolicy": "consistency"}),
        ("RedisStandalone", {}),
    ],
    ids=["standby", "two replicas", "consistency", "standalone"],
)
def test_what_is_acknowledged_while_nobody_leads_is_there_afterwards(
    kind: str, spec: dict[str, object], dies_after: int
) -> None:
    """Clients stay connected to whoever was the primary; Sentinels demote it after eight seconds at the earliest."""
    world = SimulatedStandby(kind, **spec)
    world.converge()
    world.write(KEYS)
    if kind == "RedisStandby":
        ask(world, "now")
    else:
        edit(world, image="redis:7.0.15")
    acknowledged = 0

    def clients_write() -> int:
        # Nobody is sent to a new pod that is empty.
        taking = [pod for pod, redis in world.redis().items() if redis.keys and world.takes_writes(pod)]
        for pod in taking:
            world.write_through(pod)
        world.settle()  # a handover waits for the last of them: see test_run.py
        return len(taking)

    for _ in range(dies_after):
        passes(world, 1, interrupt_after=1)
        acknowledged += clients_write()
    for _ in range(int(WITHOUT_A_LEADER_S)):
        world.settle(1.0)
        acknowledged += clients_write()

    world.converge()

    assert acknowledged
    (primary,) = world.primaries()
    assert world.redis()[primary].keys == KEYS + acknowledged
    assert world.takes_writes(primary)
    wanted = int(spec.get("writePolicy") == "consistency")
    assert {name: redis.least for name, redis in world.redis().items()} == {
        name: wanted * (name == primary) for name in world.redis()
    }
