"""Decides how an engine is driven that moves slots by itself: Valkey 9 (from the source), Redis 8.4 (from the target).

It copies a range while its owner serves it, stops writes for the last moment, and hands it over as a whole: clients
hear only MOVED. How long that moment is grows with the keys of a job (the source deletes them before it goes on), so
jobs are sized by keys. Both ends keep a record of a job, and both are asked for it and told to stop: at one end alone a
job that failed at the other stays, and keeps the next one out.

Source: valkey.io, "CLUSTER MIGRATESLOTS"; redis.io, "CLUSTER MIGRATION"; measured on 9.1.2 and 8.6.3.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass

from tdredis.movers.node import Node
from tdredis.movers.progress import End, MayGoOn, MoveFailed, NoRoomLeft, Progress, Word
from tdredis.movers.replicas import until_copied
from tdredis.movers.room import read_memory, require_room
from tdredis.redis.slots import SlotSet, parse_slots
from tdredis.redislink.errors import Refused, is_of_memory
from tdredis.redislink.pool import Command

LOOK_S = 0.02  # between two looks at a job
JOB_S = 120.0  # of one job; then it is stopped at both ends
COUNTED = 512  # slots whose keys are counted in one round trip
TRIES = 3  # of a job that failed by itself


class Way(enum.Enum):
    """Whose command it is. *most_keys*: of a job, so that writes stop for less than a quarter of a second."""

    VALKEY = "CLUSTER MIGRATESLOTS"
    REDIS = "CLUSTER MIGRATION IMPORT"

    @property
    def most_keys(self) -> int:
        return 5_000 if self is Way.VALKEY else 100_000

    @property
    def question(self) -> Command:
        """What every node answers that has the command."""
        if self is Way.VALKEY:
            return ("CLUSTER", "GETSLOTMIGRATIONS")
        return ("CLUSTER", "MIGRATION", "STATUS", "ALL")

    @property
    def stop(self) -> Command:
        """All jobs of the node that it is sent to."""
        if self is Way.VALKEY:
            return ("CLUSTER", "CANCELSLOTMIGRATIONS")
        return ("CLUSTER", "MIGRATION", "CANCEL", "ALL")


async def find_way(node: Node) -> Way | None:
    """None: the engine moves no slots by itself. Raises LinkError."""
    for way, reply in zip(Way, await node.try_all([way.question for way in Way]), strict=True):
        if isinstance(reply, list):
            return way
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one end says of a job. *name*: the engine's, the same at both ends."""

    name: str
    slots: SlotSet
    state: str
    message: str

    @property
    def is_over(self) -> bool:
        return self.state in ("success", "completed", "failed", "cancelled", "canceled")

    @property
    def is_done(self) -> bool:
        return self.state in ("success", "completed")


def parse_jobs(reply: object) -> list[Job]:
    """GETSLOTMIGRATIONS or MIGRATION STATUS: a list of maps, each a flat list of names and values (or a dict)."""
    if not isinstance(reply, list):
        raise Refused(f"a list of jobs was expected, not {type(reply).__name__}")
    return [_parse_job(_as_map(each)) for each in reply]


def _as_map(reply: object) -> dict[str, str]:
    if isinstance(reply, dict):
        pairs = list(reply.items())
    elif isinstance(reply, list):
        pairs = list(zip(reply[::2], reply[1::2], strict=True))
    else:
        raise Refused(f"a job was expected, not {type(reply).__name__}")
    return {_text(name): _text(value) for name, value in pairs}


def _text(word: object) -> str:
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)


def _parse_job(fields: Mapping[str, str]) -> Job:
    ranges = (fields.get("slot_ranges") or fields.get("slots") or "").replace(",", " ").split()
    return Job(
        name=fields.get("name") or fields.get("id", ""),
        slots=parse_slots(ranges),
        state=fields.get("state", ""),
        message=fields.get("message") or fields.get("last_error", ""),
    )


class AtomicMover:
    """Moves slots from *source* to *target*, job by job."""

    def __init__(self, source: Node, target: Node, *, way: Way, may_go_on: MayGoOn, progress: Progress) -> None:
        self.progress = progress
        self._source = source
        self._target = target
        self._way = way
        self._may_go_on = may_go_on

    async def move(self, slots: SlotSet) -> End:
        """Moves *slots*, those that the source owns. What is under way is waited for first; between two jobs
        a replica of the target gets what the first brought: the source has it no more. Told to finish, it has the
        present job stopped: the source owns all of it to the end. Raises LinkError, MoveFailed.
        """
        if (end := await self._wait_for_others()) is not End.DONE:
            return end
        owned = (await self._source.view()).me.slots & slots
        key_bytes = await self._key_bytes() if owned else 0
        async for part, keys in self._parts(owned):
            await require_room(self._target, keys * key_bytes)
            if (end := await self._carry_out(part)) is not End.DONE:
                return end
            await until_copied(self._target, list(part))
            self.progress.slots += len(part)
            self.progress.keys += keys
        return End.DONE

    async def _key_bytes(self) -> int:
        """What a key of the source takes, on the average."""
        count = await self._source.ask("DBSIZE")
        return (await read_memory(self._source)).data_bytes // max(1, int(str(count)))

    def _ordered(self) -> End | None:
        match self._may_go_on():
            case Word.GO:
                return None
            case Word.FINISH:
                return End.STOPPED
            case Word.LEAVE:
                return End.LEFT

    async def _wait_for_others(self) -> End:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + JOB_S
        while under_way := [job for node in self._ends for job in await self._jobs(node) if not job.is_over]:
            if (end := self._ordered()) is End.LEFT:
                return End.LEFT
            if end is End.STOPPED or loop.time() > deadline:
                await self._stop()
            if loop.time() > 2 * JOB_S + deadline:
                raise MoveFailed(f"{under_way[0].name} ({under_way[0].slots}) does not end")
            await asyncio.sleep(LOOK_S)  # the pace of looking, under the deadline above
        return self._ordered() or End.DONE

    @property
    def _ends(self) -> tuple[Node, Node]:
        return self._source, self._target

    async def _parts(self, owned: SlotSet) -> AsyncIterator[tuple[SlotSet, int]]:
        """Slots that make a job, and how many keys are in them: one slot at the least."""
        part, keys = 0, 0
        slots = list(owned)
        for start in range(0, len(slots), COUNTED):
            for slot, count in (await self._source.counts(slots[start : start + COUNTED])).items():
                if part and keys + count > self._way.most_keys:
                    yield SlotSet(part), keys
                    part, keys = 0, 0
                part |= 1 << slot
                keys += count
        if part:
            yield SlotSet(part), keys

    async def _carry_out(self, slots: SlotSet) -> End:
        message = ""
        for _ in range(TRIES):
            if (end := self._ordered()) is not None:
                return end
            outcome = await self._try(slots)
            if isinstance(outcome, End):
                return outcome
            message = outcome
        raise MoveFailed(f"slots {slots}, from {self._source.name} to {self._target.name}: {message}")

    async def _try(self, slots: SlotSet) -> End | str:
        """What one job came to: the words of the engine are why it failed."""
        known = {job.name for node in self._ends for job in await self._jobs(node)}
        ranges = [word for each in slots.ranges() for word in (each.first, each.last)]
        try:
            if self._way is Way.VALKEY:
                await self._source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", *ranges, "NODE", self._target.id)
            else:
                await self._target.ask("CLUSTER", "MIGRATION", "IMPORT", *ranges)
        except Refused as error:
            await self._stop()
            return str(error)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + JOB_S
        while True:
            await asyncio.sleep(LOOK_S)  # the pace of looking, under the deadline below
            ends = [await self._find(node, known, slots) for node in self._ends]
            if all(job is not None and job.is_done for job in ends):
                return End.DONE
            if any(job is not None and job.is_over and not job.is_done for job in ends):
                await self._stop()
                return await self._why(known, slots)
            end = self._ordered()
            if end is End.LEFT:
                return end
            if end is not None:
                await self._stop()
                return end
            if loop.time() > deadline:
                await self._stop()
                return f"it was not done within {JOB_S:g} s"

    async def _why(self, known: Collection[str], slots: SlotSet) -> str:
        """Of a job that failed, and is stopped at both ends. Raises NoRoomLeft: of a target that is full, the source
        has heard no more than that the connection was lost.
        """
        ends = [await self._find(node, known, slots) for node in self._ends]
        failed = [job for job in ends if job is not None and not job.is_done]
        for job in failed:
            if is_of_memory(job.message):
                raise NoRoomLeft(f"{self._target.name} has no memory left: {job.message}")
        return next((job.message or job.state for job in failed if job.message or job is failed[-1]), "it failed")

    async def _find(self, node: Node, known: Collection[str], slots: SlotSet) -> Job | None:
        new = [job for job in await self._jobs(node) if job.name not in known and job.slots == slots]
        return new[0] if new else None

    async def _jobs(self, node: Node) -> list[Job]:
        return parse_jobs(await node.ask(*self._way.question))

    async def _stop(self) -> None:
        """At both ends; one that has none says so by an error."""
        for node in self._ends:
            await node.try_all([self._way.stop])
