"""Decides which values of spec are effective now: a change that would hurt is held, and the previous value stays.

A held change never blocks the others, and ends when spec is edited back. Whether a change hurts is not decided while a
process that could contradict does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tdredis.api.rediscluster import RedisCluster, RedisClusterSpec
from tdredis.planning.change import HeldFields
from tdredis.planning.cluster.proxy_rollback import proxies_back
from tdredis.planning.cluster.scale import Scale, is_recorded, scaled_spec, size_begun, size_of_volumes
from tdredis.planning.desired import (
    Effective,
    capacity_change,
    has_keys,
    hold_changes,
    replicas_change,
    volumes_change,
)
from tdredis.planning.engine_change import image_change
from tdredis.planning.plan import Hold
from tdredis.planning.sizing import written_maxmemory_mib
from tdredis.planning.snapshot import ClusterSnapshot
from tdredis.redis.facts import NodeFacts


def decide_effective(snapshot: ClusterSnapshot, scale: Scale | None) -> Effective[RedisCluster]:
    """What of spec is effective at this snapshot, in which there are as many shards as *scale* says."""
    spec = scaled_spec(snapshot, scale) if scale is not None else snapshot.cluster.spec
    size = partial(_size, scale=scale)
    # In this order: how much a shard gets depends on how many there are.
    return hold_changes(
        snapshot, snapshot.cluster, (size, _capacity, _replicas, _volumes, image_change, proxies_back), spec=spec
    )


def _size(snapshot: ClusterSnapshot, spec: RedisClusterSpec, *, scale: Scale | None) -> Iterator[HeldFields]:
    """More shards than spec wants, where those that are to go have to stay; before the cluster is whole, the size that
    its shards were made for, once slots may be owned.
    """
    if scale is not None:
        if scale.hold is not None:
            yield {"size": scale.size}, scale.hold
        return
    size = size_begun(snapshot)
    if size is not None and size != spec.size:
        why = f"the cluster is put together with {size} shards first, and gets others when all slots have an owner"
        if size == size_of_volumes(snapshot):
            why = (
                f"an earlier cluster of this name left volumes of {size} shards, and slots are missing without them:"
                f" they are put together first, and those beyond size {spec.size} go when all slots have an owner"
            )
        yield {"size": size}, Hold(guard="slots_are_owned_first", about="spec", why=why)


def _capacity(snapshot: ClusterSnapshot, spec: RedisClusterSpec) -> Iterator[HeldFields]:
    status = snapshot.cluster.status
    has_begun = is_recorded(snapshot) or has_keys(snapshot)
    share = written_maxmemory_mib(snapshot) if has_begun else None
    # By what each shard has: the same sum over more shards is less for each.
    before = None if share is None else status.capacity if status.capacity // spec.size == share else share * spec.size
    pods = spec.size * spec.pods_per_shard
    return capacity_change(snapshot, spec, has_begun=has_begun, pods=pods, shards=spec.size, before=before)


def _replicas(snapshot: ClusterSnapshot, spec: RedisClusterSpec) -> Iterator[HeldFields]:
    views = [node.view for node in snapshot.nodes.values() if isinstance(node, NodeFacts) and node.view is not None]
    answered = {view.me.id for view in views}

    def may_go(node: NodeFacts) -> bool:
        """It is a replica, and not the candidate of a primary that is lost."""
        return node.view is not None and not node.view.me.slots and node.view.me.primary_id in answered

    return replicas_change(snapshot, spec.replicas, may_go=may_go)


def _volumes(snapshot: ClusterSnapshot, spec: RedisClusterSpec) -> Iterator[HeldFields]:
    return volumes_change(snapshot, spec, (f"{snapshot.cluster.name}-{index}" for index in range(spec.size)))
