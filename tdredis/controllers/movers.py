"""Decides who moves slots, and how long: one mover a resource, begun by a plan that asks for it.

A plan that asks no more ends it, with no slot open. One that asks for something else ends it too, and the next pass
begins anew: a primary that was replaced is not waited for. Whoever leads no more sends nothing more. Nothing is stored:
who comes after reads from the nodes how far it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from tdredis.movers.pace import FAST, GENTLE
from tdredis.movers.progress import End, Left, MoveFailed, NoRoomLeft, Word
from tdredis.movers.reshard import Resharding
from tdredis.planning.moving import MoveOrder, Moving, State
from tdredis.planning.snapshot import Key
from tdredis.redis.moves import NoRoom, plan_moves
from tdredis.redislink.errors import LinkError
from tdredis.redislink.link import connect as connect_link
from tdredis.redislink.pool import Connect, LinkPool
from tdredis.runtime.backoff import Backoff
from tdredis.runtime.logs import owner_of, redact

log = structlog.get_logger(__name__)

TELL_S = 1.5  # between two news of one that goes on
LEAVES_S = 2.0  # what was sent is answered by then; else its connections are closed
AGAIN_FIRST_S, AGAIN_MOST_S = 1.0, 30.0  # before the same order is carried out again, after it was not, or was in vain
PACES = {pace.name: pace for pace in (GENTLE, FAST)}
ENDS = {End.DONE: State.DONE, End.STOPPED: State.STOPPED, End.LEFT: State.STOPPED}


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved so far, or since it was last told."""

    slots: int = 0
    keys: int = 0
    size_bytes: int = 0


@dataclass(slots=True, eq=False)
class _Job:
    """One order, and what has become of it."""

    order: MoveOrder
    work: Resharding
    begun_at: float
    word: Word = Word.GO
    state: State = State.SURVEYING
    why: str = ""
    planned: Moved = Moved()
    told: Moved = Moved()
    told_at: float = 0.0
    ended_at: float | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)  # who works, and who tells of it

    @property
    def is_running(self) -> bool:
        return self.ended_at is None

    @property
    def moved(self) -> Moved:
        each = self.work.progress.values()
        return Moved(
            slots=sum(one.slots for one in each),
            keys=sum(one.keys for one in each),
            size_bytes=sum(one.size_bytes for one in each),
        )

    @property
    def stuck(self) -> tuple[str, ...]:
        return tuple(str(key) for one in self.work.progress.values() for key in one.stuck)


class Movers:
    """*on_news* hears of a resource whose mover went on, or ended; *look_after* of one whose order is held back, and
    for how many seconds. *may_act* is asked before everything that is sent. *on_moved* counts what was moved since the
    last time, and the seconds that it took.
    """

    def __init__(
        self,
        links: LinkPool[Key],
        *,
        on_news: Callable[[Key], None],
        look_after: Callable[[Key, float], None],
        may_act: Callable[[], bool] = lambda: True,
        on_moved: Callable[[Moved, float], None] = lambda _moved, _seconds: None,
        connect: Connect = connect_link,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*clock*: seconds, never set back."""
        self._links = links
        self._on_news = on_news
        self._look_after = look_after
        self._may_act = may_act
        self._on_moved = on_moved
        self._connect = connect
        self._clock = clock
        self._jobs: dict[Key, _Job] = {}
        self._ending: set[asyncio.Task[None]] = set()  # of resources that are gone
        self._again: Backoff[Key] = Backoff(first_s=AGAIN_FIRST_S, most_s=AGAIN_MOST_S, clock=clock)

    @property
    def running(self) -> int:
        return sum(job.is_running for job in self._jobs.values())

    def moving(self, key: Key) -> Moving | None:
        """The last order of the resource, and how far it is."""
        job = self._jobs.get(key)
        if job is None:
            return None
        moved = job.moved
        return Moving(
            order=job.order,
            state=job.state,
            why=job.why,
            slots_done=moved.slots,
            slots_total=max(moved.slots, job.planned.slots),  # what was open before was not planned
            bytes_done=moved.size_bytes,
            bytes_total=max(moved.size_bytes, job.planned.size_bytes),
            ended_s=None if job.ended_at is None else self._clock() - job.ended_at,
            begun_s=(self._clock() if job.ended_at is None else job.ended_at) - job.begun_at,
            stuck=job.stuck,
        )

    def want(self, key: Key, order: MoveOrder | None) -> bool:
        """What the plan of a pass asks for; None: nothing. True: it is begun."""
        job = self._jobs.get(key)
        if job is not None and job.is_running:
            self._direct(job, order)
            return False
        if order is None:
            return False
        if job is not None and _is_same(job.order, order) and (wait_s := self._again.wait_s(key)):
            self._look_after(key, wait_s)
            return False
        if job is not None and not _is_same(job.order, order):
            self._again.succeeded(key)
        self._begin(key, order)
        return True

    def _direct(self, job: _Job, order: MoveOrder | None) -> None:
        if order is not None and _is_same(job.order, order):
            job.word = Word.GO
            return
        job.word = Word.FINISH
        if order is not None and not _has_same_places(job.order, order):
            _cancel(job)  # what it has open, the next one finds

    def _begin(self, key: Key, order: MoveOrder) -> None:
        job = _Job(
            order=order,
            work=Resharding(
                places={place.name: place for place in order.shards},
                access=self._links.access(key),
                pace=PACES[order.pace],
                may_go_on=lambda: job.word,
                may_act=self._may_act,
                connect=self._connect,
            ),
            begun_at=self._clock(),
            told_at=self._clock(),
        )
        self._jobs[key] = job
        working = asyncio.create_task(self._work(job), name=f"mover {key}")
        telling = asyncio.create_task(self._tell(key, job), name=f"mover's news {key}")
        job.tasks = [working, telling]
        working.add_done_callback(lambda task: self._ended(key, job, task))

    async def _work(self, job: _Job) -> None:
        """Raises what went wrong."""
        if (end := await job.work.finish()) is End.DONE:
            surveyed = await job.work.survey()
            # A plan for 1000 shards takes a second: passes, and the lease that is to be renewed, do not wait for it.
            found = await asyncio.to_thread(plan_moves, surveyed, job.order.leaving)
            if isinstance(found, NoRoom):
                raise NoRoomLeft(found.why)
            job.planned = Moved(
                slots=sum(len(move.slots) for move in found),
                keys=sum(move.keys for move in found),
                size_bytes=sum(move.size_bytes for move in found),
            )
            job.state = State.MOVING
            log.info("slots begin to move", moves=list(map(str, found)), pace=job.order.pace)
            end = await job.work.run(found)
        job.state = ENDS[end]

    async def _tell(self, key: Key, job: _Job) -> None:
        while True:
            before = (job.state, job.moved)
            await asyncio.sleep(TELL_S)
            self._count(job)
            if before != (job.state, job.moved):
                self._on_news(key)

    def _count(self, job: _Job) -> None:
        moved, now = job.moved, self._clock()
        since = Moved(
            slots=moved.slots - job.told.slots,
            keys=moved.keys - job.told.keys,
            size_bytes=moved.size_bytes - job.told.size_bytes,
        )
        self._on_moved(since, now - job.told_at)
        job.told, job.told_at = moved, now

    def _ended(self, key: Key, job: _Job, task: asyncio.Task[None]) -> None:
        job.ended_at = self._clock()
        self._count(job)
        job.tasks[1].cancel()
        error = None if task.cancelled() else task.exception()
        match error:
            case None:
                if task.cancelled():
                    job.state, job.why = State.FAILED, "it was ended in the middle: something else is wanted"
            case Left():
                job.state = State.STOPPED
            case NoRoomLeft():
                job.state, job.why = State.REFUSED, redact(str(error), _owner(key))
            case LinkError() | MoveFailed() | ValueError():
                job.state, job.why = State.FAILED, redact(str(error), _owner(key))
            case _:
                job.state = State.FAILED
                job.why = f'the operator failed to move slots: {type(error).__name__}, see "mover failed" in its log'
                log.error("mover failed", resource=str(key), namespace=key.namespace, exc_info=error)
        facts = {"resource": str(key), "namespace": key.namespace, "state": job.state.value, "why": job.why}
        log.info("mover ended", slots=job.moved.slots, keys=job.moved.keys, stuck=job.stuck, **facts)
        if self._jobs.get(key) is not job:
            return  # the resource is gone
        if job.state is State.STOPPED or task.cancelled():
            self._again.succeeded(key)
        else:
            self._again.failed(key)
        self._on_news(key)

    def forget(self, key: Key) -> None:
        """The resource is gone: so are its nodes."""
        job = self._jobs.pop(key, None)
        self._again.succeeded(key)
        if job is not None and job.is_running:
            for task in job.tasks:
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
            _cancel(job)

    async def close(self) -> None:
        """Another one may lead: nothing more is sent. Waits until all have ended, at most LEAVES_S for an answer."""
        jobs, self._jobs = [job for job in self._jobs.values() if job.is_running], {}
        for job in jobs:
            job.word = Word.LEAVE
        working = [job.tasks[0] for job in jobs]
        if working:
            await asyncio.wait(working, timeout=LEAVES_S)
        for job in jobs:
            _cancel(job)
        if tasks := {*self._ending, *(task for job in jobs for task in job.tasks)}:
            await asyncio.wait(tasks)
        self._again = Backoff(first_s=AGAIN_FIRST_S, most_s=AGAIN_MOST_S, clock=self._clock)


def _is_same(one: MoveOrder, other: MoveOrder) -> bool:
    """A replica that came since is nobody from whom anything was moved."""
    return _without_copies(one) == _without_copies(other)


def _without_copies(order: MoveOrder) -> MoveOrder:
    return replace(order, shards=tuple(replace(place, copies=frozenset()) for place in order.shards))


def _has_same_places(one: MoveOrder, other: MoveOrder) -> bool:
    """Every shard that both name has the same primary, at the same address."""
    ours, theirs = (
        {place.name: (place.id, place.host, place.port) for place in order.shards} for order in (one, other)
    )
    return all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())


def _cancel(job: _Job) -> None:
    job.tasks[0].cancel()


def _owner(key: Key) -> str:
    return owner_of(key.namespace, str(key))
