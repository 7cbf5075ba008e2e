"""The backlog of replication follows capacity in running processes, and not only in redis.conf."""

from __future__ import annotations

import pytest

from tests.unit.planning.simulated_cluster import Node, SimulatedCluster
from tests.unit.planning.simulated_standby import Redis, SimulatedStandby

MIB = 2**20


@pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])
def test_the_backlog_of_replication_follows_capacity_in_running_processes_too(
    make: type[SimulatedCluster] | type[SimulatedStandby],
) -> None:
    world = make(capacity=384)
    each = 3 if make is SimulatedCluster else 1
    world.converge()
    for process in redis_of(world):
        process.backlog = 384 // each // 16 * MIB
    assert world.run_pass()[1] == 0

    for capacity in (1536, 384):
        world.resource["spec"] = {**world.resource["spec"], "capacity": capacity}  # type: ignore[dict-item]
        world.converge()
        assert {process.backlog for process in redis_of(world)} == {capacity // each // 16 * MIB}

    for process in redis_of(world):
        process.backlog = 512 * MIB
    assert world.run_pass()[1] == 0, "more of it was set by hand"
    for process in redis_of(world):
        process.backlog = MIB
    world.converge()
    assert {process.backlog for process in redis_of(world)} == {384 // each // 16 * MIB}


def redis_of(world: SimulatedCluster | SimulatedStandby) -> list[Node | Redis]:
    return [pod.process for pod in world.pods.values() if isinstance(pod.process, Node | Redis)]
