"""Decides what status says of a RedisCluster. Computed from the snapshot and the plan, never accumulated.

The slot map of a cluster that is not whole at the moment is carried over from the former status: recovery needs it.
"""

from __future__ import annotations

from tdredis.api.instance import ShardStatus
from tdredis.api.rediscluster import RedisClusterStatus
from tdredis.planning.cluster.planner import ClusterAssessment
from tdredis.planning.cluster.world import Shard, World
from tdredis.planning.conditions import (
    Finding,
    build_conditions,
    client_address,
    created_of_old,
    external_address,
    holds_sentence,
    phase,
    quota_is_effective,
)
from tdredis.planning.entrances import cluster_entrances, cluster_service
from tdredis.planning.loss import about, used_up
from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.snapshot import Ref
from tdredis.redis.slots import ALL_SLOTS, SlotSet


def report(assessment: ClusterAssessment, plan: Plan, failure: str = "") -> RedisClusterStatus:
    """The status to write. *failure*: what the last carrying out of a plan failed with, or empty."""
    world, snapshot, wrong = assessment.world, assessment.world.snapshot, assessment.findings
    former = snapshot.cluster.status
    if plan.verdict is Verdict.INVALID and not world.was_whole:
        wrong = (Finding(reason="SpecInvalid", message=holds_sentence(plan), serious=False),)
    quota = quota_is_effective(snapshot, world.cluster.spec, world.wanted_pods)
    service = cluster_service(snapshot)
    return RedisClusterStatus(
        phase=phase(snapshot, wrong, assessment.pending),
        cluster_ip=client_address(snapshot, service),
        external_ip=external_address(world.cluster, snapshot.children.get(Ref("Service", service))),
        addresses=cluster_entrances(snapshot),
        gmt_create=created_of_old(snapshot.cluster),
        capacity=world.cluster.spec.capacity if quota else former.capacity,
        size=sum(1 for shard in world.shards if shard.slots),
        slots=_slot_record(world) or dict(former.slots),
        observed_generation=snapshot.cluster.metadata.generation,
        begun_anew=used_up(snapshot.cluster, is_lost=bool(world.lost) or bool(world.unowned)),
        conditions=build_conditions(
            snapshot,
            plan,
            wrong,
            assessment.pending,
            whole=_whole(world),
            progress=_progress(world),
            failure=failure,
        ),
        shards=tuple(_shard_line(world, shard) for shard in world.shards),
    )


def _slot_record(world: World) -> dict[str, tuple[str, ...]] | None:
    """The slot map as it is: of each shard what all of its processes own. None while it is not whole: then the former
    record is what recovery goes by.
    """
    if not world.is_whole:
        return None
    owned = {shard.name: SlotSet.union(member.slots for member in shard.members) for shard in world.shards}
    if sum(map(len, owned.values())) != len(ALL_SLOTS):
        return None  # somebody outside owns the rest
    return {name: tuple(str(each) for each in slots.ranges()) for name, slots in owned.items()}


def _shard_line(world: World, shard: Shard) -> ShardStatus:
    synced, wanted = len(world.replicas_in_sync(shard)), len(shard.wanted) - 1
    phase = "NoPrimary" if shard.owner is None else "Ready" if synced >= wanted else "ReplicasNotInSync"
    return ShardStatus(
        name=shard.name,
        primary=shard.owner.name if shard.owner else "",
        replicas_ready=synced,
        replicas_wanted=wanted,
        slots=len(shard.slots),
        phase=phase,
        keys=_keys(world, shard),
    )


def _keys(world: World, shard: Shard) -> int | None:
    before = next((line.keys for line in world.snapshot.cluster.status.shards if line.name == shard.name), None)
    if shard.owner is None or shard.owner.facts.loading:
        return before
    return about(before, shard.owner.facts.keys)


def _whole(world: World) -> str:
    return f"{len(world.shards)} shards, {len(world.members)} processes, all slots owned"


def _progress(world: World) -> str:
    pods = sum(1 for pod in world.snapshot.pods.values() if pod.ready)
    replicas = sum(len(world.replicas_in_sync(shard)) for shard in world.shards)
    wanted = sum(len(shard.wanted) - 1 for shard in world.shards)
    return (
        f"{pods} of {len(world.wanted_pods)} pods ready, {len(world.owned)} of 16384 slots owned,"
        f" {replicas} of {wanted} replicas in sync"
    )
