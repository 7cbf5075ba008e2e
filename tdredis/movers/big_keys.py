"""Decides how a big key goes to its new owner without stopping either for longer than one piece of it takes.

MIGRATE of a key stops both nodes until all of it is there: a hash of 38 MB for a second. So a big key is copied in
pieces, under another name of the same slot, while its owner goes on serving it. The owner WATCHes it: in the end the
copy gets its name, and the owner deletes the key only if nobody has changed it since, in the same transaction in which
the slot begins to be given away. Until then no client is ever sent to the copy; from then on, all are.

Source: redis.io, "WATCH", "SCAN" (an element that stays is returned at least once), "CLUSTER SETSLOT".
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

from tdredis.movers.node import ASKING, Node, raise_refused
from tdredis.redis.slots import SLOT_COUNT
from tdredis.redislink.errors import Refused
from tdredis.redislink.pool import Command

PIECE_BYTES = 256 * 1024
MOST_ELEMENTS = 2000  # of a piece
KINDS = frozenset({b"string", b"list", b"hash", b"set", b"zset"})  # what can be put together from pieces
NO_KINDS: frozenset[bytes] = frozenset()
COPY_NAME = "td-redis-operator:copy:{%s}:%d"
MOST_COPIES = 16  # big keys of one slot that are on their way at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A key, as it was found: *size_bytes* by MEMORY USAGE."""

    name: bytes
    size_bytes: int


@lru_cache(maxsize=256)
def copy_names(slot: int) -> tuple[str, ...]:
    """The names under which copies of big keys of *slot* are made. They are in that slot."""
    tag = next(str(number) for number in count() if crc_hqx(str(number).encode(), 0) % SLOT_COUNT == slot)
    return tuple(COPY_NAME % (tag, number) for number in range(MOST_COPIES))


async def kinds_in_pieces(source: Node) -> frozenset[bytes]:
    """None of Valkey 8: SETSLOT, by which a copied key is handed over in a transaction, waits for the replicas there,
    and a server whose EXEC is to wait ends itself ("multi.c: c->flag.blocked == 0", 8.0.1).
    """
    info = await source.ask("INFO", "server")
    return NO_KINDS if isinstance(info, bytes) and b"server_name:valkey" in info else KINDS


async def kind_of(source: Node, key: bytes) -> bytes:
    """TYPE, as bytes; b"none": it is gone."""
    reply = await source.ask("TYPE", key)
    return reply if isinstance(reply, bytes) else b""


async def copy_key(source: Node, target: Node, key: Seen, kind: bytes, name: str) -> None:
    """*key* of *source*, piece by piece, as *name* of *target*, which imports its slot. Raises LinkError. What it makes
    is good only if the key was not changed meanwhile.
    """
    await target.ask_asking([("UNLINK", name)])
    async for commands in _pieces(source, key, kind, name):
        await target.ask_asking(commands)
    left_ms = _number(await source.ask("PTTL", key.name))
    if left_ms >= 0:
        await target.ask_asking([("PEXPIRE", name, max(1, left_ms))])


def _pieces(source: Node, key: Seen, kind: bytes, name: str) -> AsyncIterator[list[Command]]:
    match kind:
        case b"string":
            return _of_string(source, key, name)
        case b"list":
            return _of_ranges(source, key, ("LLEN", key.name), ("LRANGE",), ("RPUSH", name))
        case b"zset":
            return _of_ranges(source, key, ("ZCARD", key.name), ("ZRANGE", "WITHSCORES"), ("ZADD", name))
        case b"hash":
            return _of_hash(source, key, name)
        case b"set":
            return _of_scan(source, key, ("SCARD", key.name), "SSCAN", ("SADD", name))
        case _:
            raise ValueError(f"{kind!r} is not put together from pieces")


async def _of_string(source: Node, key: Seen, name: str) -> AsyncIterator[list[Command]]:
    length = _number(await source.ask("STRLEN", key.name))
    for start in range(0, length, PIECE_BYTES):
        piece = await source.ask("GETRANGE", key.name, start, min(length, start + PIECE_BYTES) - 1)
        if not isinstance(piece, bytes):
            raise Refused(f"GETRANGE answered {type(piece).__name__}")
        yield [("APPEND", name, piece)]


async def _of_ranges(
    source: Node, key: Seen, length: Command, read: Sequence[str], write: Command
) -> AsyncIterator[list[Command]]:
    verb, *options = read
    size = _number(await source.ask(*length))
    step = _step(key, size)
    for start in range(0, size, step):
        words = _words(await source.ask(verb, key.name, start, start + step - 1, *options))
        if options:  # member, score: ZADD wants them the other way round
            words = [word for member, score in zip(words[::2], words[1::2], strict=True) for word in (score, member)]
        if words:
            yield [(*write, *words)]


async def _scan(source: Node, key: Seen, length: Command, verb: str) -> AsyncIterator[list[bytes]]:
    step = _step(key, _number(await source.ask(*length)))
    cursor: bytes = b"0"
    while True:
        reply = await source.ask(verb, key.name, cursor, "COUNT", step)
        if not isinstance(reply, list) or not isinstance(reply[0], bytes):
            raise Refused(f"{verb} answered {type(reply).__name__}")
        cursor = reply[0]
        yield _words(reply[1])
        if cursor == b"0":
            return


async def _of_scan(source: Node, key: Seen, length: Command, verb: str, write: Command) -> AsyncIterator[list[Command]]:
    async for words in _scan(source, key, length, verb):
        if words:
            yield [(*write, *words)]


async def _of_hash(source: Node, key: Seen, name: str) -> AsyncIterator[list[Command]]:
    """Fields may end by themselves in Redis 7.4 and Valkey 9 ("HPEXPIRE"): then they do so at the target too."""
    ends = True
    async for words in _scan(source, key, ("HLEN", key.name), "HSCAN"):
        if not words:
            continue
        commands: list[Command] = [("HSET", name, *words)]
        fields = words[::2]
        if ends:
            (reply,) = await source.try_all([("HPEXPIRETIME", key.name, "FIELDS", len(fields), *fields)])
            ends = isinstance(reply, list)
            if isinstance(reply, list):
                commands += [
                    ("HPEXPIREAT", name, _number(at), "FIELDS", 1, field)
                    for field, at in zip(fields, reply, strict=True)
                    if _number(at) >= 0
                ]
        yield commands


def _step(key: Seen, size: int) -> int:
    """How many elements are a piece, of *size* in all."""
    each = max(1, key.size_bytes // max(1, size))
    return max(1, min(MOST_ELEMENTS, PIECE_BYTES // each))


def _number(reply: object) -> int:
    if not isinstance(reply, int):
        raise Refused(f"a number was expected, not {type(reply).__name__}")
    return reply


def _words(reply: object) -> list[bytes]:
    if not isinstance(reply, list):
        raise Refused(f"a list was expected, not {type(reply).__name__}")
    return [word for word in reply if isinstance(word, bytes)]


async def hand_over_keys(source: Node, target: Node, slot: int, copied: Sequence[tuple[Seen, str]]) -> bool:
    """The copies get their names, and *source*, which WATCHes the keys, deletes them and gives *slot* away. False: it
    has done neither, because a key was changed; the copies are gone. Raises LinkError.
    """
    if await _some_were_made_anew(source, target, [key.name for key, _ in copied]):
        await source.ask("UNWATCH")
        await _drop(target, [name for _, name in copied])
        return False
    for key, name in copied:
        # While a slot is being taken over, RENAME is refused unless both names are there (cluster.c, getNodeByQuery).
        made = [("UNLINK", key.name), ("SET", key.name, ""), ("RENAME", name, key.name)]
        replies = await target.try_all([word for command in made for word in (ASKING, command)])
        if any(isinstance(reply, Refused) for reply in replies):
            await source.ask("UNWATCH")  # the copy is empty: the key went while it was made
            await _drop(target, [name, *(each.name for each, _ in copied)])
            return False
    unlinks = [("UNLINK", key.name) for key, _ in copied]
    *_, outcome = await source.try_all(
        [("MULTI",), *unlinks, ("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id), ("EXEC",)]
    )
    if isinstance(outcome, list):
        raise_refused(outcome)
        return True
    # None: it was changed. Aborted: the slot was being given away already, and the key is gone from it.
    if isinstance(outcome, Refused) and outcome.code != "EXECABORT":
        raise outcome
    await _drop(target, [key.name for key, _ in copied])
    return False


async def _some_were_made_anew(source: Node, target: Node, keys: Sequence[bytes]) -> bool:
    """Whether a client deleted one of *keys* while the slot was being given away, and was sent to *target* to write it
    again. One that both have was left there by a mover that was killed: while its owner has it nobody is sent on.
    """
    for key, there in zip(keys, await target.ask_asking([("EXISTS", key) for key in keys]), strict=True):
        if there == 1:
            (owned,) = await source.try_all([("EXISTS", key)])  # ASK, where it is gone
            if owned != 1:
                return True
    return False


async def drop_copies(target: Node, slot: int) -> None:
    """Removes what was begun to be copied into *slot*, which *target* imports."""
    await _drop(target, copy_names(slot))


async def _drop(target: Node, names: Sequence[str | bytes]) -> None:
    """One command a name: together they are refused where some are missing (TRYAGAIN)."""
    await target.ask_asking([("UNLINK", name) for name in names])
