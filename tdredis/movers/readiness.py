"""Decides whether a primary can be given slots: it must know who owns them now, and say that the cluster works.

A node that was met a moment ago refuses every key, also such as MIGRATE brings, until it has heard of all owners. Of a
slot that it is importing it hears nothing more: opened too early, it would belong to nobody there for ever. Source:
cluster.c, clusterUpdateState, clusterUpdateSlotsConfigWith ("importing state"), getNodeByQuery.
"""

from __future__ import annotations

import asyncio

from tdredis.movers.node import Node
from tdredis.movers.progress import MoveFailed
from tdredis.redis.slots import SlotSet

READY_S = 10.0  # a node that rejoins waits for two seconds, and is told of owners by their pings
LOOK_S = 0.05


async def until_ready(source: Node, target: Node, owned: SlotSet) -> None:
    """Waits until *target* can be given some of *owned*, the slots of *source*. Raises MoveFailed, LinkError."""
    loop = asyncio.get_running_loop()
    until = loop.time() + READY_S
    while True:
        unheard = await _unheard(target, owned)
        if not unheard and await _says_that_it_works(target):
            return
        if loop.time() > until:
            said = f"has not heard who owns {unheard}" if unheard else "says that the cluster does not work"
            raise MoveFailed(f"{target.name} {said}: no slot goes there until then")
        await _tell_owner(source, target, unheard)
        await asyncio.sleep(LOOK_S)  # between two looks, under the deadline above


async def _unheard(target: Node, owned: SlotSet) -> SlotSet:
    view = await target.view()
    return owned - SlotSet.union([node.slots for node in (view.me, *view.others.values())])


async def _tell_owner(source: Node, target: Node, unheard: SlotSet) -> None:
    """Of slots that it is importing; of others it hears by itself."""
    view = await target.view()
    for slot in view.me.importing.keys() & set(unheard):
        await target.ask("CLUSTER", "SETSLOT", slot, "NODE", source.id)


async def _says_that_it_works(target: Node) -> bool:
    info = await target.ask("CLUSTER", "INFO")
    return isinstance(info, bytes) and b"cluster_state:ok" in info
