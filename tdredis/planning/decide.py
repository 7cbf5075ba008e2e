"""Decides which rules a resource is planned by, and what holds for all kinds: a pause, Secrets that are missing."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from tdredis.api.instance import InstanceStatus
from tdredis.api.rediscluster import RedisClusterStatus
from tdredis.manifests.names import auth_secret_name
from tdredis.planning.assessment import Assessment
from tdredis.planning.cluster import planner as cluster
from tdredis.planning.cluster.world import World as ClusterWorld
from tdredis.planning.conditions import has_been_ready
from tdredis.planning.plan import Hold, Plan, Verdict
from tdredis.planning.replication import planner as replication
from tdredis.planning.replication.world import World as ReplicationWorld
from tdredis.planning.sentences import list_names
from tdredis.planning.snapshot import ClusterSnapshot, Key, Ref, ReplicationSnapshot, Snapshot

SECRET_COMES_S = 2.0  # a Secret that somebody else makes is not watched, but asked for
PAUSED_S = 15.0
NAME_IS_FREE_S = 10.0  # of another resource that goes nobody tells this one
FOREIGN_GOES_S = 30.0  # nobody tells us of objects without our label


Judged: TypeAlias = Assessment[ClusterWorld] | Assessment[ReplicationWorld]


def assess(snapshot: Snapshot) -> Judged:
    """What *snapshot* shows: made once a pass, for `plan` and `report`."""
    match snapshot:
        case ClusterSnapshot():
            return cluster.assess(snapshot)
        case ReplicationSnapshot():
            return replication.assess(snapshot)
        case _:
            raise TypeError(f"{type(snapshot).__name__} cannot be assessed")


def plan(assessment: Judged) -> Plan:
    """The longest list of steps that is safe from its snapshot; none for a world that is as it should be."""
    snapshot = assessment.world.snapshot
    missing = tuple(
        Hold(guard="secrets_can_be_read", about="spec", why=sentence) for sentence in snapshot.secret_problems
    )
    if missing and Ref("Secret", auth_secret_name(snapshot.resource.name)) not in snapshot.children:
        # Without its password a Redis would start open to everybody.
        return Plan(verdict=Verdict.FORMING, holds=missing, next_look_s=SECRET_COMES_S)
    if snapshot.foreign:
        return Plan(verdict=Verdict.FORMING, holds=(_not_ours(snapshot.foreign[0]),), next_look_s=FOREIGN_GOES_S)
    collisions = _collisions(snapshot)
    if collisions and not has_been_ready(snapshot.resource.status):
        return Plan(verdict=Verdict.FORMING, holds=collisions, next_look_s=NAME_IS_FREE_S)
    made = assessment.plan()
    if missing:
        made = replace(made, holds=(*missing, *made.holds))
    if collisions:
        made = replace(made, holds=(*collisions, *made.holds))
    if snapshot.resource.spec.paused:
        return replace(made, steps=(), next_look_s=PAUSED_S)
    return made


def report(assessment: Judged, made: Plan, failure: str = "", refused: Hold | None = None) -> InstanceStatus:
    """The status to write. *failure*: what the last carrying out of a plan failed with, or empty; *refused*: what of
    spec the server refused in it.
    """
    if refused is not None:
        made = replace(made, holds=(*made.holds, refused))
    return assessment.report(made, failure)


def must_see_all(assessment: Judged, made: Plan) -> bool:
    """Something may be wrong, and not everything was asked: no step may rest on that."""
    snapshot = assessment.world.snapshot
    return isinstance(snapshot, ClusterSnapshot) and snapshot.views_are_kept and not made.at_peace


def records_data(status: InstanceStatus) -> bool:
    """It says where data is: who owns which slots, or who the primary is."""
    if isinstance(status, RedisClusterStatus):
        return bool(status.slots)
    return any(shard.primary for shard in status.shards)


def _collisions(snapshot: Snapshot) -> tuple[Hold, ...]:
    """Two resources would take each other's objects for their own: the one that came later waits."""
    found: dict[Key, list[Ref]] = {}
    for each in snapshot.collisions:
        found.setdefault(each.owner, []).append(each.ref)
    return tuple(
        Hold(
            guard="names_are_free",
            about="spec",
            why=f"{list_names(list(map(str, refs)))} would be both this resource's and {owner}'s, which has the name:"
            " delete this one and create it under another name (or app)",
        )
        for owner, refs in sorted(found.items())
    )


def _not_ours(ref: Ref) -> Hold:
    """Pods of another's making run from the ConfigMap and the Service that have our names too: neither is touched."""
    why = (
        f"there is a {ref} that this operator did not make, and nothing of it is changed: move its data (MIGRATE, or a"
        " replica) to a resource of another name, or delete it if you can do without"
    )
    return Hold(guard="no_foreign_objects", about="spec", why=why)
