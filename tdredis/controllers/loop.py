"""Decides how a key becomes a pass: gather, plan, run, report; what it costs when it goes wrong, and when the next is.

The one reconcile of the operator. Keys never wait for each other; a bug in one pass costs that resource only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

import structlog

from tdredis.api.fields import API_VERSION
from tdredis.api.instance import InstanceStatus
from tdredis.api.json_object import JSONObject
from tdredis.api.kinds import InvalidResourceError
from tdredis.controllers.status_writer import StatusWriter
from tdredis.execute.run import Executor, LeadLostError, Outcome
from tdredis.kube.client import Client
from tdredis.kube.events import Reference
from tdredis.observe.gather import Observer
from tdredis.planning.decide import assess, must_see_all, plan, records_data, report
from tdredis.planning.news import losses, transitions
from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.snapshot import Key, Snapshot
from tdredis.planning.steps import OBJECT_STEPS, Step
from tdredis.runtime.logs import forget_secret, redact, register_secret
from tdredis.runtime.queue import KeyedQueue

log = structlog.get_logger(__name__)

MOST_TOLD = 4
NAMESPACE_GOES_S = 60.0  # its resources go too, and of each the watch tells
SOONEST_RETRY_S = 0.1  # of what was refused
SLOWEST_LOOK_S = 2.0  # while the engine works and nothing changes, looks grow rarer up to this


class Announcer(Protocol):
    """Whoever makes Kubernetes events of what we say. *text* holds no secret."""

    def __call__(self, subject: Reference, *, warning: bool, reason: str, message: str) -> None: ...


class Loop:
    """Works keys off the queue until it is cancelled."""

    def __init__(
        self,
        queue: KeyedQueue[Key],
        observer: Observer,
        executor: Executor,
        client: Client,
        announce: Announcer,
        *,
        workers: int = 64,
        on_pass: Callable[[Key, float, str], None] = lambda _key, _seconds, _outcome: None,
        on_step: Callable[[str, str, str], None] = lambda _kind, _step, _outcome: None,
        on_status: Callable[[JSONObject], None] = lambda _answer: None,
        on_seen: Callable[[Key, Snapshot | None], None] = lambda _key, _snapshot: None,
    ) -> None:
        """*workers* passes run at once. *on_pass* hears seconds and outcome of each, *on_step* that of every step,
        *on_status* the object as the server has it after a write, *on_seen* every snapshot, None of what is gone.
        """
        self._queue = queue
        self._observer = observer
        self._executor = executor
        self._announce = announce
        self._workers = workers
        self._on_pass = on_pass
        self._on_step = on_step
        self._on_seen = on_seen
        self._statuses = StatusWriter(
            client, on_status=on_status, on_late=self._look_again, require_lead=executor.require_lead
        )
        self._unchanged: dict[Key, tuple[object, int]] = {}  # pacing only: what the last pass saw, and how often
        self._at_peace: set[Key] = set()  # the last pass found nothing to do
        self._secrets: dict[Key, frozenset[str]] = {}
        self._said: dict[Key, frozenset[str]] = {}  # what the last pass announced: an unchanged pass is silent
        self._reported: dict[Key, tuple[str, InstanceStatus]] = {}  # uid, and the status that the last pass came to

    async def run(self) -> None:
        """Works until cancelled; a pass that runs then is cancelled with it, at one of its awaits."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work())
        finally:
            await self._executor.close()
            await self._statuses.close()

    def _look_again(self, key: Key, written: bool) -> None:
        """A status was written late and is old by now, or not written at all."""
        if written:
            self._queue.add(key)
        else:
            self._queue.retry(key)

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            started = time.monotonic()
            outcome = "ok"
            try:
                outcome = await self.reconcile(key)
            except LeadLostError as error:
                outcome = "lead lost"  # and with it this task, in a moment; or a renewal was just late
                self._queue.retry(key)
                log.warning("pass ended", resource=str(key), namespace=key.namespace, why=str(error))
            except Exception:
                outcome = "bug"
                log.exception("pass failed", resource=str(key), namespace=key.namespace)
                self._queue.retry(key)
            finally:
                self._queue.done(key)
                self._on_pass(key, time.monotonic() - started, outcome)

    async def reconcile(self, key: Key) -> str:
        """One pass. Returns its outcome in one word."""
        try:
            snapshot = await self._observer.gather(key, at_peace=key in self._at_peace)
        except InvalidResourceError as error:
            log.warning("resource cannot be read", resource=str(key), namespace=key.namespace, error=str(error))
            self._announce(self._observer.subject(key), warning=True, reason="Unreadable", message=str(error))
            self._queue.retry(key)
            return "unreadable"
        self._on_seen(key, snapshot)
        if snapshot is None:
            self._forget(key)
            return "gone"
        self._keep_secret(key, frozenset((snapshot.passwords.redis, snapshot.passwords.proxy)))
        assessment = assess(snapshot)
        made = plan(assessment)
        if must_see_all(assessment, made):
            self._at_peace.discard(key)
            return await self.reconcile(key)
        outcome = await self._executor.run(key, made)
        status = report(assessment, made, redact(outcome.error))  # the server quotes what it refuses
        (self._at_peace.add if made.at_peace else self._at_peace.discard)(key)
        # One that has no record is taken for new, in which nobody has data: the next pass must know better.
        is_first_record = records_data(status) and not records_data(snapshot.resource.status)
        written = await self._statuses.write(key, snapshot.resource, status, to_the_end=is_first_record)
        self._tell(key, snapshot, status, outcome)
        return self._schedule(key, made, outcome, written=written)

    def _keep_secret(self, key: Key, secrets: frozenset[str]) -> None:
        """The log and the events hide these from now on, and no longer those that nobody uses any more."""
        former = self._secrets.pop(key, frozenset())
        if secrets:
            self._secrets[key] = secrets
        for secret in secrets - former:
            register_secret(secret)
        for secret in former - secrets:
            if not any(secret in used for used in self._secrets.values()):
                forget_secret(secret)

    def _forget(self, key: Key) -> None:
        self._keep_secret(key, frozenset())
        self._executor.forget(key)
        self._queue.drop(key)
        self._unchanged.pop(key, None)
        self._at_peace.discard(key)
        self._said.pop(key, None)
        self._reported.pop(key, None)

    def _tell(self, key: Key, snapshot: Snapshot, status: InstanceStatus, outcome: Outcome) -> None:
        """Events: every step done, once; what went wrong, when it goes wrong; Ready, when it becomes so."""
        for step in outcome.done:
            self._on_step(key.kind, type(step).__name__, "done")
        if outcome.failed is not None:
            self._on_step(key.kind, type(outcome.failed).__name__, "failed")
        subject = Reference(API_VERSION, key.kind, key.namespace, key.name, snapshot.resource.metadata.uid)
        news = [(False, reason, message) for reason, message in _told_together(outcome.done)]
        if outcome.failed is not None:
            news.append((True, f"{type(outcome.failed).__name__}Failed", outcome.error))
        told = (*losses(outcome.done), *transitions(self._former_status(key, snapshot), status))
        news += [(transition.warning, transition.reason, transition.message) for transition in told]
        said = self._said.get(key, frozenset())
        for warning, reason, message in news:
            if f"{reason} {message}" not in said:
                self._announce(subject, warning=warning, reason=reason, message=message)
        self._said[key] = frozenset(f"{reason} {message}" for _, reason, message in news)
        self._reported[key] = (snapshot.resource.metadata.uid, status)

    def _former_status(self, key: Key, snapshot: Snapshot) -> InstanceStatus:
        """What the last pass said, whether or not the server has it yet; for the first one, what the server has."""
        uid, status = self._reported.get(key, ("", None))
        return status if status is not None and uid == snapshot.resource.metadata.uid else snapshot.resource.status

    def _schedule(self, key: Key, made: Plan, outcome: Outcome, *, written: bool) -> str:
        """When the next pass comes, if no news bring it earlier. What an API server refuses is paced by itself, and
        does not keep a Redis that heals over several barriers from the next one.
        """
        if outcome.namespace_is_going:
            self._queue.forget(key)
            self._queue.add_after(key, NAMESPACE_GOES_S)
            return "namespace goes"
        is_on_its_way = any(not isinstance(step, OBJECT_STEPS) for step in outcome.done)
        if not written or (outcome.redis_failed and not is_on_its_way):
            # Redis refused, or is another by now: waiting a minute would let what is broken be so for a minute.
            self._queue.retry(key, most_s=None if not outcome.redis_failed else SLOWEST_LOOK_S)
            return "failed"
        if not self._statuses.is_under_way(key):
            self._queue.forget(key)
        self._queue.add_after(key, self._next_look_s(key, made, outcome))
        if outcome.failed is not None:
            return "failed"
        return made.verdict.value if made.verdict is not Verdict.HEALTHY else "ok"

    def _next_look_s(self, key: Key, made: Plan, outcome: Outcome) -> float:
        seen = (made.verdict, made.holds, tuple(map(str, made.steps)))
        before, times = self._unchanged.get(key, (None, 0))
        times = times + 1 if before == seen else 0
        self._unchanged[key] = (seen, times)
        delay_s = made.next_look_s
        if delay_s < SLOWEST_LOOK_S:
            delay_s = min(SLOWEST_LOOK_S, delay_s * 1.1 ** min(times, 64))
        if outcome.retry_in_s is not None:
            delay_s = min(delay_s, max(outcome.retry_in_s, SOONEST_RETRY_S))
        return delay_s


def _told_together(steps: Sequence[Step]) -> Iterator[tuple[str, str]]:
    """One (reason, message) for all steps of a kind that were done in a row: six introductions are one news."""
    for reason, group in groupby(steps, key=lambda step: type(step).__name__):
        told = list(group)
        more = f" and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
        yield reason, f"{'; '.join(map(str, told[:MOST_TOLD]))}{more}: {told[0].why}"
