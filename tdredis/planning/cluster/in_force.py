"""Decides which wishes in spec are carried out now: one that would hurt is held, and the old value stays in force.

A wish that is held never blocks the others, and taking it back ends the hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tdredis.api.rediscluster import RedisCluster, StorageSpec
from tdredis.manifests.names import shard_names
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import ClusterSnapshot, Ref
from tdredis.redis.facts import NodeFacts
from tdredis.redis.slots import ALL_SLOTS, parse_slots

MIB = 2**20
HEADROOM = 1.1  # a limit that leaves less than a tenth free would evict or refuse writes at once


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """*cluster* is the resource with the values in force in its spec; *holds* name the wishes put off."""

    cluster: RedisCluster
    holds: tuple[Hold, ...]


def decide_in_force(snapshot: ClusterSnapshot) -> InForce:
    """What of spec is in force at this snapshot."""
    spec = snapshot.cluster.spec
    changes: dict[str, Any] = {}
    holds: list[Hold] = []
    recorded = _recorded_size(snapshot.cluster.status.slots)
    if recorded is not None and recorded != spec.size:
        changes["size"] = recorded
        holds.append(
            Hold(
                guard="size_is_unchanged",
                why=f"a cluster that holds data is not resharded by this version: write size: {recorded} again",
            )
        )
    size = changes.get("size", spec.size)
    needed_mib = _needed_mib(snapshot)
    if spec.capacity and recorded is not None and spec.capacity // size < needed_mib:
        changes["capacity"] = snapshot.cluster.status.capacity
        holds.append(
            Hold(
                guard="used_memory_fits",
                why=f"capacity {spec.capacity} gives each shard {spec.capacity // size} MiB, but one of them"
                f" needs {needed_mib} MiB for its data and a tenth more: write capacity: {needed_mib * size} or more",
            )
        )
    least = _highest_owner_ordinal(snapshot)
    if spec.replicas < least:
        changes["replicas"] = least
        holds.append(
            Hold(
                guard="no_primary_is_removed",
                why=f"with replicas: {spec.replicas} a pod that is a primary would be removed;"
                " its role must move to a lower pod first",
            )
        )
    if snapshot.passwords.redis != spec.secret:
        holds.append(
            Hold(
                guard="password_is_unchanged",
                why="the password of a running cluster is not changed by this version: write the former secret again",
            )
        )
    claims = _claims(snapshot)
    if claims is not None and claims != (spec.storage_class, spec.storage.size if spec.storage_class else ""):
        changes["storage_class"], size_of_old = claims
        changes["storage"] = StorageSpec(size=size_of_old) if size_of_old else spec.storage
        holds.append(
            Hold(
                guard="volumes_are_unchanged",
                why="the volumes of a running cluster are not changed by this version: write"
                f" storageclass: {claims[0]!r}" + (f" and storage.size: {claims[1]}" if claims[1] else "") + " again",
            )
        )
    spec = msgspec.structs.replace(spec, **changes) if changes else spec
    return InForce(cluster=msgspec.structs.replace(snapshot.cluster, spec=spec), holds=tuple(holds))


def _recorded_size(record: Mapping[str, Sequence[str]]) -> int | None:
    """Number of shards of a cluster that was whole; None: there is no whole record."""
    try:
        slots = [parse_slots(ranges) for ranges in record.values()]
    except ValueError:
        return None
    return len(slots) if sum(map(len, slots)) == len(ALL_SLOTS) else None


def _claims(snapshot: ClusterSnapshot) -> tuple[str, str] | None:
    """Storage class and size that the pods have, both "" on an emptyDir; None: there is no StatefulSet yet."""
    live = snapshot.children.get(Ref("StatefulSet", shard_names(snapshot.cluster)[0]))
    spec = live.get("spec") if live else None
    if not isinstance(spec, dict):
        return None
    match spec.get("volumeClaimTemplates"):
        case [{"spec": {"storageClassName": str(name), "resources": {"requests": {"storage": str(size)}}}}]:
            return name, size
        case _:
            return "", ""


def _needed_mib(snapshot: ClusterSnapshot) -> int:
    """The least maxmemory, in MiB, under which the data of every process that answered still fits."""
    used = (node.used_memory_bytes for node in snapshot.nodes.values() if isinstance(node, NodeFacts))
    return math.ceil(max(used, default=0) * HEADROOM / MIB)


def _highest_owner_ordinal(snapshot: ClusterSnapshot) -> int:
    """The highest ordinal of a pod that owns slots; 0 if nobody does."""
    ordinals = (
        int(pod.rpartition("-")[2])
        for pod, node in snapshot.nodes.items()
        if isinstance(node, NodeFacts) and node.view is not None and node.view.me.slots
    )
    return max(ordinals, default=0)
