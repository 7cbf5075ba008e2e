"""Decides that nodes which lose a dispute about slots are reset: empty, unknown, soon replicas of those that won."""

from __future__ import annotations

from tdredis.planning.cluster.world import World
from tdredis.planning.loss import wants_to_begin_anew
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.pods import everybody_has_answered
from tdredis.planning.sentences import list_names
from tdredis.planning.steps import ResetNode


def reset_losers(world: World) -> Ruling:
    """Nobody owns what another owns by right. What they alone had is dropped, and counted."""
    disputes = world.disputes
    if not disputes.to_reset:
        return Ruling()
    if hold := everybody_has_answered(
        world.redis, "who of two owners keeps their slots is decided when every process answers"
    ):
        return Ruling(holds=(hold,))
    loading = [member.name for member in world.members if member.facts.loading]
    if loading:
        why = f"{list_names(loading)} still loads its data, and who of two owners keeps their slots depends on it"
        return Ruling(holds=(Hold(guard="everybody_has_loaded", why=why),))
    losers = [(member, 0 if member.is_replica else member.facts.keys) for member in disputes.to_reset]
    why = f"{disputes.why}; {sum(keys for _, keys in losers)} keys of the other are dropped"
    return Ruling(
        steps=tuple(
            ResetNode(
                process=member.process,
                keys=keys,
                is_replica=member.is_replica,
                apart=frozenset(each.id for each in world.members if not member.view.reaches(each.id)),
                why=why,
            )
            for member, keys in losers
        )
    )


def reset_empty_replicas(world: World) -> Ruling:
    """Replicas of a primary that is gone, without a copy of its data, wait for it for ever: where the owner has said
    that the data is given up, they are reset, and one of them gets the slots.
    """
    if not world.lost or not wants_to_begin_anew(world.snapshot.cluster):
        return Ruling()
    return Ruling(
        steps=tuple(
            ResetNode(
                process=member.process,
                keys=0,
                is_replica=True,
                apart=frozenset(),
                why=f"shard {shard.name} is to start empty, and {member.name} waits for a primary that is gone",
            )
            for shard in world.shards
            if shard.name in world.lost
            for member in shard.members
            if member.is_replica and member.view.me.primary_id not in world.by_id
        )
    )
