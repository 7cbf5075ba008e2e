"""Decides which processes of a cluster may be followed: they are told the instance's own user (manifests/peers.py)."""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.planning.cluster.members import Member
from tdredis.planning.cluster.world import Shard, World
from tdredis.planning.peers import tell_user
from tdredis.planning.plan import Ruling


def log_in_to_peers(world: World) -> Ruling:
    """As `planning.peers` says. A process without a place in its cluster is not told: it may have begun anew, without
    data, where replicas still look for their primary. But who is to be the primary of a new shard gets no slots before
    its replicas are in sync: it is told once nobody would empty himself after it.
    """
    heads = frozenset(head.name for head in _heads_of_new_shards(world))
    return tell_user(world, [member for member in world.members if member.has_place or member.name in heads])


def _heads_of_new_shards(world: World) -> Iterator[Member]:
    if world.redis.has_unknown or world.redis.starting:
        return  # who does not answer may have a copy, and look for its primary
    if any(_holds_data(each) and each.view.me.primary_id not in world.by_id for each in world.members):
        return
    for shard in world.shards:
        if shard.is_coming and shard.head is not None and _nobody_has_keys_but(shard.head, shard):
            yield shard.head


def _holds_data(member: Member) -> bool:
    return member.is_replica and (member.facts.keys > 0 or member.facts.loading)


def _nobody_has_keys_but(head: Member, shard: Shard) -> bool:
    """And all of its processes say so."""
    others = [member for member in shard.members if member is not head]
    if {*shard.wanted} - {member.name for member in shard.members}:
        return False
    return not any(member.facts.keys or member.facts.loading for member in others)
