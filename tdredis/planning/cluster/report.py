"""Decides what status says of a RedisCluster. Computed from the snapshot and the plan, never accumulated.

Two things are carried over from the former status, because recovery and readers need them: the slot map of a cluster
that is not whole at the moment, and when a condition last changed.
"""

from __future__ import annotations

from datetime import UTC, datetime

from tdredis.api.rediscluster import Condition, RedisClusterStatus, ShardStatus
from tdredis.manifests.names import client_service_name, proxy_name
from tdredis.planning.cluster.health import Ailment, ailments, has_been_ready
from tdredis.planning.cluster.picture import Picture, Shard
from tdredis.planning.cluster.planner import draw
from tdredis.planning.cluster.rules import MIB, World, service_ip
from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.snapshot import ClusterSnapshot, Ref

PORT = 6379

# Guards that speak of what spec says, not of the state of the world.
WISH_GUARDS = frozenset(
    (
        "spec_is_valid",
        "size_is_unchanged",
        "used_memory_fits",
        "no_primary_is_removed",
        "volumes_are_unchanged",
        "password_is_unchanged",
    )
)


def report(snapshot: ClusterSnapshot, plan: Plan, failure: str = "") -> RedisClusterStatus:
    """The status to write. *failure*: what the last carrying out of a plan failed with, or empty."""
    world, _ = draw(snapshot)
    former = snapshot.cluster.status
    wrong = ailments(world)
    if plan.verdict is Verdict.INVALID and not world.picture.was_whole:
        wrong = (Ailment(reason="SpecInvalid", message=_sentence(plan), serious=False),)
    quota = _quota_is_in_force(world)
    return RedisClusterStatus(
        phase=_phase(wrong, has_been_ready_before=has_been_ready(former), quota_in_force=quota),
        cluster_ip=_client_address(world),
        external_ip=_external_address(world),
        gmt_create=_of_old(snapshot.cluster.metadata.creation_timestamp),
        capacity=world.cluster.spec.capacity if quota else former.capacity,
        size=sum(1 for shard in world.picture.shards if shard.slots),
        slots=_slot_record(world.picture) or dict(former.slots),
        observed_generation=snapshot.cluster.metadata.generation,
        conditions=_conditions(snapshot, plan, wrong, world.picture, failure),
        shards=tuple(_shard_line(world.picture, shard) for shard in world.picture.shards),
    )


def _phase(wrong: tuple[Ailment, ...], *, has_been_ready_before: bool, quota_in_force: bool) -> str:
    if wrong and has_been_ready_before:
        return "NodeNotReady"
    if wrong:
        return "NotReady"
    return "Ready" if quota_in_force else "UpdateQuota"


def _quota_is_in_force(world: World) -> bool:
    wanted = world.cluster.spec.maxmemory_mib * MIB
    limits = {member.name: member.facts.maxmemory_bytes for member in world.picture.members}
    return all(limits.get(pod) == wanted for pod in world.picture.wanted_pods)


def _slot_record(picture: Picture) -> dict[str, tuple[str, ...]] | None:
    """The slot map as it is; None while it is not whole: then the former record is what recovery goes by."""
    if not picture.is_whole:
        return None
    return {shard.name: tuple(str(each) for each in shard.slots.ranges()) for shard in picture.shards}


def _client_service(world: World) -> str:
    name = world.cluster.name
    return proxy_name(name) if world.cluster.spec.proxy.enabled else client_service_name(name)


def _client_address(world: World) -> str:
    address = service_ip(world.picture.snapshot.children.get(Ref("Service", _client_service(world))))
    return _endpoint(address) if address else ""


def _endpoint(host: str) -> str:
    return f"[{host}]:{PORT}" if ":" in host else f"{host}:{PORT}"


def _external_address(world: World) -> str:
    service = world.picture.snapshot.children.get(Ref("Service", _client_service(world))) or {}
    spec, status = service.get("spec"), service.get("status")
    if world.cluster.spec.net_mode == "NodePort" and isinstance(spec, dict):
        ports = spec.get("ports")
        port = ports[0].get("nodePort") if isinstance(ports, list) and ports and isinstance(ports[0], dict) else None
        return f"{world.cluster.spec.vip}:{port}" if port and world.cluster.spec.vip else ""
    if world.cluster.spec.net_mode == "LoadBalancer" and isinstance(status, dict):
        balancer = status.get("loadBalancer")
        ingress = balancer.get("ingress") if isinstance(balancer, dict) else None
        if isinstance(ingress, list) and ingress and isinstance(ingress[0], dict):
            return _endpoint(str(ingress[0].get("ip") or ingress[0].get("hostname")))
    return ""


def _shard_line(picture: Picture, shard: Shard) -> ShardStatus:
    synced, wanted = len(picture.replicas_in_sync(shard)), len(shard.wanted) - 1
    phase = "NoPrimary" if shard.owner is None else "Ready" if synced >= wanted else "ReplicasNotInSync"
    return ShardStatus(
        name=shard.name,
        primary=shard.owner.name if shard.owner else "",
        replicas_ready=synced,
        replicas_wanted=wanted,
        slots=len(shard.slots),
        phase=phase,
    )


def _conditions(
    snapshot: ClusterSnapshot, plan: Plan, wrong: tuple[Ailment, ...], picture: Picture, failure: str
) -> tuple[Condition, ...]:
    former = {each.type: each for each in snapshot.cluster.status.conditions}
    degraded = bool(wrong) and has_been_ready(snapshot.cluster.status)

    def condition(kind: str, *, holds: bool, reason: str, message: str) -> Condition:
        status = "True" if holds else "False"
        before = former.get(kind)
        since = before.last_transition_time if before and before.status == status else _timestamp(snapshot.now)
        return Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message[:1024],
            last_transition_time=since,
            observed_generation=snapshot.cluster.metadata.generation,
        )

    refused = [hold for hold in plan.holds if hold.guard in WISH_GUARDS]
    first = wrong[0].reason if wrong else "AsSpecified"
    sentence = "; ".join(ailment.message for ailment in wrong[:4])
    whole = f"{len(picture.shards)} shards, {len(picture.members)} processes, all slots owned"
    return (
        condition("Ready", holds=not wrong, reason=first, message=sentence or whole),
        condition(
            "Progressing",
            holds=bool(wrong) and plan.verdict is not Verdict.INVALID,
            reason="StepFailed" if failure else first,
            message=failure or (_progress(picture) if wrong else "nothing to do"),
        ),
        condition(
            "Degraded",
            holds=degraded,
            reason=first if degraded else "AsSpecified",
            message=sentence if degraded else "nothing that worked has failed",
        ),
        condition(
            "Accepted",
            holds=not refused,
            reason=refused[0].guard if refused else "AsSpecified",
            message="; ".join(hold.why for hold in refused) or "spec is carried out as it is written",
        ),
    )


def _sentence(plan: Plan) -> str:
    return "; ".join(hold.why for hold in plan.holds)


def _progress(picture: Picture) -> str:
    pods = sum(1 for pod in picture.snapshot.pods.values() if pod.ready)
    replicas = sum(len(picture.replicas_in_sync(shard)) for shard in picture.shards)
    wanted = sum(len(shard.wanted) - 1 for shard in picture.shards)
    return (
        f"{pods} of {len(picture.wanted_pods)} pods ready, {len(picture.owned)} of 16384 slots owned,"
        f" {replicas} of {wanted} replicas in sync"
    )


def _timestamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _of_old(created: str) -> str:
    """``2026-01-02T03:04:05Z`` as users of old read it: ``2026-01-02 03:04:05`` (UTC)."""
    return created.replace("T", " ").removesuffix("Z")
