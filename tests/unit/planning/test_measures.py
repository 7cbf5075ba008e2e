"""Claims about numbers that wake people: what never served lacks nothing yet, and what did lacks all that is gone."""

from __future__ import annotations

from typing import Any

import pytest

from tdredis.planning.decide import assess, plan, report
from tdredis.planning.measures import SLOTS, Measures, measure
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

Simulated = SimulatedCluster | SimulatedStandby


def measured(simulated: Simulated) -> Measures:
    assessment = assess(simulated.snapshot())
    made = plan(assessment)
    return measure(assessment, made, report(assessment, made))


def is_ready(found: Measures) -> bool:
    return dict(found.conditions)["Ready"]


@pytest.mark.parametrize("lacks_room", ["-0-0", "-1-0", "-1-1", "-", "-0"])
@pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby, lambda: SimulatedStandby("RedisStandalone")])
def test_what_never_served_lacks_neither_a_primary_nor_slots(make: Any, lacks_room: str) -> None:
    """No node has room for some of its pods, or for any."""
    simulated: Simulated = make()
    name = str(simulated.snapshot().resource.metadata.name)
    of_cluster = [f"{name}-{shard}-{pod}" for shard in range(3) for pod in range(2)]
    pods = of_cluster if isinstance(simulated, SimulatedCluster) else [f"{name}-0", f"{name}-1"]
    simulated.unschedulable = {pod for pod in pods if lacks_room in pod.removeprefix(name)}
    for _ in range(20):
        simulated.run_pass()
        found = measured(simulated)

        assert found.without_primary == 0
        assert found.slots_uncovered == (0 if isinstance(simulated, SimulatedCluster) else None)
        assert not is_ready(found) or not simulated.unschedulable


def test_a_shard_that_owns_nothing_yet_lacks_no_primary() -> None:
    simulated = SimulatedCluster(size=3)
    simulated.converge()
    resource: Any = simulated.resource
    resource["spec"]["size"] = 4
    resource["metadata"]["generation"] += 1
    simulated.unschedulable = {f"redis-cluster-rat-3-{pod}" for pod in range(2)}
    for _ in range(20):
        simulated.run_pass()
        assert (measured(simulated).without_primary, measured(simulated).slots_uncovered) == (0, 0)
    assert measured(simulated).shards == 4


def test_a_shard_whose_pods_are_gone_lacks_its_primary_and_its_slots() -> None:
    simulated = SimulatedCluster()
    simulated.converge()
    lost = sum(len(node.slots) for node in simulated.nodes() if node is simulated.pods["redis-cluster-rat-1-0"].process)
    for pod in ("redis-cluster-rat-1-0", "redis-cluster-rat-1-1"):
        simulated.pods[pod].stopped = True
    found = measured(simulated)

    assert found.without_primary == 1
    assert found.slots_uncovered is not None
    assert found.slots_uncovered >= lost >= SLOTS // 4


@pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby, lambda: SimulatedStandby("RedisStandalone")])
def test_what_served_and_is_all_gone_lacks_everything_pass_after_pass(make: Any) -> None:
    simulated: Simulated = make()
    simulated.converge()
    for pod in simulated.pods.values():
        pod.stopped = True
    shards = measured(simulated).shards
    for _ in range(3):
        found = measured(simulated)
        assert found.without_primary == found.shards == shards >= 1
        assert found.slots_uncovered == (SLOTS if isinstance(simulated, SimulatedCluster) else None)
        simulated.run_pass()
        for each in simulated.pods.values():
            each.stopped = True
