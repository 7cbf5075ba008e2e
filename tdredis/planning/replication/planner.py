"""Decides the plan of a RedisStandby or RedisStandalone: the rules asked in order, up to the first barrier."""

from __future__ import annotations

from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.snapshot import ReplicationSnapshot


def plan(snapshot: ReplicationSnapshot) -> Plan:
    return Plan(verdict=Verdict.FORMING)
