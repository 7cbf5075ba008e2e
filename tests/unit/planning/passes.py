"""What a pass comes to for one snapshot: tests of plans and of status begin with a snapshot."""

from __future__ import annotations

from tdredis.api.instance import InstanceStatus
from tdredis.planning import decide
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Snapshot


def plan(snapshot: Snapshot) -> Plan:
    return decide.plan(decide.assess(snapshot))


def report(snapshot: Snapshot, made: Plan, failure: str = "") -> InstanceStatus:
    return decide.report(decide.assess(snapshot), made, failure)
