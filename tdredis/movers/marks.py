"""Decides what two primaries say of slots that are on their way from one to the other: what is left of a move."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tdredis.movers.node import Node
from tdredis.redis.slots import NO_SLOTS, SlotSet
from tdredis.redis.views import ClusterView


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """*opened*: the source gives them away. *only_importing*: the target takes them, the source knows nothing of it.
    *claimed*: they are the target's already, and the source is still to be told, or to be told that they are not open.
    """

    opened: SlotSet = NO_SLOTS
    only_importing: SlotSet = NO_SLOTS
    claimed: SlotSet = NO_SLOTS


def find_marks(
    source: ClusterView, target: ClusterView, source_ids: frozenset[str], target_ids: frozenset[str]
) -> Marks:
    """Of the views of both ends, each of itself. *ids*: of all nodes of either shard: who was made primary of it
    meanwhile has the keys of the one that a mark names.
    """
    given = _of(slot for slot, other in source.me.migrating.items() if other in target_ids)
    taken = _of(slot for slot, other in target.me.importing.items() if other in source_ids)
    claimed = given & target.me.slots
    return Marks(
        opened=(given & source.me.slots) - claimed,
        only_importing=(taken & source.me.slots) - given,
        claimed=claimed | (target.me.slots & source.me.slots),
    )


async def read_marks(source: Node, target: Node) -> Marks:
    """Raises LinkError, ValueError."""
    return find_marks(await source.view(), await target.view(), source.place.ids, target.place.ids)


def _of(slots: Iterable[int]) -> SlotSet:
    bits = 0
    for slot in slots:
        bits |= 1 << slot
    return SlotSet(bits)
