"""Decides how a target takes the slots that it has all keys of: those of a group at once, or one by one.

At once is better: all nodes hear of it together, and no replica of the source takes some of the slots back, empty. But
a node at maxmemory queues nothing for a transaction, not even what needs no memory. It must have the slots all the
same: their keys are there, and every client is sent from one node to the other until it has them.

Source: server.c, processCommand ("If client is in MULTI/EXEC context, queuing may consume an unlimited amount of
memory"); cluster.c, clusterCommand (SETSLOT NODE of a slot that is being imported takes a newer epoch, and tells all).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tdredis.movers.node import Node, is_of_memory, raise_refused
from tdredis.redislink.pool import Command

BUMP_EPOCH: Final[Command] = ("CLUSTER", "BUMPEPOCH")


async def claim(target: Node, slots: Sequence[int]) -> None:
    """*target*, which imports *slots*, one at the least, owns them. Valkey 8 does not survive a SETSLOT within a
    transaction: that of the last one follows, and tells everybody of all. Raises LinkError.
    """
    *others, last = slots
    taken: list[Command] = [("CLUSTER", "DELSLOTS", *others), ("CLUSTER", "ADDSLOTS", *others)] if others else []
    replies = await target.try_all([("MULTI",), *taken, BUMP_EPOCH, ("EXEC",), _take(target, last)])
    if any(map(is_of_memory, replies)):
        replies = await target.try_all([_take(target, slot) for slot in slots])
    raise_refused(replies)


def _take(target: Node, slot: int) -> Command:
    return ("CLUSTER", "SETSLOT", slot, "NODE", target.id)
