"""Decides which wishes in spec are carried out now: one that would hurt is held, and the old value stays in force.

A wish that is held never blocks the others, and taking it back ends the hold. Whether a wish hurts is not decided while
somebody who could contradict is silent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tdredis.api.instance import StorageSpec
from tdredis.api.json_object import JSONObject
from tdredis.api.rediscluster import RedisCluster, RedisClusterSpec
from tdredis.manifests.drift import parse_quantity
from tdredis.manifests.names import SHARDS
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import ClusterSnapshot, Ref
from tdredis.redis.facts import NodeFacts
from tdredis.redis.slots import ALL_SLOTS, parse_slots

MIB = 2**20
HEADROOM = 1.1  # a limit that leaves less than a tenth free would evict or refuse writes at once

Change = tuple[dict[str, Any], Hold]


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """*cluster* is the resource with the values in force in its spec; *holds* name the wishes put off."""

    cluster: RedisCluster
    holds: tuple[Hold, ...]


def decide_in_force(snapshot: ClusterSnapshot) -> InForce:
    """What of spec is in force at this snapshot."""
    spec = snapshot.cluster.spec
    holds: list[Hold] = []
    for decide in (_size, _capacity, _replicas, _volumes):
        # In this order: how much a shard gets depends on how many there are.
        for changes, hold in decide(snapshot, spec):
            spec = msgspec.structs.replace(spec, **changes)
            holds.append(hold)
    if snapshot.wished is not None and snapshot.passwords.redis != snapshot.wished.redis:
        why = "the password of a running cluster is not changed by this version: write the former secret again"
        holds.append(Hold(guard="password_is_unchanged", why=why))
    return InForce(cluster=msgspec.structs.replace(snapshot.cluster, spec=spec), holds=tuple(holds))


def recorded_size(record: Mapping[str, Sequence[str]]) -> int | None:
    """Number of shards of a cluster that was whole; None: there is no whole record."""
    try:
        slots = [parse_slots(ranges) for ranges in record.values()]
    except ValueError:
        return None
    return len(slots) if sum(map(len, slots)) == len(ALL_SLOTS) else None


def _size(snapshot: ClusterSnapshot, spec: RedisClusterSpec) -> Iterator[Change]:
    """The size of the record; before there is one, the size that the shards were made for, once slots may be owned."""
    size = recorded_size(snapshot.cluster.status.slots) or _size_begun(snapshot)
    if size is not None and size != spec.size:
        why = f"a cluster that has begun is not resharded by this version: write size: {size} again"
        yield {"size": size}, Hold(guard="size_is_unchanged", why=why)


def _size_begun(snapshot: ClusterSnapshot) -> int | None:
    begun = any(
        not isinstance(node, NodeFacts) or (node.view and node.view.me.slots) for node in snapshot.nodes.values()
    )
    unheard = any(pod.ever_ran and name not in snapshot.nodes for name, pod in snapshot.pods.items())
    if not begun and not unheard:
        return None
    for ref, live in sorted(snapshot.children.items()):
        size = _annotation(live, SHARDS) if ref.kind == "StatefulSet" else None
        if size is not None and size.isdecimal():
            return int(size)
    return None


def _annotation(live: JSONObject, name: str) -> str | None:
    match live.get("metadata"):
        case {"annotations": {**annotations}}:
            found = annotations.get(name)
            return found if isinstance(found, str) else None
        case _:
            return None


def _capacity(snapshot: ClusterSnapshot, spec: RedisClusterSpec) -> Iterator[Change]:
    """Less memory only when everybody has said that his data fits; more at any time."""
    before = snapshot.cluster.status.capacity
    is_less = spec.capacity and (before == 0 or spec.capacity < before)
    if recorded_size(snapshot.cluster.status.slots) is None or not is_less:
        return
    if not _all_answer(snapshot, spec):
        why = "memory is not taken away before every process has said how much it uses"
        yield {"capacity": before}, Hold(guard="used_memory_fits", why=why)
        return
    needed_mib = _needed_mib(snapshot)
    if spec.capacity // spec.size < needed_mib:
        why = (
            f"capacity {spec.capacity} gives each shard {spec.capacity // spec.size} MiB, too little for the data"
            f" of one of them and a tenth more: write capacity: {needed_mib * spec.size} or more"
        )
        yield {"capacity": before}, Hold(guard="used_memory_fits", why=why)


def _all_answer(snapshot: ClusterSnapshot, spec: RedisClusterSpec) -> bool:
    answers = [node for node in snapshot.nodes.values() if isinstance(node, NodeFacts)]
    return len(answers) == len(snapshot.nodes) == len(snapshot.pods) >= spec.size * spec.pods_per_shard


def _needed_mib(snapshot: ClusterSnapshot) -> int:
    """The maxmemory, in MiB, under which the data of every process fits. Rounded up to three digits of a binary number:
    a sentence in status must not change with every key that is written.
    """
    used = (node.used_memory_bytes for node in snapshot.nodes.values() if isinstance(node, NodeFacts))
    needed = max(1, math.ceil(max(used, default=0) * HEADROOM / MIB))
    grain = 1 << max(0, needed.bit_length() - 3)
    return math.ceil(needed / grain) * grain


def _replicas(snapshot: ClusterSnapshot, spec: RedisClusterSpec) -> Iterator[Change]:
    """A pod is removed when it answers as a replica, and never when it is a primary or says nothing."""
    kept = max((_ordinal(name) for name in snapshot.pods if not _may_go(snapshot, name, spec.replicas)), default=0)
    if kept > spec.replicas:
        why = (
            f"with replicas: {spec.replicas} a pod would be removed that is a primary or does not answer;"
            " its role must be with a lower pod first"
        )
        yield {"replicas": kept}, Hold(guard="no_primary_is_removed", why=why)


def _may_go(snapshot: ClusterSnapshot, pod: str, replicas: int) -> bool:
    if _ordinal(pod) <= replicas:
        return True
    node = snapshot.nodes.get(pod)
    if isinstance(node, NodeFacts) and node.view is not None:
        return node.view.me.is_replica and not node.view.me.slots
    return node is None and not snapshot.pods[pod].ever_ran


def _ordinal(pod: str) -> int:
    return int(pod.rpartition("-")[2])


def _volumes(snapshot: ClusterSnapshot, spec: RedisClusterSpec) -> Iterator[Change]:
    """Volumes are made with their pods, and stay as they were made."""
    claims = _claims(snapshot)
    if claims is None:
        return
    name, size = claims
    same_size = parse_quantity(size) == parse_quantity(spec.storage.size)  # the server writes 1024Gi as 1Ti
    if name == spec.storage_class and (not name or same_size):
        return
    again = f"storageclass: {name!r}" + (f" and storage.size: {size}" if name else "")
    why = f"the volumes of a running cluster are not changed by this version: write {again} again"
    storage = StorageSpec(size=size, retain=spec.storage.retain) if name else spec.storage
    yield {"storage_class": name, "storage": storage}, Hold(guard="volumes_are_unchanged", why=why)


def _claims(snapshot: ClusterSnapshot) -> tuple[str, str] | None:
    """Storage class and size that the pods have, both "" on an emptyDir; None: there is no StatefulSet yet."""
    live = snapshot.children.get(Ref("StatefulSet", f"{snapshot.cluster.name}-0"))
    spec = live.get("spec") if live else None
    if not isinstance(spec, dict):
        return None
    match spec.get("volumeClaimTemplates"):
        case [{"spec": {"storageClassName": str(name), "resources": {"requests": {"storage": str(size)}}}}]:
            return name, size
        case _:
            return "", ""
