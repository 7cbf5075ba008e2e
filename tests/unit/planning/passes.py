"""What a pass comes to for one snapshot: tests of plans and of status begin with a snapshot."""

from __future__ import annotations

from typing import Any

from tdredis.api.instance import InstanceStatus
from tdredis.planning import decide
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Snapshot
from tests.unit.planning.simulated_kubernetes import SimulatedKubernetes

# By the API server: whether one is about what was asked for.
REFUSALS = (("403 Forbidden", True), ("422 Invalid", True), ("409 Conflict", False), ("503 ServiceUnavailable", False))


def plan(snapshot: Snapshot) -> Plan:
    return decide.plan(decide.assess(snapshot))


def report(snapshot: Snapshot, made: Plan, failure: str = "") -> InstanceStatus:
    return decide.report(decide.assess(snapshot), made, failure)


def edit(world: SimulatedKubernetes[Any], **spec: object) -> None:
    world.resource["spec"] = {**world.resource["spec"], **spec}  # type: ignore[dict-item]
