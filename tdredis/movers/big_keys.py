"""Decides how a big key goes to its new owner without stopping either for longer than one piece of it takes.

MIGRATE of a key stops both nodes until all of it is there: a hash of 38 MB for a second. So a big key is copied in
pieces, under another name of the same slot, while its owner goes on serving it. The owner WATCHes it: in the end the
copy gets its name, and the owner deletes the key only if nobody has changed it since, in the same transaction in which
the slot begins to be given away. Until then no client is ever sent to the copy; from then on, all are.

Source: redis.io, "WATCH", "SCAN" (an element that stays is returned at least once), "CLUSTER SETSLOT".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from tdredis.movers.copies import unlink_watched
from tdredis.movers.node import ASKING, Node, is_of_memory, raise_refused
from tdredis.movers.progress import StuckKey
from tdredis.redis.slot_marks import MOST_COPIES, given, named, reserved
from tdredis.redislink.errors import Refused
from tdredis.redislink.pool import Command

PIECE_BYTES = 256 * 1024
MOST_ELEMENTS = 2000  # of a piece
KINDS = frozenset({b"string", b"list", b"hash", b"set", b"zset"})  # what can be put together from pieces
NO_KINDS: frozenset[bytes] = frozenset()
WHOLE_BYTES = 8 << 20  # a key that does not go in pieces (a stream, a module's) goes whole up to here


class SourceFull(Exception):
    """The source is at maxmemory: it queues nothing for a transaction, not even what frees memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A key, as it was found: *size_bytes* by MEMORY USAGE."""

    name: bytes
    size_bytes: int


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


def which_does_not_go(
    slot: int, big: Sequence[Seen], kinds: Mapping[bytes, bytes], in_pieces: frozenset[bytes]
) -> StuckKey | None:
    """The first of *big* that goes neither in pieces nor whole."""
    for number, seen in enumerate(big):
        kind = kinds[seen.name]
        if kind in in_pieces and number >= MOST_COPIES:
            why = f"more than {MOST_COPIES} keys of its slot are as big"
        elif kind not in in_pieces and kind != b"none" and seen.size_bytes > WHOLE_BYTES:
            why = f"a {kind.decode()} goes whole, and would stop both nodes"
        else:
            continue
        return StuckKey(name=seen.name, slot=slot, size_bytes=seen.size_bytes, why=why)
    return None


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


async def _announce(source: Node, target: Node, slot: int, keys: Sequence[bytes]) -> bool:
    """Of *slot*, which is not open: copies of *keys* are about to get their names. False: *target* takes no more.
    Raises LinkError.
    """
    await source.ask("UNLINK", given(slot))
    replies = await target.try_all([ASKING, ("UNLINK", named(slot)), ASKING, ("RPUSH", named(slot), *keys)])
    if is_of_memory(replies[-1]):
        return False
    raise_refused(replies)
    return True


async def take_back(source: Node, target: Node, slot: int) -> None:
    """Of *slot*, of which only *target* says that it is open: a mover was killed there. What it had announced, and
    *source* has not given away, are copies, whether *source* has them still or a client has deleted them there. Those
    that it gave before it forgot the mark of the slot, by a failover, are at *target* alone. Raises LinkError.
    """
    (names,) = await target.ask_asking([("LRANGE", named(slot), 0, -1)])
    if names and await source.ask("EXISTS", given(slot)) != 1:
        await _drop(target, _words(names))
    await clear(source, target, slot)


async def clear(source: Node, target: Node, slot: int) -> None:
    """Copies, and what was announced, which is done: *slot* is open, or is to be. Raises LinkError."""
    await drop_copies(target, slot)
    await drop_at_source(source, [given(slot)])


async def drop_at_source(source: Node, names: Sequence[str]) -> None:
    """Removes *names*, none of them a user's, from a slot that *source* gives away, or has given: ASK and MOVED say
    that one is not there. Raises LinkError: one that stays would go to the target as a user's key.
    """
    for reply in await source.try_all([("UNLINK", name) for name in names]):
        if isinstance(reply, Refused) and reply.code not in {"ASK", "MOVED"}:
            raise reply


async def hand_over_keys(
    source: Node, target: Node, slot: int, copied: Sequence[tuple[Seen, str]], *, is_open: bool
) -> bool:
    """The copies get their names, and *source*, which WATCHes the keys, deletes them and gives *slot* away. False: it
    has done neither, because a key was changed, or *target* takes no more; the copies are gone. Raises LinkError, and
    SourceFull: likewise neither.

    A slot that is not open yet is given away with a mark in the same transaction (`take_back`). Of an open slot, of
    which one key is handed over at a time, a client may delete the key and be sent to *target* to write it again, at
    any moment: so what *target* has under that name is WATCHed there, and only replaced or removed as it was found.
    """
    keys = [key.name for key, _ in copied]
    outcome: bool | SourceFull = is_open or await _announce(source, target, slot, keys)
    if outcome is True:
        outcome = await _name_copies(source, target, copied)
    if outcome is True:
        outcome = await _delete_at_source(source, target, slot, copied, mark="" if is_open else given(slot))
    if outcome is True and not is_open:
        await clear(source, target, slot)
    if outcome is not True:
        await source.ask("UNWATCH")
        await _drop(target, [*(name for _, name in copied), named(slot)])
    await target.ask("UNWATCH")
    if isinstance(outcome, SourceFull):
        raise outcome
    return outcome


async def _name_copies(source: Node, target: Node, copied: Sequence[tuple[Seen, str]]) -> bool:
    """False: a client has written one of the keys anew, or its copy is empty, as it went while it was made. True: they
    are named, and WATCHed at *target*.
    """
    keys = [key.name for key, _ in copied]
    for number, key in enumerate(keys):
        if not await _hold_name(source, target, key):
            await _drop(target, keys[:number])  # several are of a slot that is not open: nobody was sent there
            return False
    # From here on both names are there, without which RENAME is refused while a slot is being taken over (cluster.c,
    # getNodeByQuery). ASKING before MULTI is for all of the transaction (networking.c, resetClient).
    if not await _watch_empty(target, keys):
        if len(keys) > 1:
            await _drop(target, keys)
        return False
    renames: list[Command] = [("RENAME", name, key.name) for key, name in copied]
    replies = await target.try_all([ASKING, ("MULTI",), *renames, ("EXEC",), *_watching(keys)])
    outcome = replies[len(renames) + 2]
    if _is_done(outcome):
        return True
    if len(keys) > 1:
        await _drop(target, keys)
    elif outcome is not None and await _watch_empty(target, keys):
        await _drop_watched(target, copied)
    return False


async def _hold_name(source: Node, target: Node, key: bytes) -> bool:
    """*key* is there, empty, at *target*, which WATCHes nothing then. False: a client wrote it there. One that both
    have was left there by a mover that was killed: while its owner has it nobody is sent on.
    """
    *_, there = await target.ask_all([*_watching([key]), ASKING, ("EXISTS", key)])
    if there == 1:
        (owned,) = await source.try_all([("EXISTS", key)])  # ASK, where it is gone
        if owned != 1:
            return False
    *_, outcome = await target.try_all([ASKING, ("MULTI",), ("UNLINK", key), ("SET", key, ""), ("EXEC",)])
    return _is_done(outcome)


async def _watch_empty(target: Node, keys: Sequence[bytes]) -> bool:
    """*keys* are WATCHed at *target*, and are as `_hold_name` has left them."""
    lengths: list[Command] = [word for key in keys for word in (ASKING, ("STRLEN", key), ASKING, ("EXISTS", key))]
    replies = await target.try_all([*_watching(keys), *lengths])
    found = replies[2 * len(keys) :]
    return found[1::4] == [0] * len(keys) and found[3::4] == [1] * len(keys)


async def _delete_at_source(
    source: Node, target: Node, slot: int, copied: Sequence[tuple[Seen, str]], *, mark: str
) -> bool | SourceFull:
    """*mark*: a name that one of them gets instead, which takes no memory; or ""."""
    keys = [key.name for key, _ in copied]
    unlinks: list[Command] = [("UNLINK", key) for key in keys]
    gone: list[Command] = [("RENAME", keys[0], mark), *unlinks[1:]] if mark else unlinks
    replies = await source.try_all([("MULTI",), *gone, ("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id), ("EXEC",)])
    # None: it was changed. Aborted: the slot was being given away already, and the key is gone from it; or it is full.
    if _is_done(replies[-1]):
        return True
    await _drop_watched(target, copied)
    return SourceFull() if any(map(is_of_memory, replies)) else False


async def _drop_watched(target: Node, copied: Sequence[tuple[Seen, str]]) -> None:
    """Removes the keys, which are WATCHed, unless a client has written one. Several are of a slot that was not open
    yet: no client was sent to *target*.
    """
    keys = [key.name for key, _ in copied]
    if not await unlink_watched(target, keys) and len(keys) > 1:
        await _drop(target, keys)


def _watching(keys: Sequence[bytes]) -> list[Command]:
    return [word for key in keys for word in (ASKING, ("WATCH", key))]


def _is_done(outcome: object) -> bool:
    """Of EXEC: whether it was carried out. Raises LinkError, where it was refused for another reason than a change."""
    if isinstance(outcome, list):
        raise_refused(outcome)
        return True
    if isinstance(outcome, Refused) and outcome.code != "EXECABORT":
        raise outcome
    return False


async def drop_copies(target: Node, slot: int) -> None:
    """Removes what was begun to be copied into *slot*, which *target* imports."""
    await _drop(target, reserved(slot))


async def _drop(target: Node, names: Sequence[str | bytes]) -> None:
    """One command a name: together they are refused where some are missing (TRYAGAIN)."""
    await target.ask_asking([("UNLINK", name) for name in names])
