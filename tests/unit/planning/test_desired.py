"""What of capacity is in force while a cluster is not whole yet, and where status was emptied."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.unit.planning.simulated_cluster import Node, SimulatedCluster
from tests.unit.planning.simulated_standby import Redis, SimulatedStandby

MIB = 2**20


def limits(world: SimulatedCluster) -> set[int]:
    """maxmemory of the processes, in MiB."""
    return {pod.process.maxmemory // MIB for pod in world.pods.values() if pod.process is not None}


def test_memory_stays_limited_in_a_cluster_that_was_never_ready() -> None:
    world = SimulatedCluster(capacity=384)
    world.unschedulable = {"redis-cluster-rat-2-1"}

    for _ in range(10):
        world.run_pass()

    assert world.cluster.status.size == 3
    assert limits(world) == {128}


@pytest.mark.parametrize(("capacity", "each"), [(96, 128), (768, 256)])
def test_more_is_given_to_it_and_less_only_when_everybody_has_answered(capacity: int, each: int) -> None:
    world = SimulatedCluster(capacity=384)
    world.unschedulable = {"redis-cluster-rat-2-1"}
    for _ in range(10):
        world.run_pass()
    world.resource["spec"]["capacity"] = capacity  # type: ignore[index, call-overload]

    for _ in range(5):
        world.run_pass()

    assert limits(world) == {each}
    world.unschedulable = set()
    world.lose("redis-cluster-rat-2-1")
    world.converge()
    assert world.cluster.status.capacity == capacity
    assert limits(world) == {capacity // 3}


@pytest.mark.parametrize("kind", ["RedisCluster", "RedisStandby", "RedisStandalone"])
@pytest.mark.parametrize("wanted", [60, 90])
def test_less_than_the_data_needs_is_not_given_where_status_was_emptied(kind: str, wanted: int) -> None:
    """maxmemory-policy is allkeys-lru: what does not fit would be gone. A backup restores no status."""
    world: SimulatedCluster | SimulatedStandby = (
        SimulatedCluster(capacity=300) if kind == "RedisCluster" else SimulatedStandby(kind, capacity=300)
    )
    world.converge()
    with_data(world)
    before = maxmemories(world)
    world.resource["spec"]["capacity"] = wanted  # type: ignore[index, call-overload]
    world.resource["status"] = {}
    world.operator_died()

    for _ in range(6):
        world.run_pass()
        assert maxmemories(world) == before

    accepted = next(each for each in world.snapshot().resource.status.conditions if each.type == "Accepted")
    assert accepted.reason == "used_memory_fits"
    world.resource["spec"]["capacity"] = 300  # type: ignore[index, call-overload]
    world.converge()
    assert maxmemories(world) == before


def processes(world: SimulatedCluster | SimulatedStandby) -> Iterable[Node | Redis]:
    return (pod.process for pod in world.pods.values() if isinstance(pod.process, Node | Redis))


def with_data(world: SimulatedCluster | SimulatedStandby) -> None:
    for process in processes(world):
        process.used_mib, process.keys = 90, 5


def maxmemories(world: SimulatedCluster | SimulatedStandby) -> set[int]:
    return {process.maxmemory for process in processes(world)}
