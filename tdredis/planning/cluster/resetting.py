"""Decides that nodes which lose a dispute about slots are reset: empty, unknown, soon replicas of those that won."""

from __future__ import annotations

from typing import Final

from tdredis.planning.cluster.members import Member
from tdredis.planning.cluster.world import Shard, World
from tdredis.planning.loss import wants_to_begin_anew
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.pods import everybody_has_answered
from tdredis.planning.sentences import list_names
from tdredis.planning.steps import ResetNode

WHO_KEEPS: Final = "who of two owners keeps their slots"


def reset_losers(world: World) -> Ruling:
    """Nobody owns what another owns by right. What they alone had is dropped, and counted."""
    disputes = world.disputes
    if not disputes.to_reset:
        return Ruling()
    if hold := _all_is_known(world, WHO_KEEPS):
        return Ruling(holds=(hold,))
    losers = [(member, 0 if member.is_replica else member.facts.keys) for member in disputes.to_reset]
    why = f"{disputes.why}; {sum(keys for _, keys in losers)} keys of the other are dropped"
    return Ruling(
        steps=tuple(
            ResetNode(
                process=member.process,
                keys=keys,
                is_replica=member.is_replica,
                apart=_apart(world, member),
                why=why,
            )
            for member, keys in losers
        )
    )


def reset_empty_owners(world: World) -> Ruling:
    """Of two of a shard's processes that own different slots one begins anew, where it has no key: its slots go to the
    other, which it then copies. No key is lost: the engine resets none that has a key by then.
    """
    found = [] if world.contested else [(shard, each) for shard in world.shards for each in _empty_owners(world, shard)]
    if not found:
        return Ruling()
    if hold := _all_is_known(world, WHO_KEEPS):
        return Ruling(holds=(hold,))
    return Ruling(
        steps=tuple(
            ResetNode(
                process=member.process,
                keys=0,
                is_replica=False,
                apart=_apart(world, member),
                flushes=False,
                why=f"shard {shard.name} has two owners, and {member.name} has no key in its {len(member.slots)} slots",
            )
            for shard, member in found
        )
    )


def _empty_owners(world: World, shard: Shard) -> list[Member]:
    """All but one of *shard*'s owners, if no other has a key: who has, or else who has the most slots, stays. One that
    somebody copies, or that moves a slot, is left alone.
    """
    owners = [member for member in shard.members if member.slots and member.name not in world.disputes.losers]
    if len(owners) < 2:
        return []  # as almost everywhere: what follows looks through the whole cluster
    with_keys = [member for member in owners if member.facts.keys]
    if len(with_keys) > 1:
        return []
    stays = with_keys[0] if with_keys else shard.owner
    followed = {member.view.me.primary_id for member in world.members}
    busy = {member.id for members in world.open_slots.values() for member in members}
    return [member for member in owners if member is not stays and member.id not in followed | busy]


def _all_is_known(world: World, what: str) -> Hold | None:
    """Guard: every process answers, and has loaded its data. *what* depends on that."""
    if hold := everybody_has_answered(world.redis, f"{what} is decided when every process answers"):
        return hold
    loading = [member.name for member in world.members if member.facts.loading]
    if not loading:
        return None
    why = f"{list_names(loading)} still loads its data, and {what} depends on it"
    return Hold(guard="everybody_has_loaded", why=why)


def _apart(world: World, member: Member) -> frozenset[str]:
    return frozenset(each.id for each in world.members if not member.view.reaches(each.id))


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


def reset_followers_of_others(world: World) -> Ruling:
    """A shard that is to get slots, and whose processes all replicate another shard's, has nobody to give them to: one
    of them begins anew, and the rest follow it.

    An engine makes a primary that gave its last slot away a replica of who got it (cluster-allow-replica-migration),
    and its replicas go with it. Then the shard is wanted again, or came back with what its volumes say.
    """
    found = [each for shard in world.shards if shard.is_coming for each in _to_begin(world, shard)]
    if not found:
        return Ruling()
    if hold := _all_is_known(world, "which process of a shard that is to get slots begins anew"):
        return Ruling(holds=(hold,))
    return Ruling(
        steps=tuple(
            ResetNode(
                process=member.process,
                keys=0,
                is_replica=True,
                apart=_apart(world, member),
                flushes=False,
                why=f"shard {member.shard} is to get slots, and every process of it replicates another shard's",
            )
            for member in found
        )
    )


def _to_begin(world: World, shard: Shard) -> list[Member]:
    """The first of *shard*'s processes, if all follow others. The keys that they have are of whom they follow."""
    ids = {member.id for member in shard.members}
    copies = [
        member
        for member in shard.members
        if member.is_replica and member.view.me.primary_id in world.by_id.keys() - ids and not member.pod.deleting
    ]
    if len(copies) < len(shard.members) or len(copies) < len(shard.wanted):
        return []
    return [min(copies, key=lambda member: member.name)]
