"""Decides what status says of an instance of any kind. Computed from the snapshot and the plan, never accumulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdredis.api.instance import Instance, InstanceStatus, ShardStatus
from tdredis.manifests.names import statefulset_names
from tdredis.planning.change import Change, UnderWay
from tdredis.planning.conditions import build_conditions, has_been_ready
from tdredis.planning.findings import Finding
from tdredis.planning.health import World
from tdredis.planning.loss import about, used_up
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Ref, Snapshot
from tdredis.planning.status_addresses import client_address, external_address
from tdredis.planning.volumes import find_made
from tdredis.redis.facts import NodeFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What status says of one kind, in the fields that all kinds have."""

    service: str  # that clients use
    addresses: Mapping[str, str]  # every way in, "ip:port" by name
    serving: int  # shards that serve
    shards: tuple[ShardStatus, ...]
    lacks_data: bool  # some of it is lost, or nobody serves it at the moment
    whole: str  # what it consists of when it is healthy
    progress: str  # how far it is when it is not


def build_status(
    world: World,
    described: Description,
    plan: Plan,
    *,
    wrong: tuple[Finding, ...],
    pending: tuple[Change, ...],
    failure: str,
) -> InstanceStatus:
    """*wrong*: what keeps it from being Ready. *failure*: what the last carrying out of a plan failed with, or ""."""
    snapshot, instance = world.snapshot, world.instance
    capacity_changes = any(change.field == "capacity" and isinstance(change.state, UnderWay) for change in pending)
    service = snapshot.children.get(Ref("Service", described.service))
    return InstanceStatus(
        phase=phase(snapshot, wrong, capacity_changes=capacity_changes),
        cluster_ip=client_address(snapshot, described.service),
        external_ip=external_address(instance, service),
        addresses=dict(described.addresses),
        gmt_create=creation_time(instance),
        storage_size=made.size if (made := find_made(snapshot, statefulset_names(instance))) else "",
        capacity=snapshot.resource.status.capacity if capacity_changes else instance.spec.capacity,
        size=described.serving,
        observed_generation=snapshot.resource.metadata.generation,
        begun_anew=used_up(snapshot.resource, is_lost=described.lacks_data),
        conditions=build_conditions(
            snapshot, plan, wrong, pending, whole=described.whole, progress=described.progress, failure=failure
        ),
        shards=described.shards,
    )


def shard_status(
    previous: ShardStatus | None,
    *,
    name: str,
    primary: str,
    facts: NodeFacts | None,
    synced: int,
    wanted: int,
    slots: int = 0,
) -> ShardStatus:
    """One line of status. *primary*: who it is, or was when the *previous* one was written; *facts*: its answers, None
    while there is none; *synced* of *wanted* replicas have a whole copy.
    """
    before = previous.keys if previous else None
    return ShardStatus(
        name=name,
        primary=primary,
        replicas_ready=synced,
        replicas_wanted=wanted,
        slots=slots,
        phase="NoPrimary" if facts is None else "Ready" if synced >= wanted else "ReplicasNotInSync",
        keys=before if facts is None or facts.loading else about(before, facts.keys),
    )


def phase(snapshot: Snapshot, wrong: tuple[Finding, ...], *, capacity_changes: bool) -> str:
    """In one word. Suspended: the operator changes nothing, whatever the instance does."""
    if snapshot.resource.spec.paused:
        return "Suspended"
    if wrong:
        return "NodeNotReady" if has_been_ready(snapshot.resource.status) else "NotReady"
    return "UpdateQuota" if capacity_changes else "Ready"


def creation_time(instance: Instance) -> str:
    """``2026-01-02T03:04:05Z`` in the form that status has always had: ``2026-01-02 03:04:05`` (UTC)."""
    return instance.metadata.creation_timestamp.replace("T", " ").removesuffix("Z")
