"""Decides what status says of a RedisStandby or RedisStandalone."""

from __future__ import annotations

from tdredis.api.instance import InstanceStatus
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import ReplicationSnapshot


def report(snapshot: ReplicationSnapshot, made: Plan, failure: str = "") -> InstanceStatus:
    return InstanceStatus()
