"""Decides which wishes in spec are carried out now: one that would hurt is held, and the old value stays in force.

A wish that is held never blocks the others, and taking it back ends the hold. Whether a wish hurts is not decided while
somebody who could contradict is silent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from tdredis.api.instance import InstanceSpec
from tdredis.api.redisstandby import RedisStandbySpec
from tdredis.manifests.names import pods_per_statefulset
from tdredis.planning.conditions import has_been_ready
from tdredis.planning.plan import Hold
from tdredis.planning.replication.picture import Replicated
from tdredis.planning.snapshot import ReplicationSnapshot
from tdredis.planning.wishes import Change, capacity_wish, password_hold, replicas_wish, volumes_wish
from tdredis.redis.facts import NodeFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """*instance* is the resource with the values in force in its spec; *holds* name the wishes put off."""

    instance: Replicated
    holds: tuple[Hold, ...]


def decide_in_force(snapshot: ReplicationSnapshot) -> InForce:
    """What of spec is in force at this snapshot."""
    spec: Any = snapshot.instance.spec
    holds: list[Hold] = []
    for decide in (_capacity, _replicas, _volumes):
        for changes, hold in decide(snapshot, spec):
            spec = msgspec.structs.replace(spec, **changes)
            holds.append(hold)
    instance = msgspec.structs.replace(snapshot.instance, spec=spec)
    return InForce(instance=instance, holds=(*holds, *password_hold(snapshot)))


def _capacity(snapshot: ReplicationSnapshot, spec: InstanceSpec) -> Iterator[Change]:
    has_begun = has_been_ready(snapshot.instance.status)
    return capacity_wish(snapshot, spec, has_begun=has_begun, pods=pods_per_statefulset(snapshot.instance))


def _replicas(snapshot: ReplicationSnapshot, spec: InstanceSpec) -> Iterator[Change]:
    if not isinstance(spec, RedisStandbySpec):
        return iter(())
    # A primary that came back is a replica of nobody until it is told, and may have the newest data: as long as nobody
    # is the primary, everybody may be the one.
    nodes = snapshot.nodes.values()
    there_is_one = any(isinstance(node, NodeFacts) and node.replication.role == "master" for node in nodes)
    return replicas_wish(snapshot, spec.replicas, may_go=lambda node: there_is_one and node.replication.role == "slave")


def _volumes(snapshot: ReplicationSnapshot, spec: InstanceSpec) -> Iterator[Change]:
    return volumes_wish(snapshot, spec, snapshot.instance.name)
