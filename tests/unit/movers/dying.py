"""A mover that is killed: its connections take so many commands, and none of what follows happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from tdredis.redislink.access import Access
from tdredis.redislink.link import Link, connect
from tdredis.redislink.pool import Command


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


# To be killed before one of these is to be killed before the next command that changes something.
READS = frozenset(
    {"MEMORY", "TYPE", "GETRANGE", "LRANGE", "STRLEN", "LLEN", "EXISTS", "PTTL", "WATCH", "ASKING", "PING"}
)
CLUSTER_READS = frozenset({"NODES", "COUNTKEYSINSLOT", "GETKEYSINSLOT", "GETSLOTMIGRATIONS", "MIGRATION"})


def changes(command: Command) -> bool:
    """Whether it may change something."""
    return command[0] not in READS and (command[0] != "CLUSTER" or command[1] not in CLUSTER_READS)


class Dying:
    """Connects as `link.connect` does; after *commands* of them that change something, counted over all connections,
    nothing more is sent: of a pipeline what came before is, as when the process dies in the middle of writing it.
    """

    def __init__(self, commands: int) -> None:
        self.left = commands

    def is_dead(self) -> bool:
        return self.left < 0

    async def __call__(
        self, host: str, port: int, *, access: Access, timeout_s: float, on_lost: Callable[[], None] | None = None
    ) -> Link:
        if self.is_dead():
            raise Killed
        link = await connect(host, port, access=access, timeout_s=timeout_s, on_lost=on_lost)
        return cast("Link", _DyingLink(link, self))


class _DyingLink:
    def __init__(self, link: Link, dying: Dying) -> None:
        self._link = link
        self._dying = dying
        self.accepted = link.accepted

    async def call(self, *words: str | bytes | int, timeout_s: float) -> object:
        (reply,) = await self.call_all([words], timeout_s=timeout_s)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def call_all(self, commands: Sequence[Command], *, timeout_s: float) -> list[object]:
        if self._dying.is_dead():
            raise Killed
        sent: list[Command] = []
        for command in commands:
            self._dying.left -= changes(command)
            if self._dying.is_dead():
                break
            sent.append(command)
        replies = await self._link.call_all(sent, timeout_s=timeout_s) if sent else []
        if self._dying.is_dead():
            raise Killed
        return replies

    def close(self) -> None:
        self._link.close()
