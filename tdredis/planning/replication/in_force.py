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
from tdredis.planning.wishes import all_answer, needed_mib, password_hold, volumes_wish
from tdredis.redis.facts import NodeFacts

Change = tuple[dict[str, Any], Hold]


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
    """Less memory only when everybody has said that his data fits; more at any time."""
    before = snapshot.instance.status.capacity
    is_less = spec.capacity and (before == 0 or spec.capacity < before)
    if not has_been_ready(snapshot.instance.status) or not is_less:
        return
    if not all_answer(snapshot, pods_per_statefulset(snapshot.instance)):
        why = "memory is not taken away before every process has said how much it uses"
        yield {"capacity": before}, Hold(guard="used_memory_fits", why=why)
        return
    needed = needed_mib(snapshot)
    if spec.capacity < needed:
        why = (
            f"capacity {spec.capacity} is too little for the data that is there and a tenth more:"
            f" write capacity: {needed} or more"
        )
        yield {"capacity": before}, Hold(guard="used_memory_fits", why=why)


def _replicas(snapshot: ReplicationSnapshot, spec: InstanceSpec) -> Iterator[Change]:
    """A pod is removed when it answers as a replica, and never when it is a primary or says nothing."""
    if not isinstance(spec, RedisStandbySpec):
        return
    kept = max((_ordinal(pod) for pod in snapshot.pods if not _may_go(snapshot, pod, spec.replicas)), default=0)
    if kept > spec.replicas:
        why = (
            f"with replicas: {spec.replicas} a pod would be removed that is the primary or does not answer;"
            " its role must be with a lower pod first"
        )
        yield {"replicas": kept}, Hold(guard="no_primary_is_removed", why=why)


def _may_go(snapshot: ReplicationSnapshot, pod: str, replicas: int) -> bool:
    if _ordinal(pod) <= replicas:
        return True
    node = snapshot.nodes.get(pod)
    if isinstance(node, NodeFacts):
        return node.replication.role == "slave" and snapshot.instance.status.shards[:1] != ()
    return node is None and not snapshot.pods[pod].ever_ran


def _ordinal(pod: str) -> int:
    return int(pod.rpartition("-")[2])


def _volumes(snapshot: ReplicationSnapshot, spec: InstanceSpec) -> Iterator[Change]:
    found = volumes_wish(snapshot, spec, snapshot.instance.name)
    if found is not None:
        name, storage, hold = found
        yield {"storage_class": name, "storage": storage}, hold
