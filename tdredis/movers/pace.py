"""Decides how fast keys are moved: how many go in a call, and when the nodes need a moment for their clients.

MIGRATE stops both of its nodes for as long as it takes. So its size is held by its own duration; and each node is asked
for a PING all the while, by a connection of its own, which waits as long as a client's command would.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tdredis.movers.node import ANSWER_S, Node
from tdredis.movers.progress import Left
from tdredis.redislink.errors import LinkError

LEAST_KEYS, MOST_KEYS = 5, 100  # a call: above a hundred nothing is gained, it only stops the nodes for longer
PING_EVERY_S = 0.01
LEAST_REST_S = 0.002  # shorter ones are saved up: a timer has a millisecond


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """*hold_s*: what a MIGRATE may take. *late_s*: a PING that took longer asks for a rest; None: there is none.
    *rest_share*: how long the nodes are left alone, as a share of the time that they were kept busy. *settings*: how
    many SETSLOT go in one write; *calls*: how many MIGRATE, each of another slot.
    """

    name: str
    rest_share: float
    hold_s: float
    late_s: float | None
    settings: int
    calls: int

    @property
    def looks_ahead(self) -> bool:
        """What goes next is looked at while keys are moved."""
        return self.rest_share == 0


GENTLE = Pace(name="gentle", rest_share=1.0, hold_s=0.0025, late_s=0.004, settings=8, calls=2)
FAST = Pace(name="fast", rest_share=0.0, hold_s=0.010, late_s=None, settings=16, calls=4)


class Pacer:
    """The pace of one pair of nodes, as it has become."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.keys = MOST_KEYS // 2
        self.settings = pace.settings
        self._late_s = 0.0
        self._owed_s = 0.0

    def moved(self, keys: int, took_s: float) -> None:
        """*keys* were moved by one call, that took so long. The longer ones count for the size of the next."""
        if took_s > self.pace.hold_s:
            self.keys = max(LEAST_KEYS, min(self.keys, keys) * 3 // 4)
        elif keys >= self.keys and took_s < self.pace.hold_s * 0.8:
            self.keys = min(MOST_KEYS, self.keys + 1 + self.keys // 8)

    def heard(self, took_s: float) -> None:
        """A PING took so long."""
        if self.pace.late_s is not None and took_s > self.pace.late_s:
            self._late_s = max(self._late_s, took_s)

    async def kept_busy(self, took_s: float) -> None:
        """The nodes were asked something that took so long: they are left alone for their share of it."""
        self._owed_s += took_s * self.pace.rest_share
        if self._owed_s >= LEAST_REST_S:
            owed_s, self._owed_s = self._owed_s, 0.0
            await asyncio.sleep(min(owed_s, 0.05))

    async def rest(self) -> None:
        """Gives the nodes as much time for others as the last late PING had to wait; fewer settings go in one write
        from then on, and one more again after each time when none was late.
        """
        late_s, self._late_s = self._late_s, 0.0
        if late_s:
            self.settings = max(1, self.settings // 2)
            await asyncio.sleep(min(late_s, 0.05))
        elif self.settings < self.pace.settings:
            self.settings += 1

    @asynccontextmanager
    async def listening(self, nodes: Sequence[Node]) -> AsyncIterator[None]:
        """During the block *nodes*, connections that nobody else uses, are asked for PINGs."""
        if self.pace.late_s is None:
            yield
            return
        tasks = [asyncio.create_task(self._listen(node), name=f"ping {node.name}") for node in nodes]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _listen(self, node: Node) -> None:
        """Ends with the connection, or the lead: whoever moves keys hears of that too, by his own."""
        loop = asyncio.get_running_loop()
        while True:
            asked_at = loop.time()
            try:
                await node.ask("PING", timeout_s=ANSWER_S)
            except (LinkError, Left):
                return
            self.heard(loop.time() - asked_at)
            await asyncio.sleep(PING_EVERY_S)
