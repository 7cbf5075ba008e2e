"""Decides what goes before a slot that a mover left open is opened, moved, taken or closed: what no user has written.

A mover that was killed is followed by one that knows its marks, or, where slots are not to move any more, by the steps
that close what is open. To these a copy would be a key like any other, and would bring back what a client has deleted.
Source: redis.io, "ASKING"; cluster.c, getNodeByQuery.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from tdredis.planning.steps import CloseSlot, MoveKeys, OpenSlot, Process, RedisStep, TakeSlot
from tdredis.redis.slot_marks import given, named, reserved
from tdredis.redislink.errors import Refused
from tdredis.redislink.pool import Command

# The replies, in one round trip; what is refused is a Refused among them.
Ask: TypeAlias = Callable[[Process, Sequence[Command]], Awaitable[list[object]]]

ASKING: Final[Command] = ("ASKING",)
NOT_THERE: Final = frozenset({"ASK", "MOVED", "CLUSTERDOWN"})  # the last: of a slot that nobody owns


async def drop_marks(ask: Ask, step: RedisStep) -> None:
    """What has to go before *step*. Raises LinkError."""
    match step:
        case OpenSlot(direction="MIGRATING"):
            await _take_back(ask, step.process, step.other, step.slot)
        case MoveKeys():
            await _drop(ask, step.target, step.slot)
            await _drop(ask, step.process, step.slot)
        case TakeSlot():
            await _drop(ask, step.process, step.slot)
        case CloseSlot(nobody_else_has_keys=True):
            await _drop(ask, step.process, step.slot)
        case _:
            return


async def _take_back(ask: Ask, source: Process, target: Process, slot: int) -> None:
    """From now on clients are sent to *target*. What was announced there, and *source* has not given away, are copies.
    Where *source* gives the slot away (ASK) it may have forgotten what it gave: then they stay.
    """
    (_, names) = await ask(target, [ASKING, ("LRANGE", named(slot), 0, -1)])
    if not isinstance(names, list):
        raise names if isinstance(names, Refused) else Refused(f"LRANGE answered {type(names).__name__}")
    if names:
        (is_given,) = await ask(source, [("EXISTS", given(slot))])
        if isinstance(is_given, Refused) and is_given.code != "ASK":
            raise is_given
        if is_given == 0:
            await _unlink(ask, target, [name for name in names if isinstance(name, bytes)])
    await _drop(ask, target, slot)


async def _drop(ask: Ask, process: Process, slot: int) -> None:
    await _unlink(ask, process, reserved(slot))


async def _unlink(ask: Ask, process: Process, names: Sequence[str | bytes]) -> None:
    """One command a name: together they are refused where some are missing (TRYAGAIN)."""
    commands: list[Command] = [word for name in names for word in (ASKING, ("UNLINK", name))]
    for reply in await ask(process, commands):
        if isinstance(reply, Refused) and reply.code not in NOT_THERE:
            raise reply
