"""Who is told the user as whom an instance's processes log in to each other, and who not yet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tdredis.planning.snapshot import Snapshot
from tdredis.planning.steps import SetPeerUser
from tdredis.redis.facts import NodeFacts
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby


def told(snapshot: Snapshot, *, masteruser: str | None) -> list[str]:
    """Of pods whose processes all say that they log in as *masteruser*."""
    nodes: Any = {
        name: _with_user(facts, masteruser) if isinstance(facts, NodeFacts) else facts
        for name, facts in snapshot.nodes.items()
    }
    return [step.process.pod for step in plan(replace(snapshot, nodes=nodes)).steps if isinstance(step, SetPeerUser)]


def _with_user(facts: NodeFacts, masteruser: str | None) -> NodeFacts:
    fields = {name: getattr(facts, name) for name in facts.__struct_fields__}
    return NodeFacts(**{**fields, "masteruser": masteruser})


@pytest.mark.parametrize("world", [SimulatedCluster(), SimulatedStandby()], ids=["cluster", "standby"])
def test_processes_that_an_older_version_started_are_told_primaries_first(
    world: SimulatedCluster | SimulatedStandby,
) -> None:
    world.converge()
    snapshot = world.snapshot()
    primaries = {name for name, facts in snapshot.nodes.items() if facts.replication.role == "master"}  # type: ignore[union-attr]

    found = told(snapshot, masteruser="")

    assert set(found) == set(snapshot.nodes)
    assert set(found[: len(primaries)]) == primaries
    assert told(snapshot, masteruser=None) == [], "its version cannot say"


def test_a_node_that_began_anew_is_not_told_before_it_has_a_place() -> None:
    """Whoever still follows its address would empty itself after it."""
    world = SimulatedCluster()
    world.converge()
    owner = next(name for name, pod in world.pods.items() if pod.process and pod.process.slots)
    process = world.pods[owner].process
    assert process is not None
    slots, process.slots = process.slots, type(process.slots)(0)

    assert owner not in told(world.snapshot(), masteruser="")

    process.slots = slots
    assert owner in told(world.snapshot(), masteruser="")
