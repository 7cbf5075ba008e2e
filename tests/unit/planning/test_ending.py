"""A process that writes its data only when it ends is given the time for that: the delete request says how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from msgspec import structs

from tdredis.planning.limits import MIB
from tdredis.planning.snapshot import Trouble
from tdredis.planning.steps import ReplacePod
from tdredis.redis.facts import NodeFacts
from tests.unit.planning.passes import edit, plan
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby
from tests.unit.planning.test_rolls import Make, World, healthy, of_redis

SNAPSHOTS: Mapping[str, object] = {"is_logged": False, "saves": True}
SAVED: Mapping[str, str] = {"appendonly": "no", "save": "60 1"}
GIB = 1024 * MIB
STANDALONE = pytest.param(partial(SimulatedStandby, "RedisStandalone"), {}, 30, id="standalone")
STANDBY = pytest.param(partial(SimulatedStandby, "RedisStandby"), {"replicas": 1}, 50, id="standby")
CLUSTER_0 = pytest.param(SimulatedCluster, {"replicas": 0}, 50, id="cluster-0")
CLUSTER_1 = pytest.param(SimulatedCluster, {"replicas": 1}, 50, id="cluster-1")
KINDS = pytest.mark.parametrize(("make", "spec", "own_s"), [STANDALONE, STANDBY, CLUSTER_0, CLUSTER_1])


def told(world: World, says: Mapping[str, object]) -> list[ReplacePod]:
    """Which pods a pass recreates, where every process *says* that of itself."""
    snapshot = world.snapshot()
    nodes = {
        name: structs.replace(node, **says) if isinstance(node, NodeFacts) else node
        for name, node in snapshot.nodes.items()
    }
    return [step for step in plan(replace(snapshot, nodes=nodes)).steps if isinstance(step, ReplacePod)]


def template_graces(world: World) -> set[int]:
    made: list[Any] = [live for ref, live in world.children.items() if ref.kind == "StatefulSet"]
    of_redis_pods = [live for live in made if not live["metadata"]["name"].startswith("sentinel-")]
    return {live["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] for live in of_redis_pods}


@KINDS
@pytest.mark.parametrize(("memory", "more_s"), [(GIB, 103), (20 * GIB, 2048), (MIB, 1), (0, 0)])
def test_a_snapshot_of_much_memory_has_time_to_be_written(
    make: Make, spec: dict[str, object], own_s: int, memory: int, more_s: int
) -> None:
    world = healthy(make, storageclass="fast", config=SAVED, **spec)
    edit(world, image="redis:7.2")
    world.run_pass()

    gone = told(world, {**SNAPSHOTS, "used_memory_bytes": memory})

    assert gone
    assert {step.grace_s for step in gone} == {own_s + more_s}


@KINDS
@pytest.mark.parametrize(
    "kept",
    [
        ("fast", {}, {"is_logged": True, "saves": False}),
        ("fast", {"save": "60 1"}, {"is_logged": True, "saves": True}),  # its append-only file has all
        ("fast", {**SAVED, "save": ""}, {"is_logged": False, "saves": False}),
        ("", SAVED, SNAPSHOTS),  # the snapshot would go with the pod
    ],
    ids=["logged", "both", "neither", "no volume"],
)
def test_whoever_has_nothing_to_write_is_not_waited_for_longer(
    make: Make, spec: dict[str, object], own_s: int, kept: tuple[str, dict[str, str], Mapping[str, object]]
) -> None:
    storage, config, says = kept
    world = healthy(make, config=config, **({"storageclass": storage} if storage else {}), **spec)
    edit(world, image="redis:7.2")
    world.run_pass()

    gone = told(world, {**says, "used_memory_bytes": GIB})

    assert gone or not says["is_logged"]
    assert {step.grace_s for step in gone} <= {None}, f"the pod's own {own_s} s are enough"


@pytest.mark.parametrize(("make", "spec", "own_s"), [STANDALONE, STANDBY, CLUSTER_1])
def test_a_pod_whose_exporter_fails_is_given_the_time_as_well(make: Make, spec: dict[str, object], own_s: int) -> None:
    world = healthy(make, storageclass="fast", config=SAVED, monitorimage="exporter:1", **spec)
    for name in of_redis(world):
        world.pods[name].trouble = Trouble(reason="CrashLoopBackOff", message="the exporter fails")
    edit(world, monitorimage="exporter:2")
    gone: list[ReplacePod] = []
    for _ in range(12):
        gone = told(world, {**SNAPSHOTS, "used_memory_bytes": GIB})
        if gone:
            break
        world.run_pass()

    assert {step.grace_s for step in gone} == {own_s + 103}


@KINDS
def test_no_template_has_another_grace(make: Make, spec: dict[str, object], own_s: int) -> None:
    """It would recreate the pods of every instance."""
    assert template_graces(healthy(make, storageclass="fast", config=SAVED, **spec)) == {own_s}
