"""Decides what status says of a RedisStandby or RedisStandalone. Computed from the snapshot and the plan.

The last primary's name is carried over from the former status while there is none: recovery needs it.
"""

from __future__ import annotations

from typing import Any

from tdredis.api.instance import InstanceStatus, ShardStatus
from tdredis.api.redisstandalone import RedisStandaloneStatus
from tdredis.api.redisstandby import RedisStandbyStatus, SentinelStatus
from tdredis.manifests.names import client_service_name
from tdredis.planning.conditions import (
    Finding,
    build_conditions,
    client_address,
    created_of_old,
    external_address,
    has_been_ready,
    holds_sentence,
    phase,
    quota_is_effective,
)
from tdredis.planning.entrances import replication_entrances
from tdredis.planning.loss import about, used_up
from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.replication.health import sentinels_ready
from tdredis.planning.replication.planner import ReplicationAssessment
from tdredis.planning.replication.world import World
from tdredis.planning.snapshot import Ref


def report(assessment: ReplicationAssessment, plan: Plan, failure: str = "") -> InstanceStatus:
    """The status to write. *failure*: what the last carrying out of a plan failed with, or empty."""
    world, snapshot, wrong = assessment.world, assessment.world.snapshot, assessment.findings
    former = snapshot.instance.status
    if plan.verdict is Verdict.INVALID and not has_been_ready(former):
        wrong = (Finding(reason="SpecInvalid", message=holds_sentence(plan), serious=False),)
    quota = quota_is_effective(snapshot, world.instance.spec, world.wanted_pods)
    service = client_service_name(world.instance.name)
    fields: dict[str, Any] = {
        "phase": phase(snapshot, wrong, assessment.pending),
        "cluster_ip": client_address(snapshot, service),
        "external_ip": external_address(world.instance, snapshot.children.get(Ref("Service", service))),
        "addresses": replication_entrances(snapshot),
        "gmt_create": created_of_old(snapshot.instance),
        "capacity": world.instance.spec.capacity if quota else former.capacity,
        "size": 0 if world.primary is None else 1,
        "observed_generation": snapshot.instance.metadata.generation,
        "conditions": build_conditions(
            snapshot, plan, wrong, assessment.pending, whole=_whole(world), progress=_progress(world), failure=failure
        ),
        "begun_anew": used_up(snapshot.instance, is_lost=bool(world.lost) or world.primary is None),
        "shards": (_line(world),),
    }
    if world.standby is None:
        return RedisStandaloneStatus(**fields)
    sentinels = SentinelStatus(ready=sentinels_ready(world), wanted=len(world.wanted_sentinels))
    return RedisStandbyStatus(**fields, sentinels=sentinels)


def _line(world: World) -> ShardStatus:
    synced, wanted = len(world.replicas_in_sync()), len(world.wanted_pods) - 1
    return ShardStatus(
        name=world.instance.name,
        primary=world.primary.name if world.primary else world.recorded,
        replicas_ready=synced,
        replicas_wanted=wanted,
        keys=_keys(world),
        phase="NoPrimary" if world.primary is None else "Ready" if synced >= wanted else "ReplicasNotInSync",
    )


def _keys(world: World) -> int | None:
    former = world.snapshot.instance.status.shards
    before = former[0].keys if former else None
    if world.primary is None or world.primary.facts.loading:
        return before
    return about(before, world.primary.facts.keys)


def _whole(world: World) -> str:
    name = world.primary.name if world.primary else "nobody"
    if world.standby is None:
        return f"{name} serves"
    return (
        f"{name} is the primary, {len(world.replicas_in_sync())} replicas in sync,"
        f" {sentinels_ready(world)} Sentinels watch"
    )


def _progress(world: World) -> str:
    snapshot = world.snapshot
    pods = [*snapshot.pods.values(), *snapshot.sentinel_pods.values()]
    return (
        f"{sum(pod.ready for pod in pods)} of {len(world.wanted_pods) + len(world.wanted_sentinels)} pods ready,"
        f" {len(world.replicas_in_sync())} of {len(world.wanted_pods) - 1} replicas in sync,"
        f" {sentinels_ready(world)} of {len(world.wanted_sentinels)} Sentinels watch"
    )
