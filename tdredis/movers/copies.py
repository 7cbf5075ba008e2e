"""Decides which keys of a slot that is being taken over are copies of what its owner has, and removes them.

A copy is harmless as long as the owner has the key, which it serves. When a client deletes that, the copy would count
as moved, and the deletion be undone. Source: redis.io, "MIGRATE" (IOERR: "the key may be on both").
"""

from __future__ import annotations

from collections.abc import Sequence

from tdredis.movers.node import ASKING, Node, is_of_memory, raise_refused
from tdredis.redislink.errors import Refused
from tdredis.redislink.pool import Command

TOGETHER = 500  # names a round trip


async def drop_copies_of(source: Node, target: Node, names: Sequence[bytes]) -> int:
    """Removes from *target* what *source*, the owner, has too of *names*, keys of one slot that is open; returns how
    many *target* alone has. Raises LinkError.

    Clients are sent to *target* for what *source* has not: so one that both have is a copy, unless a client deletes it
    at *source* in this moment and writes it anew at *target*, where it is WATCHed.
    """
    alone = 0
    for start in range(0, len(names), TOGETHER):
        part = names[start : start + TOGETHER]
        copies, others = await _watch(source, target, part)
        alone += others
        if not await unlink_watched(target, copies):
            for name in copies:  # somebody wrote one of them, or one has expired
                again, _ = await _watch(source, target, [name])
                await unlink_watched(target, again)
    return alone


async def _watch(source: Node, target: Node, names: Sequence[bytes]) -> tuple[list[bytes], int]:
    """Those of *names* that both have, which *target* WATCHes; and how many it alone has."""
    watching: list[Command] = [word for name in names for word in (ASKING, ("WATCH", name), ASKING, ("EXISTS", name))]
    there = (await target.ask_all(watching))[3::4]
    here = [name for name, reply in zip(names, there, strict=True) if reply == 1]
    # ASK is the answer to what is gone from a slot that is given away.
    owned = await source.try_all([("EXISTS", name) for name in here]) if here else []
    copies = [name for name, reply in zip(here, owned, strict=True) if reply == 1]
    return copies, len(here) - len(copies)


async def unlink_watched(target: Node, names: Sequence[bytes]) -> bool:
    """Removes *names*, which *target* WATCHes. False: none of them, because one has been changed. Together they are
    refused where one is missing by now (TRYAGAIN). Raises LinkError.
    """
    if not names:
        await target.ask("UNWATCH")
        return True
    unlinks: list[Command] = [("UNLINK", name) for name in names]
    *_, asked = await target.try_all([ASKING, ("SETRANGE", names[0], 0, "")])  # nothing is written by it
    if is_of_memory(asked):
        # At maxmemory none of them is queued. But an EXEC of nothing says whether one was changed, and as long as it is
        # full nobody writes one.
        *_, outcome = await target.try_all([("MULTI",), ("EXEC",)])
        if isinstance(outcome, list):
            await target.ask_asking(unlinks)
        return isinstance(outcome, list)
    *_, outcome = await target.try_all([ASKING, ("MULTI",), *unlinks, ("EXEC",)])
    if isinstance(outcome, Refused) and outcome.code not in {"EXECABORT", "TRYAGAIN"}:
        raise outcome
    if isinstance(outcome, list):
        raise_refused(outcome)
    return isinstance(outcome, list)
