"""Decides which replica takes over a shard whose primary died, and what counts as proof that it did.

The engine decides: the replica is told to ask the other primaries for their votes at once, instead of waiting until
they have been missing the dead one for cluster-node-timeout. Source: redis.io, "CLUSTER FAILOVER" (FORCE).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tdredis.planning.cluster.members import Member, descending
from tdredis.planning.cluster.world import Shard, World
from tdredis.planning.disks import may_take_over, no_candidate_has_room
from tdredis.planning.identity import find_pod
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.pods import STARTING_S
from tdredis.planning.proof import is_proven_dead
from tdredis.planning.sentences import list_names
from tdredis.planning.snapshot import PodFacts
from tdredis.planning.steps import FailOverShard, HandOver, TakeOverShard
from tdredis.redis.views import KnownNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphaned:
    """A shard without its primary: *primary_id* is whom *candidates*, the replicas that answer, followed."""

    world: World
    shard: Shard
    primary_id: str
    candidates: tuple[Member, ...]  # who could take over first

    @property
    def known(self) -> KnownNode:
        """The dead one, as its replica knows it."""
        return self.candidates[0].view.others[self.primary_id]

    @property
    def pod(self) -> PodFacts | None:
        """The pod of the dead one; None: it is gone."""
        snapshot, known = self.world.snapshot, self.known
        ours = (pod for name, pod in snapshot.pods.items() if name.rpartition("-")[0] == self.shard.name)
        return find_pod(snapshot, ours, [self.primary_id], known.port, lambda pod: self.world.is_at(pod, known))


Guard = Callable[[Orphaned], Hold | None]


def replace_dead_primaries(world: World) -> Ruling:
    """Every shard whose primary is proven dead gets another: by the vote of the other primaries, or, where so many died
    that no majority is left to vote, by the operator's decision.
    """
    steps: list[FailOverShard | TakeOverShard] = []
    holds: list[Hold] = []
    unvoted: list[Orphaned] = []
    for orphaned in (found for shard in world.shards if (found := _orphaned(world, shard)) is not None):
        refused = next((hold for guard in FAILOVER_GUARDS if (hold := guard(orphaned)) is not None), None)
        candidate = orphaned.candidates[0]
        why = f"{proof_of_death(orphaned)}; {candidate.name} has the most of its data"
        if orphaned.shard.owns_nothing:
            _replace_before_the_first_slot(orphaned, steps, holds)
        elif refused is None:
            steps.append(FailOverShard(process=candidate.process, shard=orphaned.shard.name, why=why))
        elif refused.guard == majority_can_vote.__name__:
            unvoted.append(orphaned)
        else:
            holds.append(refused)
    for orphaned in unvoted:
        refused = next((hold for guard in TAKEOVER_GUARDS if (hold := guard(orphaned)) is not None), None)
        if refused is not None:
            holds.append(refused)
            continue
        candidate = orphaned.candidates[0]
        why = (
            f"{proof_of_death(orphaned)}, and too few primaries are left to vote; {candidate.name} has the most of its"
            " data, without what was written in the last moment"
        )
        steps.append(TakeOverShard(process=candidate.process, shard=orphaned.shard.name, why=why))
    return Ruling(steps=tuple(steps), holds=tuple(holds))


def _replace_before_the_first_slot(
    orphaned: Orphaned, steps: list[FailOverShard | TakeOverShard], holds: list[Hold]
) -> None:
    """Keys came to it, and no slot yet: nobody votes for the successor of a primary without slots, and nobody else
    claims them. Source: cluster.c, clusterHandleSlaveFailover.
    """
    refused = next((hold for guard in FAILOVER_GUARDS[:2] if (hold := guard(orphaned)) is not None), None)
    if refused is not None:
        holds.append(refused)
        return
    candidate = orphaned.candidates[0]
    why = f"{proof_of_death(orphaned)}; {candidate.name} has the keys that came before their slots"
    steps.append(TakeOverShard(process=candidate.process, shard=orphaned.shard.name, why=why))


def _orphaned(world: World, shard: Shard) -> Orphaned | None:
    """None: somebody owns the shard's slots, or nobody who answers follows a node that is gone."""
    if shard.owner is not None or shard.is_vacant:
        return None
    followers = [
        member
        for member in shard.members
        if member.is_replica and member.view.me.primary_id in member.view.others and not member.pod.deleting
    ]
    if not followers:
        return None
    ranked = sorted(followers, key=_rank, reverse=True)
    primary_id = ranked[0].view.me.primary_id
    if primary_id is None or primary_id in world.by_id:
        return None
    candidates = tuple(member for member in ranked if member.view.me.primary_id == primary_id)
    return Orphaned(world=world, shard=shard, primary_id=primary_id, candidates=candidates)


def _rank(member: Member) -> tuple[bool, int, tuple[int, ...]]:
    """The furthest first, then the lowest name; one that loads its data set answers nobody yet."""
    return not member.facts.loading, member.facts.replication.offset_bytes, descending(member.name)


def electable(world: World, shard: Shard) -> list[Member]:
    """Replicas in sync for whom most primaries would vote. An election that is lost stops the clients of the primary
    for five seconds, and the next begins twenty after it. Source: cluster.c, clusterHandleSlaveFailover
    (auth_retry_time).
    """
    voters = [member for member in world.members if member.slots]
    owners = {member.id for member in voters}
    return [
        candidate
        for candidate in shard.replicas_in_sync
        if 2 * sum(voter.votes_for(candidate) for voter in voters) > len(owners | _owners_known_to(candidate))
    ]


def _owners_known_to(candidate: Member) -> set[str]:
    return {node_id for node_id, known in candidate.view.others.items() if known.slots and not known.is_replica}


def hand_over_leaving(world: World) -> Ruling:
    """A primary whose pod is being deleted hands over first: its container waits for that before it ends (stop.sh)."""
    steps = []
    for shard in world.shards:
        if shard.owner is None or not shard.owner.pod.deleting:
            continue
        candidates = [member for member in electable(world, shard) if not member.pod.deleting]
        if not candidates:
            continue
        candidate = max(candidates, key=_rank)
        why = f"{shard.owner.name} is being deleted; {candidate.name} has its data"
        steps.append(HandOver(process=candidate.process, shard=shard.name, why=why))
    return Ruling(steps=tuple(steps))


def hand_over_full(world: World) -> Ruling:
    """A primary that cannot write to its disk refuses writes: it hands over, once, to a replica that can."""
    steps, holds = [], []
    for shard in world.shards:
        owner = shard.owner
        if owner is None or owner.pod.deleting or not owner.facts.write_error:
            continue
        candidates = [each for each in electable(world, shard) if not each.pod.deleting and may_take_over(each.facts)]
        if not candidates:
            holds.append(no_candidate_has_room(owner.name, owner.facts))
            continue
        candidate = max(candidates, key=_rank)
        why = (
            f"{owner.name} cannot write to its disk ({owner.facts.write_error}); {candidate.name} has its data and room"
        )
        steps.append(HandOver(process=candidate.process, shard=shard.name, why=why))
    return Ruling(steps=tuple(steps), holds=tuple(holds))


# ---- guards, in their order: the first that refuses is the reason in status


def primary_is_proven_dead(orphaned: Orphaned) -> Hold | None:
    if proof_of_death(orphaned):
        return None
    name = orphaned.pod.name if orphaned.pod else orphaned.primary_id[:8]
    why = f"{name}, the primary of shard {orphaned.shard.name}, does not answer, which is no proof that it died"
    return Hold(guard="primary_is_proven_dead", why=why)


def some_replica_has_the_data(orphaned: Orphaned) -> Hold | None:
    """A replica that never finished a copy has nothing to take over with."""
    candidate = orphaned.candidates[0]
    link = candidate.facts.replication
    is_misled = candidate.name in orphaned.world.misled
    if (
        not is_misled
        and not candidate.facts.loading
        and (link.was_linked or link.offset_bytes > 0 or candidate.facts.keys > 0)
    ):
        return None
    why = f"no replica of shard {orphaned.shard.name} has a copy of the data"
    return Hold(guard="some_replica_has_the_data", why=why)


def majority_can_vote(orphaned: Orphaned) -> Hold | None:
    """More than half of the primaries with slots, the dead among them, answer, and the candidate is connected to them.

    The candidate counts them so itself. Source: cluster.c, clusterHandleSlaveFailover (needed_quorum),
    clusterUpdateState.
    """
    owners, heard = _owners_known_to(orphaned.candidates[0]), _heard_voters(orphaned)
    if 2 * len(heard) > len(owners):
        return None
    name = orphaned.candidates[0].name
    why = f"{len(heard)} of {len(owners)} primaries can vote for {name}, which is no majority"
    return Hold(guard="majority_can_vote", why=why)


def voters_know_the_candidate(orphaned: Orphaned) -> Hold | None:
    """A primary votes for no node that it has not heard to be a replica, which takes half of cluster-node-timeout; an
    election that is lost meanwhile holds up the next for twenty seconds. Source: cluster.c, clusterHandleSlaveFailover.
    """
    candidate = orphaned.candidates[0]
    owners = _owners_known_to(candidate)
    informed = [voter for voter in _heard_voters(orphaned) if voter.votes_for(candidate)]
    if 2 * len(informed) > len(owners):
        return None
    why = f"{len(informed)} of {len(owners)} primaries have heard by now that {candidate.name} is a replica"
    return Hold(guard="voters_know_the_candidate", why=why)


def _heard_voters(orphaned: Orphaned) -> list[Member]:
    """Primaries that answer, and to whom the candidate is connected."""
    candidate = orphaned.candidates[0]
    owners = _owners_known_to(candidate)
    voters = (member for member in orphaned.world.members if member.slots and member.id in owners)
    return [member for member in voters if candidate.view.others[member.id].link_connected]


FAILOVER_GUARDS: tuple[Guard, ...] = (
    primary_is_proven_dead,
    some_replica_has_the_data,
    majority_can_vote,
    voters_know_the_candidate,
)


def nobody_is_unresponsive(orphaned: Orphaned) -> Hold | None:
    """Without a vote two sides of a cut network would each choose for themselves: so whoever does not answer must be
    proven dead.
    """
    world = orphaned.world
    silent = [name for name, unknown in world.redis.unresponsive.items() if not unknown.refused]
    if not silent:
        return None
    why = f"no majority can vote, and {list_names(silent)} may be alive and only unreachable"
    return Hold(guard="nobody_is_unresponsive", why=why)


def primary_is_not_restarting(orphaned: Orphaned) -> Hold | None:
    """A process that is restarted beside its data set is the primary again in a moment, and has everything."""
    snapshot = orphaned.world.snapshot
    answered = {member.name for member in orphaned.shard.members}
    on_volumes = bool(orphaned.world.instance.spec.storage_class)
    coming = [
        name
        for name in orphaned.shard.wanted
        if name not in answered and _may_bring_data(snapshot.pods.get(name), snapshot.now, on_volumes=on_volumes)
    ]
    if not coming:
        return None
    why = f"{list_names(coming)} may be the primary of shard {orphaned.shard.name} again in a moment"
    return Hold(guard="primary_is_not_restarting", why=why)


def _may_bring_data(pod: PodFacts | None, now: float, *, on_volumes: bool) -> bool:
    if pod is None:
        return on_volumes
    if pod.main_trouble is not None or pod.finished:
        return False
    return pod.ever_ran or (on_volumes and now - pod.created < STARTING_S)


TAKEOVER_GUARDS: tuple[Guard, ...] = (nobody_is_unresponsive, primary_is_not_restarting)


def proof_of_death(orphaned: Orphaned) -> str:
    """Why the primary's process is certainly no more; "": there is no proof."""
    pod = orphaned.pod
    if pod is None:
        return f"the pod of shard {orphaned.shard.name}'s primary, at {orphaned.known.ip}, is gone"
    if any(member.name == pod.name for member in orphaned.shard.members):
        return f"{pod.name} was restarted, with another node id"
    lost = [
        member.name
        for member in orphaned.world.members
        if (known := member.view.others.get(orphaned.primary_id)) is not None and not known.link_connected
    ]
    unknown = orphaned.world.redis.unresponsive.get(pod.name)
    return is_proven_dead(pod, unknown, lost=len(lost), observers=len(orphaned.world.members), losers=list_names(lost))
