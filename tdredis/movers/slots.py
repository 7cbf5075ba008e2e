"""Decides how slots go from one primary to another where the engine does not move them (Redis to 8.2, Valkey 8).

A group of slots at a time: opened at both ends, emptied by MIGRATE, and handed over. Keys go to the target and never
back: a client that was sent there may write at any moment. So what was opened is always brought to its end, by this
mover or the next one, which reads from both ends how far it is.

- IMPORTING at the target before MIGRATING at the source: else clients are sent to somebody who sends them back.
- The target claims a slot only when the source, which still gives it away, has no key of it: a source that hears of a
  newer owner deletes what it has.
- A node at maxmemory takes nothing, and what it has it keeps: a target that fills up is given no more (NoRoomLeft), and
  owns what arrived (claims.py). A source that is full gives its big keys away whole, which frees memory.

Source: redis.io, "CLUSTER SETSLOT", "MIGRATE"; cluster.c, clusterCommand, clusterUpdateSlotsConfigWith.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from tdredis.movers.big_keys import (
    KINDS,
    NO_KINDS,
    PIECE_BYTES,
    Seen,
    SourceFull,
    clear,
    copy_key,
    drop_at_source,
    drop_copies,
    hand_over_keys,
    kind_of,
    kinds_in_pieces,
    take_back,
    which_does_not_go,
)
from tdredis.movers.calls import CallFailed, in_writes, send
from tdredis.movers.claims import claim
from tdredis.movers.copies import drop_copies_of
from tdredis.movers.marks import Marks, read_marks
from tdredis.movers.node import Node
from tdredis.movers.pace import Pacer
from tdredis.movers.progress import End, Left, MayGoOn, MoveFailed, NoRoomLeft, Progress, StuckKey, Word
from tdredis.movers.readiness import until_ready
from tdredis.movers.replicas import until_copied
from tdredis.movers.room import require_room
from tdredis.redis.slot_marks import copy_names, is_reserved, reserved
from tdredis.redis.slots import SlotSet
from tdredis.redislink.errors import Refused
from tdredis.redislink.pool import Command

GROUP = 64  # slots: the round trips of a slot are what costs, not its keys
ASKED = 8  # slots whose keys are asked for in one round trip
NAMES = 2000  # of a slot, in one reply
MOST_NAMES = 50_000  # of a slot that is looked at as a whole
BIG_BYTES = PIECE_BYTES  # a key above this goes in pieces
COPIES = 5  # tries, after which a key changes too often to be copied

T = TypeVar("T")


@dataclass(slots=True)
class _Group:
    """Slots that are moved together; *keys* are those that were seen in them."""

    slots: list[int]
    keys: dict[int, list[Seen]] = field(default_factory=dict)


class SlotMover:
    """Moves slots from *source* to *target*: two connections that nobody else uses meanwhile."""

    def __init__(
        self, source: Node, target: Node, *, pacer: Pacer, may_go_on: MayGoOn, progress: Progress | None = None
    ) -> None:
        self.progress = progress or Progress()
        self._source = source
        self._target = target
        self._pacer = pacer
        self._may_go_on = may_go_on
        self._kinds = KINDS
        self._stay_open: set[int] = set()  # slots with a key that does not go, found when they were open

    async def move(self, slots: SlotSet) -> End:
        """Finishes what is open between the two, then moves *slots*, those that the source owns. Slots with a key that
        nothing moves stay, and `progress.stuck` names it. Raises LinkError, MoveFailed.
        """
        try:
            self._kinds = await kinds_in_pieces(self._source)
            await until_ready(self._source, self._target)
            await self._finish(await read_marks(self._source, self._target))
            owned = (await self._source.view()).me.slots & slots
            waiting = [slot for slot in owned if slot not in self._stay_open]
            groups = [_Group(slots) for slots in [*await self._first(waiting), *_in_groups(waiting, GROUP)]]
            async with aclosing(self._looked_at(groups)) as looked_at:
                async for group in looked_at:
                    if self._word() is not Word.GO:
                        return End.STOPPED
                    await self._move(group)
                    await self._pacer.rest()
        except Left:
            return End.LEFT
        return End.DONE

    async def _first(self, waiting: list[int]) -> list[list[int]]:
        """The group that goes first to a target without slots, taken out of *waiting*: a single slot, with few keys. A
        replica takes over from a primary only if that owns slots: what it has moved before is in no other's hands.
        """
        if not waiting or (await self._target.view()).me.slots:
            return []
        counts = await self._source.counts(waiting[:GROUP])
        slot = min(counts, key=lambda each: (counts[each], each))
        waiting.remove(slot)
        return [[slot]]

    def _word(self) -> Word:
        word = self._may_go_on()
        if word is Word.LEAVE:
            raise Left
        return word

    # -- what somebody left open ----------------------------------------------------------------------------------

    async def _finish(self, marks: Marks) -> None:
        """Of a slot that only the target says is open, its source serves all that it has, and has sent nobody on. What
        it has too at the target is a copy; what it has not was moved before somebody forgot that it was (a failover).
        """
        for group in _in_groups(marks.claimed, GROUP):
            await self._tell_source(group)
        opened = list(marks.opened)
        for slot in marks.only_importing:
            self._word()
            await take_back(self._source, self._target, slot)
            if await self._drop_what_the_source_has(slot):
                opened.append(slot)
            else:
                await self._target.ask("CLUSTER", "SETSLOT", slot, "STABLE")
        for group in _in_groups(sorted(opened), GROUP):
            self._word()
            await self._open(group)
            for slot in group:
                await clear(self._source, self._target, slot)
                await self._drop_what_the_source_has(slot)  # before a client deletes one: MIGRATE may have left it
            found = _Group(group)
            await self._look(found)
            await self._move(found, is_open=True)

    async def _drop_what_the_source_has(self, slot: int) -> bool:
        """True: the target has keys besides, the only ones of their names."""
        count = (await self._target.counts([slot]))[slot]
        reply = await self._target.ask("CLUSTER", "GETKEYSINSLOT", slot, min(count, MOST_NAMES)) if count else []
        alone = await drop_copies_of(self._source, self._target, list(_names_of(reply)))
        return count > MOST_NAMES or alone > 0

    # -- a group --------------------------------------------------------------------------------------------------

    async def _looked_at(self, groups: Sequence[_Group]) -> AsyncGenerator[_Group, None]:
        """Each when it has been looked at. Where nodes need no rest the next one is, while its predecessor is moved."""
        ahead: asyncio.Task[None] | None = None
        try:
            for number, group in enumerate(groups):
                await (ahead or self._look(group))
                ahead = None
                if self._pacer.pace.looks_ahead and number + 1 < len(groups):
                    ahead = asyncio.create_task(self._look(groups[number + 1]), name="looks ahead")
                yield group
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.wait([ahead])

    async def _move(self, group: _Group, *, is_open: bool = False) -> None:
        if not is_open:
            await require_room(self._target, sum(seen.size_bytes for keys in group.keys.values() for seen in keys))
        moved = self.progress.keys
        if is_open:
            await self._empty_of_big_keys(group)
        else:
            await self._open_with_big_keys(group)
        await self._migrate({slot: group.keys.get(slot, []) for slot in group.slots})
        await self._sweep(group)
        if self.progress.keys > moved:
            await until_copied(self._target, group.slots)
        await self._hand_over(group.slots)

    async def _look(self, group: _Group) -> None:
        """What users have in the slots, key by key: nothing too big is to be found only when its slot is open."""
        for slots in _parts(group.slots, ASKED):
            replies = await self._source.ask_all([("CLUSTER", "GETKEYSINSLOT", slot, NAMES) for slot in slots])
            found = [(slot, name) for slot, reply in zip(slots, replies, strict=True) for name in _names_of(reply)]
            for part in _parts([each for each in found if not is_reserved(each[1], each[0])], NAMES):
                sizes = await self._sizes([name for _, name in part])
                for (slot, _), seen in zip(part, sizes, strict=True):
                    group.keys.setdefault(slot, []).append(seen)

    async def _sizes(self, names: Sequence[bytes]) -> list[Seen]:
        """MEMORY USAGE; 0 of a key that is gone, or was sent on."""
        async with self._busy():
            replies = await self._source.try_all([("MEMORY", "USAGE", name) for name in names])
        return [
            Seen(name=name, size_bytes=reply if isinstance(reply, int) else 0)
            for name, reply in zip(names, replies, strict=True)
        ]

    async def _open(self, slots: Sequence[int]) -> None:
        for part in _parts(slots, self._pacer.settings):
            async with self._busy():
                await self._target.ask_all(
                    [("CLUSTER", "SETSLOT", slot, "IMPORTING", self._source.id) for slot in part]
                )
                await self._source.ask_all(
                    [("CLUSTER", "SETSLOT", slot, "MIGRATING", self._target.id) for slot in part]
                )

    async def _open_with_big_keys(self, group: _Group) -> None:
        """Opens the slots, those with big keys with these on their way. One whose big key does not go is left out."""
        with_big = [
            slot for slot in group.slots if any(seen.size_bytes > BIG_BYTES for seen in group.keys.get(slot, []))
        ]
        await self._open([slot for slot in group.slots if slot not in with_big])
        for slot in with_big:
            if not await self._open_one(slot, group):
                group.slots.remove(slot)

    async def _open_one(self, slot: int, group: _Group) -> bool:
        """Opens *slot*, which has big keys; False: it stays closed, because one of them does not go."""
        await self._target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self._source.id)
        big = [seen for seen in group.keys[slot] if seen.size_bytes > BIG_BYTES]
        copied = await self._copy(slot, big, is_open=False)
        if copied is None:
            await drop_copies(self._target, slot)
            await self._target.ask("CLUSTER", "SETSLOT", slot, "STABLE")
            return False
        if not copied:  # what was big is gone, or goes whole
            await self._open([slot])
        group.keys[slot] = [seen for seen in group.keys[slot] if seen not in copied]
        return True

    async def _empty_of_big_keys(self, group: _Group) -> None:
        """Of slots that are open. One whose big key does not go is left out, and stays so."""
        for slot in list(group.slots):
            for seen in [seen for seen in group.keys.get(slot, []) if seen.size_bytes > BIG_BYTES]:
                copied = await self._copy(slot, [seen], is_open=True)
                if copied is None:
                    group.slots.remove(slot)
                    self._stay_open.add(slot)
                    break
                group.keys[slot] = [each for each in group.keys[slot] if each not in copied]

    async def _copy(self, slot: int, big: Sequence[Seen], *, is_open: bool) -> list[Seen] | None:
        """Those of *big*, keys of *slot*, that are at the target now, and the slot is open. None of them: what there is
        goes whole, or is gone, and nothing was done. None: one does not go; it is named.
        """
        in_pieces = self._kinds
        for _ in range(COPIES):
            self._word()
            await self._source.ask_all([("WATCH", seen.name) for seen in big])
            kinds = {seen.name: await kind_of(self._source, seen.name) for seen in big}
            if refused := which_does_not_go(slot, big, kinds, in_pieces):
                await self._source.ask("UNWATCH")
                if in_pieces != self._kinds:
                    refused = replace(refused, why=f"{self._source.name} is at maxmemory: {refused.why}")
                self.progress.stuck.append(refused)
                return None
            going = [seen for seen in big if kinds[seen.name] in in_pieces]
            copied = list(zip(going, copy_names(slot), strict=False))
            if not copied:
                await self._source.ask("UNWATCH")
                return []
            try:
                done = await self._copy_once(slot, copied, kinds, is_open=is_open)
            except SourceFull:
                in_pieces = NO_KINDS
                continue
            if done:
                return [seen for seen, _ in copied]
        seen = max(big, key=lambda each: each.size_bytes)
        why = f"it was changed each of {COPIES} times while it was copied"
        self.progress.stuck.append(StuckKey(name=seen.name, slot=slot, size_bytes=seen.size_bytes, why=why))
        return None

    async def _copy_once(
        self, slot: int, copied: Sequence[tuple[Seen, str]], kinds: Mapping[bytes, bytes], *, is_open: bool
    ) -> bool:
        """False: a key was changed meanwhile. Then, and when SourceFull or NoRoomLeft is raised, nothing was done."""
        try:
            for seen, name in copied:
                await copy_key(self._source, self._target, seen, kinds[seen.name], name)
        except (Refused, NoRoomLeft) as error:
            await self._source.ask("UNWATCH")
            await drop_copies(self._target, slot)
            if isinstance(error, NoRoomLeft):
                raise
            return False  # the key is another one now
        if not await hand_over_keys(self._source, self._target, slot, copied, is_open=is_open):
            return False
        self._count_moved([seen for seen, _ in copied])
        self.progress.big_keys += len(copied)
        return True

    async def _migrate(self, keys: Mapping[int, Sequence[Seen]]) -> None:
        """Small keys, and such as go whole, by slot, as many in a write as the pace allows."""
        loop = asyncio.get_running_loop()
        for calls in in_writes(keys, lambda: self._pacer.keys, self._pacer.pace.calls):
            self._word()
            began_at = loop.time()
            try:
                await send(self._source, self._target, calls)
            except CallFailed as error:
                if error.is_of_memory:
                    raise NoRoomLeft(f"{self._target.name} has no memory left: {error}") from error
                raise MoveFailed(f"from {self._source.name} to {self._target.name}: {error}") from error
            took_s = loop.time() - began_at
            moved = [seen for call in calls for seen in call.keys]
            self._pacer.moved(len(moved), took_s)
            self.progress.calls += len(calls)
            self.progress.longest_s = max(self.progress.longest_s, took_s)
            self._count_moved(moved)
            await self._pacer.kept_busy(took_s)

    def _count_moved(self, keys: Sequence[Seen]) -> None:
        self.progress.keys += len(keys)
        self.progress.size_bytes += sum(seen.size_bytes for seen in keys)

    async def _sweep(self, group: _Group) -> None:
        """What came between looking and opening, and what one reply did not hold."""
        while True:
            counts = await self._source.counts(group.slots) if group.slots else {}
            left = [slot for slot, count in counts.items() if count]
            if not left:
                return
            for slot in left:
                rest = _Group([slot])
                await self._look(rest)
                if not rest.keys:  # a mover that was killed has left something
                    await drop_at_source(self._source, reserved(slot))
                await self._empty_of_big_keys(rest)
                if not rest.slots:
                    group.slots.remove(slot)
                    continue
                await self._migrate(rest.keys)

    # -- the end of it --------------------------------------------------------------------------------------------

    async def _hand_over(self, slots: Sequence[int]) -> None:
        if not slots:
            return
        self._word()
        view = await self._source.view()
        given = {slot for slot, other in view.me.migrating.items() if other == self._target.id}
        if view.me.is_replica or not given.issuperset(slots):
            raise MoveFailed(f"{self._source.name} has forgotten what it gives away: it was replaced meanwhile")
        counts = await self._source.counts(slots)
        if any(counts.values()):
            raise MoveFailed(f"{self._source.name} has new keys in slots that it gives away")
        await claim(self._target, slots)
        await self._tell_source(slots)
        self.progress.slots += len(slots)

    async def _tell_source(self, slots: Sequence[int]) -> None:
        """It has heard it by itself, or is about to: this takes its mark away too. A primary without slots may have
        become a replica of who has its last one, and has no marks then.
        """
        for part in _parts(slots, self._pacer.settings):
            commands: list[Command] = [("CLUSTER", "SETSLOT", slot, "NODE", self._target.id) for slot in part]
            async with self._busy():
                replies = await self._source.try_all(commands)
            refused = next((reply for reply in replies if isinstance(reply, Refused)), None)
            if refused is not None and not (await self._source.view()).me.is_replica:
                raise refused

    @asynccontextmanager
    async def _busy(self) -> AsyncIterator[None]:
        """The block keeps the nodes busy."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        yield
        await self._pacer.kept_busy(loop.time() - began_at)


def _in_groups(slots: Iterable[int], size: int) -> Iterator[list[int]]:
    iterator = iter(slots)
    while group := list(islice(iterator, size)):
        yield group


def _parts(found: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(found), size):
        yield found[start : start + size]


def _names_of(reply: object) -> Iterator[bytes]:
    if not isinstance(reply, list):
        raise Refused(f"CLUSTER GETKEYSINSLOT answered {type(reply).__name__}")
    yield from (name for name in reply if isinstance(name, bytes))
