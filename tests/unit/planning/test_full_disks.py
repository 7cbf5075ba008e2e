"""A disk that takes nothing more: it is named, its primary hands over once to who has room, and all heals by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tdredis.planning.disks import FAILED_LATELY_S
from tdredis.planning.plan import Plan
from tdredis.planning.steps import ConfigureMonitor, FailOver, HandOver, Monitor, SetAuthPass
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_cluster import Node, SimulatedCluster
from tests.unit.planning.simulated_standby import Redis, SimulatedStandby

World = SimulatedCluster | SimulatedStandby
ERROR = "aof_last_write_status:err"


def cluster(**spec: object) -> SimulatedCluster:
    return SimulatedCluster(**spec)


def standby(**spec: object) -> SimulatedStandby:
    return SimulatedStandby("RedisStandby", **spec)


KINDS = pytest.mark.parametrize("make", [cluster, standby], ids=["cluster", "standby"])


def healthy(make: Callable[..., World], **spec: object) -> World:
    world = make(**spec)
    world.converge()
    return world


def pods_of(world: World) -> tuple[str, str]:
    """The primary of the (first) shard and its replica."""
    name = "redis-cluster-rat-0" if isinstance(world, SimulatedCluster) else "redis-standby-tom"
    return f"{name}-0", f"{name}-1"


def process(world: World, pod: str) -> Node | Redis:
    found = world.pods[pod].process
    assert isinstance(found, Node | Redis)
    return found


def fill(world: World, *pods: str) -> None:
    for pod in pods:
        process(world, pod).write_error = ERROR


def empty(world: World, *pods: str) -> None:
    for pod in pods:
        process(world, pod).write_error = ""


def passes(world: World, count: int = 20) -> list[Plan]:
    return [world.run_pass()[0] for _ in range(count)]


def handovers(plans: list[Plan]) -> list[str]:
    return [str(step) for each in plans for step in each.steps if isinstance(step, HandOver | FailOver)]


def is_primary(world: World, pod: str) -> bool:
    found = process(world, pod)
    return bool(found.slots) if isinstance(found, Node) else found.follows is None


def ready(world: World) -> tuple[str, str, str]:
    """Status, reason and message."""
    conditions = world.resource["status"]["conditions"]  # type: ignore[index, call-overload]
    found = next(each for each in conditions if each["type"] == "Ready")  # type: ignore[index, call-overload, union-attr]
    return found["status"], found["reason"], found["message"]  # type: ignore[index, call-overload, return-value]


@KINDS
@pytest.mark.parametrize(
    ("spec", "disk"),
    [({}, "the disk of node node-1"), ({"storageclass": "fast"}, "the volume of claim redis-data-")],
    ids=["emptyDir", "volume"],
)
def test_it_is_named_and_handed_over_once(make: Callable[..., World], spec: dict[str, object], disk: str) -> None:
    world = healthy(make, **spec)
    primary, replica = pods_of(world)
    fill(world, primary)

    made, _ = world.run_pass()
    status, reason, message = ready(world)
    assert (status, reason) == ("False", "DiskFull")
    assert f"{primary} cannot write to its disk ({ERROR}) and refuses writes (MISCONF)" in message
    assert disk in message

    plans = [made, *passes(world)]
    assert len(handovers(plans)) == 1
    assert is_primary(world, replica)
    status, reason, message = ready(world)
    assert (status, reason) == ("False", "DiskFull")
    assert "refuses writes" not in message

    empty(world, primary)
    world.converge()
    assert ready(world)[0] == "True"


@KINDS
def test_where_every_disk_is_full_nobody_hands_over_and_room_heals(make: Callable[..., World]) -> None:
    world = healthy(make)
    primary, replica = pods_of(world)
    fill(world, primary, replica)

    plans = passes(world)

    assert handovers(plans) == []
    assert "a_candidate_has_room" in {hold.guard for each in plans for hold in each.holds}
    assert ready(world)[:2] == ("False", "DiskFull")
    empty(world, primary, replica)
    world.converge()
    assert ready(world)[0] == "True"
    assert is_primary(world, primary)


@KINDS
def test_disks_that_fill_in_turns_do_not_hand_the_primary_to_and_fro(make: Callable[..., World]) -> None:
    world = healthy(make)
    primary, replica = pods_of(world)
    fill(world, primary)
    plans = passes(world)
    for _ in range(4):
        empty(world, primary)
        fill(world, replica)
        plans += passes(world, 5)
        empty(world, replica)
        fill(world, primary)
        plans += passes(world, 5)

    assert len(handovers(plans)) == 1

    empty(world, primary)
    fill(world, replica)
    world.now += FAILED_LATELY_S + 1
    assert len(handovers(passes(world, 5))) == 1, "it has had room for long by now"


@KINDS
def test_a_process_that_ended_because_of_its_disk_is_named_too(make: Callable[..., World]) -> None:
    world = healthy(make)
    primary, _ = pods_of(world)
    fill(world, primary)
    passes(world)
    world.pods[primary].stopped = True

    world.run_pass()

    assert f"{primary} cannot write to its disk (when it last answered)" in ready(world)[2]


def test_of_two_replicas_the_one_with_room_takes_over() -> None:
    world = healthy(standby, replicas=2)
    first, second, third = (f"redis-standby-tom-{number}" for number in range(3))
    fill(world, second)
    passes(world)
    fill(world, first)

    passes(world)

    assert is_primary(world, third)


def test_sentinels_are_not_told_a_password_for_a_full_disk_and_watch_on_as_they_were() -> None:
    world = healthy(standby)
    primary, replica = pods_of(world)
    fill(world, primary, replica)

    plans = passes(world)

    assert not [
        step for each in plans for step in each.steps if isinstance(step, SetAuthPass | Monitor | ConfigureMonitor)
    ]


def test_nor_a_moment_after_there_is_room_again() -> None:
    """Sentinels send a PING every second: what the last one got may be older than the room."""
    world = healthy(standby)
    assert isinstance(world, SimulatedStandby)
    primary, replica = pods_of(world)
    fill(world, primary, replica)
    passes(world)
    empty(world, primary, replica)
    for sentinel in world.sentinels().values():
        sentinel.watched["mymaster"].shut_out = True  # as it looks to them

    made = plan(world.snapshot())

    assert not [step for step in made.steps if isinstance(step, SetAuthPass)]


@KINDS
@pytest.mark.parametrize(
    ("spec", "edit", "disk"),
    [
        ({}, "fast", "the disk of node node-1, on which its emptyDir is,"),
        ({"storageclass": "fast"}, "", "the volume of claim redis-data-"),
    ],
    ids=["emptyDir", "volume"],
)
def test_an_edit_of_storageclass_moves_no_data_and_the_disk_is_called_what_it_is(
    make: Callable[..., World], spec: dict[str, object], edit: str, disk: str
) -> None:
    world = healthy(make, **spec)
    primary, _ = pods_of(world)
    world.resource["spec"] = {**world.resource["spec"], "storageclass": edit}  # type: ignore[dict-item]
    fill(world, primary)

    world.run_pass()

    assert disk in ready(world)[2]
