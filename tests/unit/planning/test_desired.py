"""What of capacity is in force while a cluster is not whole yet."""

from __future__ import annotations

import pytest

from tests.unit.planning.simulated_cluster import SimulatedCluster

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
