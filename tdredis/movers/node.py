"""Decides how one primary is spoken to while slots are moved: as whom, with which deadlines, and over which link."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tdredis.movers.progress import Left, NoRoomLeft
from tdredis.redis.places import Place
from tdredis.redis.views import ClusterView, parse_cluster_nodes
from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError, Refused
from tdredis.redislink.link import Link, connect
from tdredis.redislink.pool import Command, Connect

ANSWER_S = 10.0  # of anything but MIGRATE
# Without a byte of progress, of all calls of one write together. The source answers nobody meanwhile: of a target that
# is frozen it must not learn for so long that the others take it for dead as well.
MIGRATE_MS = 1000
MIGRATE_S = 15.0
ASKING: Command = ("ASKING",)


class Node:
    """An open connection to the primary at *place*. Whoever opens it closes it."""

    def __init__(self, place: Place, link: Link, may_act: Callable[[], bool]) -> None:
        self.place = place
        self._link = link
        self._may_act = may_act

    @property
    def id(self) -> str:
        return self.place.id

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def password(self) -> str:
        """The one that it accepted; "" is none."""
        return self._link.accepted or ""

    async def ask(self, *words: str | bytes | int, timeout_s: float = ANSWER_S) -> object:
        """One command's reply. Raises LinkError (Refused has Redis' own words), NoRoomLeft, Left."""
        [reply] = await self.ask_all([words], timeout_s=timeout_s)
        return reply

    async def ask_all(self, commands: Sequence[Command], *, timeout_s: float = ANSWER_S) -> list[object]:
        """The replies to all, in one round trip. Raises LinkError, the first that was refused too; NoRoomLeft."""
        replies = await self.try_all(commands, timeout_s=timeout_s)
        self.require_memory(replies)
        raise_refused(replies)
        return replies

    async def try_all(self, commands: Sequence[Command], *, timeout_s: float = ANSWER_S) -> list[object]:
        """As `ask_all`, but that what is refused is a Refused in the list."""
        self._require_lead()
        return await self._link.call_all(commands, timeout_s=timeout_s)

    def require_memory(self, replies: Sequence[object]) -> None:
        """Raises NoRoomLeft: it is at maxmemory, as one of *replies* says. It refuses what needs memory then, and
        whatever is to be queued between MULTI and EXEC (server.c, processCommand).
        """
        for reply in replies:
            if is_of_memory(reply):
                raise NoRoomLeft(f"{self.name} has no memory left: {reply}")

    def _require_lead(self) -> None:
        """Nothing is awaited between this and the command: a process can be stopped there, and go on much later."""
        if not self._may_act():
            raise Left

    async def ask_asking(self, commands: Sequence[Command]) -> list[object]:
        """Replies to *commands* about keys of slots that it is taking over. Raises LinkError."""
        asked = [word for command in commands for word in (ASKING, command)]
        return (await self.ask_all(asked))[1::2]

    async def view(self) -> ClusterView:
        """What it believes of the cluster. Raises LinkError, ValueError."""
        reply = await self.ask("CLUSTER", "NODES")
        if not isinstance(reply, bytes):
            raise Refused(f"{self.name} answered CLUSTER NODES with {type(reply).__name__}")
        return parse_cluster_nodes(reply.decode())

    async def counts(self, slots: Sequence[int]) -> dict[int, int]:
        """Keys in each of *slots*. Raises LinkError."""
        replies = await self.ask_all([("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in slots])
        return {slot: int(str(reply)) for slot, reply in zip(slots, replies, strict=True)}

    def close(self) -> None:
        self._link.close()


async def open_node(
    place: Place, access: Access, *, connect: Connect = connect, may_act: Callable[[], bool] = lambda: True
) -> Node:
    """Raises LinkError: it is not reached, or no password of *access* is right. Once *may_act* says no, nothing more is
    sent to it: Left is raised.
    """
    return Node(place, await connect(place.host, place.port, access=access, timeout_s=ANSWER_S), may_act)


def is_of_memory(reply: object) -> bool:
    """Whether it is a Refused because a node is at maxmemory."""
    return isinstance(reply, Refused) and reply.is_of_memory


def raise_refused(reply: object) -> None:
    """What EXEC answers has the refused ones in a list of its own."""
    if isinstance(reply, LinkError):
        raise reply
    if isinstance(reply, list):
        for each in reply:
            raise_refused(each)
