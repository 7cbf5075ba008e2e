"""Decides which values of spec are effective now: a change that would hurt is held, and the previous value stays.

A held change never blocks the others, and ends when spec is edited back. Whether a change hurts is not decided while a
process that could contradict does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tdredis.api.rediscluster import RedisCluster, RedisClusterSpec
from tdredis.manifests.names import SHARDS
from tdredis.planning.desired import (
    Effective,
    HeldFields,
    capacity_change,
    hold_changes,
    replicas_change,
    volumes_change,
)
from tdredis.planning.engine_change import image_change
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import ClusterSnapshot
from tdredis.redis.facts import NodeFacts
from tdredis.redis.slots import ALL_SLOTS, parse_slots


def decide_effective(snapshot: ClusterSnapshot) -> Effective[RedisCluster]:
    """What of spec is effective at this snapshot."""
    # In this order: how much a shard gets depends on how many there are.
    return hold_changes(snapshot, snapshot.cluster, (_size, _capacity, _replicas, _volumes, image_change))


def recorded_size(record: Mapping[str, Sequence[str]]) -> int | None:
    """Number of shards of a cluster that was whole; None: there is no whole record."""
    try:
        slots = [parse_slots(ranges) for ranges in record.values()]
    except ValueError:
        return None
    return len(slots) if sum(map(len, slots)) == len(ALL_SLOTS) else None


def _recorded_size(snapshot: ClusterSnapshot) -> int | None:
    record = snapshot.cluster.status.slots
    return snapshot.memo.once("recorded size", (record,), lambda: recorded_size(record))


def _size(snapshot: ClusterSnapshot, spec: RedisClusterSpec) -> Iterator[HeldFields]:
    """The size of the record; before there is one, the size that the shards were made for, once slots may be owned."""
    size = _recorded_size(snapshot) or _size_begun(snapshot)
    if size is not None and size != spec.size:
        why = f"a cluster that has begun is not resharded by this version: write size: {size} again"
        yield {"size": size}, Hold(guard="size_is_unchanged", about="spec", why=why)


def _size_begun(snapshot: ClusterSnapshot) -> int | None:
    begun = any(
        not isinstance(node, NodeFacts) or (node.view and node.view.me.slots) for node in snapshot.nodes.values()
    )
    without_process = any(pod.ever_ran and name not in snapshot.nodes for name, pod in snapshot.pods.items())
    if not begun and not without_process:
        return None
    for ref in sorted(snapshot.children):
        size = snapshot.children[ref].meta.annotations.get(SHARDS) if ref.kind == "StatefulSet" else None
        if size is not None and size.isdecimal():
            return int(size)
    return None


def _capacity(snapshot: ClusterSnapshot, spec: RedisClusterSpec) -> Iterator[HeldFields]:
    has_begun = _recorded_size(snapshot) is not None
    pods = spec.size * spec.pods_per_shard
    return capacity_change(snapshot, spec, has_begun=has_begun, pods=pods, shards=spec.size)


def _replicas(snapshot: ClusterSnapshot, spec: RedisClusterSpec) -> Iterator[HeldFields]:
    views = [node.view for node in snapshot.nodes.values() if isinstance(node, NodeFacts) and node.view is not None]
    answered = {view.me.id for view in views}

    def may_go(node: NodeFacts) -> bool:
        """It is a replica, and not the candidate of a primary that is lost."""
        return node.view is not None and not node.view.me.slots and node.view.me.primary_id in answered

    return replicas_change(snapshot, spec.replicas, may_go=may_go)


def _volumes(snapshot: ClusterSnapshot, spec: RedisClusterSpec) -> Iterator[HeldFields]:
    return volumes_change(snapshot, spec, (f"{snapshot.cluster.name}-{index}" for index in range(spec.size)))
