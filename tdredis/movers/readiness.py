"""Decides whether a primary can be given slots: it must know who owns them, by which claim, and say that all works.

A node that was met a moment ago refuses every key, also such as MIGRATE brings, until it has heard of all owners. Of a
slot that it is importing it hears nothing more: opened too early, it would belong to nobody there for ever. Source:
cluster.c, clusterUpdateState, clusterUpdateSlotsConfigWith ("importing state"), getNodeByQuery.

Its own claim is made newer than those it has heard of (BUMPEPOCH). One that is older than the source's would be lost to
the source's next ping, and what was moved with it: "I've been deprived of slots" drops their keys. Source: cluster.c,
clusterBumpConfigEpochWithoutConsensus, clusterUpdateSlotsConfigWith ("dirty slots").
"""

from __future__ import annotations

import asyncio

from tdredis.movers.node import Node
from tdredis.movers.progress import MoveFailed
from tdredis.redis.slots import SlotSet

READY_S = 10.0  # a node that rejoins waits for two seconds, and is told of owners by their pings
LOOK_S = 0.05


async def until_ready(source: Node, target: Node) -> None:
    """Waits until *target* can be given slots of *source*. Raises MoveFailed, LinkError."""
    loop = asyncio.get_running_loop()
    until = loop.time() + READY_S
    while True:
        view, own = await target.view(), (await source.view()).me
        unheard = own.slots - SlotSet.union([node.slots for node in (view.me, *view.others.values())])
        known = view.others.get(source.id)
        is_current = known is not None and known.config_epoch >= own.config_epoch
        if not unheard and is_current and await _says_that_it_works(target):
            return
        if loop.time() > until:
            raise MoveFailed(
                f"{target.name} {_what_is_missing(source, unheard, is_current)}: no slot goes there until then"
            )
        await _tell_owner(source, target, unheard)
        await asyncio.sleep(LOOK_S)  # between two looks, under the deadline above


def _what_is_missing(source: Node, unheard: SlotSet, is_current: bool) -> str:
    if unheard:
        return f"has not heard who owns {unheard}"
    return (
        "says that the cluster does not work" if is_current else f"has not heard of the newest claim of {source.name}"
    )


async def _tell_owner(source: Node, target: Node, unheard: SlotSet) -> None:
    """Of slots that it is importing; of others it hears by itself."""
    view = await target.view()
    for slot in view.me.importing.keys() & set(unheard):
        await target.ask("CLUSTER", "SETSLOT", slot, "NODE", source.id)


async def _says_that_it_works(target: Node) -> bool:
    info = await target.ask("CLUSTER", "INFO")
    return isinstance(info, bytes) and b"cluster_state:ok" in info
