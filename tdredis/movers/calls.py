"""Decides which keys go in one write of MIGRATE calls, and what is done about a call whose connection broke.

A call takes keys of one slot only, and a slot has few: several calls go in one write, which the source carries out one
after another, so that between them it waits for nobody but the target.

Source: redis.io, "MIGRATE"; cluster.c, migrateCommand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tdredis.movers.big_keys import Seen
from tdredis.movers.copies import drop_copies_of
from tdredis.movers.node import MIGRATE_MS, MIGRATE_S, Node
from tdredis.redislink.errors import LinkError, Refused
from tdredis.redislink.pool import Command

WRITE_BYTES = 1 << 20  # of all keys of a write
RETRIES = 2  # of a call whose connection broke: the key is on both nodes then, and REPLACE makes it one again


@dataclass(frozen=True, slots=True)
class Call:
    """Keys of one slot that go together."""

    slot: int
    keys: Sequence[Seen]


class CallFailed(LinkError):
    """The target did not take a call's keys. The message is what the source says of it."""

    def __init__(self, slot: int, refused: Refused) -> None:
        super().__init__(f"slot {slot}: {refused}")
        self.is_of_memory = refused.is_of_memory


def in_writes(keys: Mapping[int, Sequence[Seen]], most: Callable[[], int], most_calls: int) -> Iterator[list[Call]]:
    """All *keys*, by slot, in calls that go together. *most* keys, asked for each write; one, however large, at the
    least. All calls of a write share the time for which the source may be silent.
    """
    calls: list[Call] = []
    room, room_bytes = most(), WRITE_BYTES
    for slot, found in keys.items():
        first = 0
        while first < len(found):
            last, size_bytes = first, 0
            while last < len(found) and last - first < room and size_bytes + found[last].size_bytes <= room_bytes:
                size_bytes += found[last].size_bytes
                last += 1
            if last == first and not calls:  # larger than any write, and alone in its own
                size_bytes = found[last].size_bytes
                last += 1
            if last > first:
                calls.append(Call(slot, found[first:last]))
                room -= last - first
                room_bytes -= size_bytes
                first = last
            if first < len(found) or len(calls) == most_calls or room <= 0:
                yield calls
                calls = []
                room, room_bytes = most(), WRITE_BYTES
    if calls:
        yield calls


async def send(source: Node, target: Node, calls: Sequence[Call]) -> None:
    """Moves the keys of *calls*. One that broke is sent again at once, when what it left at the target is removed: such
    a copy would come back when a client deletes the source's. Raises LinkError; CallFailed: one was refused, or broke
    each time; then those after it are not sent again, for the source would be silent for as long once more.
    """
    commands = [_command(target, call, MIGRATE_MS // len(calls)) for call in calls]
    replies = await source.try_all(commands, timeout_s=MIGRATE_S)
    refused: CallFailed | None = None
    for call, reply in zip(calls, replies, strict=True):
        if not isinstance(reply, Refused):
            continue
        if reply.code == "IOERR":
            await _again(source, target, call, reply)
        else:
            refused = refused or CallFailed(call.slot, reply)
    if refused is not None:
        raise refused


async def _again(source: Node, target: Node, call: Call, broke: Refused) -> None:
    """A target that is frozen is waited for here: MIGRATE would keep the source from all its clients meanwhile."""
    last = broke
    names = [seen.name for seen in call.keys]
    for _ in range(RETRIES):
        await drop_copies_of(source, target, names)
        [reply] = await source.try_all([_command(target, call, MIGRATE_MS)], timeout_s=MIGRATE_S)
        if not isinstance(reply, Refused):
            return
        last = reply
        if last.code != "IOERR":
            break
    await drop_copies_of(source, target, names)
    raise CallFailed(call.slot, last)


def _command(target: Node, call: Call, timeout_ms: int) -> Command:
    secret: Command = ("AUTH2", "default", target.password) if target.password else ()
    return (
        *("MIGRATE", target.place.host, target.place.port, "", 0, timeout_ms, "REPLACE"),
        *(*secret, "KEYS", *(seen.name for seen in call.keys)),
    )
