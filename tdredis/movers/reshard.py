"""Decides in which order planned moves are carried out, by which way of the engine, and when all nodes agree on them.

Moves of a round have no node in common and go on side by side. First comes what somebody left open: a slot that is open
between two nodes can go nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from tdredis.movers.atomic import AtomicMover, find_way
from tdredis.movers.node import Node, open_node
from tdredis.movers.pace import Pace, Pacer
from tdredis.movers.progress import End, Left, MayGoOn, MoveFailed, Progress, Word
from tdredis.movers.room import look_at
from tdredis.movers.slots import SlotMover
from tdredis.redis.loads import ShardLoad
from tdredis.redis.moves import Move, in_rounds
from tdredis.redis.places import Place
from tdredis.redis.slots import NO_SLOTS
from tdredis.redislink.access import Access
from tdredis.redislink.link import connect as connect_link
from tdredis.redislink.pool import Connect

AGREE_S = 10.0  # nodes tell each other within a ping or two


@dataclass(slots=True)
class Resharding:
    """Moves between primaries: *places* by the names that moves use. *progress* is read while it goes on. Once
    *may_act*, asked before everything that is sent, says no, another one leads.
    """

    places: Mapping[str, Place]
    access: Access = field(repr=False)
    pace: Pace
    may_go_on: MayGoOn
    may_act: Callable[[], bool] = lambda: True
    connect: Connect = connect_link
    progress: dict[tuple[str, str], Progress] = field(default_factory=dict)  # by source and target

    async def finish(self) -> End:
        """Brings to its end what somebody left open. Raises MoveFailed, LinkError, ValueError."""
        try:
            for move in await self._left_open():
                if (end := await self._pair(move)) is not End.DONE:
                    return end
        except Left:
            return End.LEFT
        return End.DONE

    async def survey(self) -> list[ShardLoad]:
        """What every shard holds, and has room for. Raises MoveFailed, LinkError, ValueError, Left."""
        found = []
        for _, place in sorted(self.places.items()):
            async with AsyncExitStack() as stack:
                found.append(await look_at(await self._open(place, stack)))
        return found

    async def run(self, moves: Sequence[Move]) -> End:
        """Carries out *moves*, what is open before them. Raises MoveFailed, LinkError or ValueError: the first that
        went wrong, after the moves beside it are over.
        """
        if (end := await self.finish()) is not End.DONE:
            return end
        try:
            return await self._in_rounds(moves)
        except Left:
            return End.LEFT

    async def _in_rounds(self, moves: Sequence[Move]) -> End:
        for round_ in in_rounds(moves):
            results = await asyncio.gather(*map(self._pair, round_), return_exceptions=True)
            ends: list[End] = []
            for result in results:
                if isinstance(result, BaseException):
                    raise result
                ends.append(result)
            if worse := [end for end in ends if end is not End.DONE]:
                return End.LEFT if End.LEFT in worse else End.STOPPED
        await self._agree()
        return End.DONE

    async def _left_open(self) -> list[Move]:
        """A move without slots for each two nodes between which some are open: it finishes these."""
        by_id = {node_id: name for name, place in self.places.items() for node_id in place.ids}
        found: dict[tuple[str, str], None] = {}
        for name, place in self.places.items():
            async with AsyncExitStack() as stack:
                node = await self._open(place, stack)
                me = (await node.view()).me
            found |= {(name, by_id[other]): None for other in me.migrating.values() if other in by_id}
            found |= {(by_id[other], name): None for other in me.importing.values() if other in by_id}
        return [Move(source=a, target=b, slots=NO_SLOTS, keys=0, size_bytes=0) for a, b in sorted(found)]

    async def _pair(self, move: Move) -> End:
        source, target = self.places[move.source], self.places[move.target]
        progress = self.progress.setdefault((move.source, move.target), Progress())
        async with AsyncExitStack() as stack:
            ends = [await self._open(place, stack) for place in (source, target)]
            await _know_each_other(*ends)
            heard = [await self._open(place, stack) for place in (source, target)]
            pacer = Pacer(self.pace)
            await stack.enter_async_context(pacer.listening(heard))
            mover = SlotMover(*ends, pacer=pacer, may_go_on=self.may_go_on, progress=progress)
            if (way := await find_way(ends[0])) is None:
                return await mover.move(move.slots)
            atomic = AtomicMover(*ends, way=way, may_go_on=self.may_go_on, progress=progress)
            # A slot of a job under way looks open at its end, and is the engine's; the engine moves none that is open.
            for each in (atomic, mover):
                if (end := await each.move(NO_SLOTS)) is not End.DONE:
                    return end
            return await atomic.move(move.slots)

    async def _open(self, place: Place, stack: AsyncExitStack) -> Node:
        node = await open_node(place, self.access, connect=self.connect, may_act=self.may_act)
        stack.callback(node.close)
        return node

    async def _agree(self) -> None:
        """Waits until every primary names the same owner of every slot, and tells those who do not hear of it. Raises
        MoveFailed: even then somebody believes something else.
        """
        async with AsyncExitStack() as stack:
            nodes = [await self._open(place, stack) for _, place in sorted(self.places.items())]
            told = False
            end = asyncio.get_running_loop().time() + AGREE_S
            while True:
                views = [await node.view() for node in nodes]
                owned = {view.me.id: view.me.slots for view in views}
                wrong = [
                    (node, owner, slots - (view.others[owner].slots if owner in view.others else NO_SLOTS))
                    for node, view in zip(nodes, views, strict=True)
                    for owner, slots in owned.items()
                    if owner != node.id
                ]
                wrong = [(node, owner, slots) for node, owner, slots in wrong if slots]
                if not wrong:
                    return
                now = asyncio.get_running_loop().time()
                if now > end:
                    node, owner, slots = wrong[0]
                    raise MoveFailed(f"{node.name} does not believe that {owner} owns {slots}")
                if not told and now > end - AGREE_S / 2:
                    told = True
                    for node, owner, slots in wrong:
                        await node.try_all([("CLUSTER", "SETSLOT", slot, "NODE", owner) for slot in slots])
                await asyncio.sleep(0.05)  # the pace of looking, under the deadline above


async def _know_each_other(source: Node, target: Node) -> None:
    """Waits until each takes the other for a primary: after a failover others hear of it a moment later. Raises
    LinkError, MoveFailed.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + AGREE_S
    while True:
        views = [await source.view(), await target.view()]
        met = [view.others.get(other) for view, other in zip(views, (target.id, source.id), strict=True)]
        if all(node is not None and not node.is_replica and node.link_connected for node in met):
            return
        for node, view in zip((source, target), views, strict=True):
            if view.me.id != node.id or view.me.is_replica:
                raise MoveFailed(f"{node.name} is not the primary {node.id} any more")
        if loop.time() > deadline:
            raise MoveFailed(f"{source.name} and {target.name} do not take each other for primaries")
        await asyncio.sleep(0.05)  # the pace of looking, under the deadline above


def always() -> Word:
    """For whoever is never stopped."""
    return Word.GO
