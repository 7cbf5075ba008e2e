"""Decides whether owners of slots are missing from a cluster that is made again on its volumes, without a record.

Its nodes remember each other. An owner whom they remember, and who is in none of its pods, was in a shard beyond size,
or its volume came back empty: its slots are not started empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tdredis.api.rediscluster import RedisCluster
from tdredis.planning.cluster.members import Member
from tdredis.planning.loss import command_to_begin_anew
from tdredis.redis.slots import SlotSet

REMEMBERED: Final = ""  # stands for the name of a shard that nobody knows


def lost_owners(
    cluster: RedisCluster,
    shards: Sequence[tuple[Member | None, Sequence[Member]]],
    *,
    ghosts: Sequence[str],
    free: SlotSet,
) -> str:
    """Who is missing, and what to do about it; "": nobody. *shards*: of each its owner and its processes, which all
    answered. *ghosts*: ids that somebody knows and no process has. *free*: slots that nobody owns.

    Where there is a key every slot had an owner once. A shard that forgot who it was and has its data is no loss: it is
    one of *ghosts* under another id.
    """
    members = [member for _, each in shards for member in each]
    if not any(member.facts.keys or member.facts.loading for member in members):
        return ""
    told = [known for member in members for known in member.view.others.values() if known.slots & free]
    gone = {ghost: SlotSet.union(known.slots & free for known in told if known.id == ghost) for ghost in ghosts}
    gone = {ghost: slots for ghost, slots in gone.items() if slots}
    forgot = sum(_forgot(owner, each) for owner, each in shards)
    if len(gone) <= forgot:
        return ""
    size, was = len(shards), len(shards) + len(gone) - sum(owner is None for owner, _ in shards)
    more = f"If there were more shards, write size: {was} as it was; otherwise restore" if was > size else "Restore"
    return (
        f"nodes remember {len(gone)} that owned slots {SlotSet.union(gone.values())} and are in no pod: these slots are"
        f" not started empty. {more} the data (volumes), or give it up: {command_to_begin_anew(cluster)}"
    )


def _forgot(owner: Member | None, members: Sequence[Member]) -> bool:
    """The shard is one of those who are remembered, under a new id."""
    if owner is not None:
        return bool(owner.facts.lost)
    return any(member.facts.keys or member.facts.loading or member.facts.lost for member in members)
