"""Decides which values of spec are effective now: a change that would hurt is held, and the previous value stays.

A held change never blocks the others, and ends when spec is edited back. Whether a change hurts is not decided while a
process that could contradict does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tdredis.api.instance import InstanceSpec
from tdredis.api.redisstandby import RedisStandbySpec
from tdredis.manifests.names import SENTINEL_COMPONENT, pods_per_statefulset
from tdredis.planning.change import HeldFields
from tdredis.planning.conditions import has_been_ready
from tdredis.planning.desired import (
    Effective,
    capacity_change,
    hold_changes,
    replicas_change,
    volumes_change,
)
from tdredis.planning.engine_change import image_change
from tdredis.planning.live import Live
from tdredis.planning.plan import Hold
from tdredis.planning.replication.world import Replicated
from tdredis.planning.snapshot import Ref, ReplicationSnapshot
from tdredis.redis.facts import NodeFacts, Unknown
from tdredis.redis.sentinels import SentinelFacts

SENTINELS = "sentinel-"
AT_ONCE = 2  # of 7 or 5 Sentinels: those that stay are a majority without them


def decide_effective(snapshot: ReplicationSnapshot) -> Effective[Replicated]:
    """What of spec is effective at this snapshot."""
    return hold_changes(snapshot, snapshot.instance, (_app, _capacity, _replicas, _sentinels, _volumes, image_change))


def _app(snapshot: ReplicationSnapshot, spec: InstanceSpec) -> Iterator[HeldFields]:
    """Sentinels and their Service are named after it, and stay those that there are: a server of before 1.25 lets it be
    edited all the same.
    """
    if not isinstance(spec, RedisStandbySpec):
        return
    made = [ref.name for ref, live in snapshot.children.items() if ref.kind == "StatefulSet" and _is_of_sentinels(live)]
    if made and f"{SENTINELS}{spec.app}" not in made:
        app = min(made).removeprefix(SENTINELS)
        why = f"Sentinels are named after app, and so are the labels of volumes: write app: {app} again"
        yield {"app": app}, Hold(guard="app_is_unchanged", about="spec", why=why)


def _is_of_sentinels(statefulset: Live) -> bool:
    return statefulset.component == SENTINEL_COMPONENT


def _capacity(snapshot: ReplicationSnapshot, spec: InstanceSpec) -> Iterator[HeldFields]:
    has_begun = has_been_ready(snapshot.instance.status)
    return capacity_change(snapshot, spec, has_begun=has_begun, pods=pods_per_statefulset(snapshot.instance))


def _replicas(snapshot: ReplicationSnapshot, spec: InstanceSpec) -> Iterator[HeldFields]:
    if not isinstance(spec, RedisStandbySpec):
        return iter(())
    # A primary that came back is a replica of nobody until it is told, and may have the newest data: as long as nobody
    # is the primary, everybody may be the one.
    nodes = snapshot.nodes.values()
    there_is_one = any(isinstance(node, NodeFacts) and node.replication.role == "master" for node in nodes)
    return replicas_change(
        snapshot, spec.replicas, may_go=lambda node: there_is_one and node.replication.role == "slave"
    )


def _sentinels(snapshot: ReplicationSnapshot, spec: InstanceSpec) -> Iterator[HeldFields]:
    """Fewer of them: two at a time, and the next when those that stay have forgotten the ones before. A majority of all
    that a Sentinel knows votes for a failover, and those that are gone are known until it begins anew.
    """
    if not isinstance(spec, RedisStandbySpec):
        return
    statefulset = f"{SENTINELS}{spec.app}"
    live = snapshot.children.get(Ref("StatefulSet", statefulset))
    there = live.statefulset.replicas if live else None
    wanted = spec.sentinel.replicas
    if there is None or there <= wanted:
        return
    after = max(wanted, there - AT_ONCE)
    stay = [snapshot.sentinels.get(f"{statefulset}-{number}") for number in range(after)]
    unready = [number for number, each in enumerate(stay) if not _has_forgotten(each, spec, there)]
    kept = there if unready else after
    if kept == wanted:
        return
    why = (
        f"{statefulset}-{unready[0]} must answer, and know none any more that are gone"
        if unready
        else f"Sentinels go {AT_ONCE} at a time"
    )
    yield (
        {"sentinel": msgspec.structs.replace(spec.sentinel, replicas=kept)},
        Hold(guard="sentinels_keep_a_majority", about="spec", why=f"{why}: {kept} of them stay for now"),
    )


def _has_forgotten(found: SentinelFacts | Unknown | None, spec: RedisStandbySpec, there: int) -> bool:
    """It watches, and knows no more Sentinels than the *there* that are."""
    if not isinstance(found, SentinelFacts):
        return False
    watch = next((each for each in found.watches if each.name == spec.sentinel.master_name), None)
    return watch is not None and len(watch.sentinels) < there


def _volumes(snapshot: ReplicationSnapshot, spec: InstanceSpec) -> Iterator[HeldFields]:
    return volumes_change(snapshot, spec, (snapshot.instance.name,))
