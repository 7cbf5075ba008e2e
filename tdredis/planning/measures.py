"""Decides which numbers are told of an instance: graphs and alerts are to say the same as its status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from tdredis.api.instance import InstanceStatus
from tdredis.api.rediscluster import RedisClusterStatus
from tdredis.planning.change import Cannot, Change, UnderWay
from tdredis.planning.decide import Judged, records_data
from tdredis.planning.memory import killed_of_late, memory_uses
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import PodFacts
from tdredis.redis.facts import NodeFacts, Unknown

POD_FAILS: Final = "PodFails"  # in place of a kubelet's own reasons, of which nobody has a list
NO_PRIMARY: Final = "NoPrimary"
SLOTS: Final = 16384


class Measures(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Of one instance after one pass. A struct that the collector passes over: there are thousands of them."""

    conditions: tuple[tuple[str, bool], ...]  # type, and whether it is True
    findings: tuple[str, ...]  # reasons; a pod's trouble is POD_FAILS
    holds: tuple[tuple[str, str], ...]  # guard, and spec or world
    under_way: int  # changes of spec
    waiting: int
    refused: int
    generation: int
    observed_generation: int  # as the server has it
    env: str
    engine: str  # "redis 7.0.15", of the first pod that answers; "": none does
    shards: int
    without_primary: int  # shards that had one
    slots_uncovered: int | None  # 0: never was there an owner for each. None: it is no cluster
    replicas_wanted: int
    replicas_in_sync: int
    silent: int  # Redis processes that run and do not answer
    lag_bytes: int  # of the replica that is furthest behind
    link_down_s: int  # of the replica that has been out of sync longest
    used_bytes: int | None  # of the process that is nearest to its limit. None: nobody says
    limit_bytes: int | None  # None: there is none
    killed: int  # pods whose Redis the kernel ended of late
    on_one_node: int  # shards all of whose pods, two or more, are on one node
    refused_pods: int  # StatefulSets and Deployments whose pods are not created
    full_disks: int  # pods whose disk took nothing when it was last tried


def measure(assessment: Judged, made: Plan, status: InstanceStatus) -> Measures:
    """*status*: the one that this pass came to."""
    world = assessment.world
    snapshot = world.snapshot
    facts = [node for node in snapshot.nodes.values() if isinstance(node, NodeFacts)]
    fullest = next(iter(memory_uses(snapshot)), None)
    of_pods = {trouble.reason for _, trouble in world.troubles}
    under_way, waiting, refused = _count_changes(assessment.pending)
    return Measures(
        conditions=tuple((each.type, each.status == "True") for each in status.conditions),
        findings=tuple({POD_FAILS if each.reason in of_pods else each.reason: None for each in assessment.findings}),
        holds=tuple(dict.fromkeys((hold.guard, hold.about) for hold in made.holds)),
        under_way=under_way,
        waiting=waiting,
        refused=refused,
        generation=snapshot.resource.metadata.generation,
        observed_generation=snapshot.resource.status.observed_generation,
        env=snapshot.resource.spec.env,
        engine=facts[0].engine if facts else "",
        shards=len(status.shards),
        without_primary=_without_primary(status),
        slots_uncovered=_slots_uncovered(status),
        replicas_wanted=sum(shard.replicas_wanted for shard in status.shards),
        replicas_in_sync=sum(shard.replicas_ready for shard in status.shards),
        silent=sum(isinstance(node, Unknown) for node in snapshot.nodes.values()),
        lag_bytes=_lag_bytes(facts),
        link_down_s=max((node.replication.link_down_s or 0 for node in facts), default=0),
        used_bytes=fullest.used_bytes if fullest else None,
        limit_bytes=(fullest.limit_bytes or None) if fullest else None,
        killed=len(killed_of_late(snapshot)),
        on_one_node=_shards_on_one_node(snapshot.pods),
        refused_pods=len(snapshot.creation_failures),
        full_disks=len(snapshot.write_failures),
    )


def _without_primary(status: InstanceStatus) -> int:
    """Shards in which clients could write, and cannot now: none that never came up, and none that owns nothing yet."""
    if isinstance(status, RedisClusterStatus):
        return sum(shard.phase == NO_PRIMARY and shard.name in status.slots for shard in status.shards)
    return sum(shard.phase == NO_PRIMARY and bool(shard.primary) for shard in status.shards)


def _slots_uncovered(status: InstanceStatus) -> int | None:
    """A cluster that is formed for the first time has slots without an owner too, and nobody misses them."""
    if not isinstance(status, RedisClusterStatus):
        return None
    return SLOTS - sum(shard.slots for shard in status.shards) if records_data(status) else 0


def _count_changes(pending: Iterable[Change]) -> tuple[int, int, int]:
    under_way = waiting = refused = 0
    for change in pending:
        if isinstance(change.state, UnderWay):
            under_way += 1
        elif isinstance(change.state, Cannot):
            refused += 1
        else:
            waiting += 1
    return under_way, waiting, refused


def _lag_bytes(facts: Iterable[NodeFacts]) -> int:
    """Between a primary and the last of those that follow the same history. The answers are of moments of one pass:
    what was written between them counts as lag.
    """
    primaries: dict[str, int] = {}
    replicas: dict[str, int] = {}
    for node in facts:
        found = node.replication
        if found.role == "master":
            primaries[found.id] = found.offset_bytes
        elif found.id:
            replicas[found.id] = min(found.offset_bytes, replicas.get(found.id, found.offset_bytes))
    return max((primaries[each] - behind for each, behind in replicas.items() if each in primaries), default=0)


def _shards_on_one_node(pods: Mapping[str, PodFacts]) -> int:
    nodes: dict[str, list[str | None]] = {}
    for name, pod in pods.items():
        nodes.setdefault(name.rpartition("-")[0], []).append(pod.node)
    return sum(len(each) > 1 and each[0] is not None and each.count(each[0]) == len(each) for each in nodes.values())
