"""Decides that nodes which lose a dispute about slots begin anew: empty, unknown, soon replicas of those who won."""

from __future__ import annotations

from tdredis.planning.cluster.waiting import everybody_has_answered
from tdredis.planning.cluster.world import World
from tdredis.planning.objects import Ruling, list_names
from tdredis.planning.plan import Hold
from tdredis.planning.slot_steps import ResetNode


def reset_losers(world: World) -> Ruling:
    """Nobody owns what another owns by right. What they alone had is dropped, and counted."""
    disputes = world.disputes
    if not disputes.to_reset:
        return Ruling()
    if hold := everybody_has_answered(
        world, "who of two owners keeps their slots is decided when every process answers"
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
