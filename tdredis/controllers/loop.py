"""Decides how a key becomes a pass: gather, plan, run, report; what it costs when it goes wrong, and when the next is.

The one reconcile of the operator. Keys never wait for each other; a bug in one pass costs that resource only.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import replace

import msgspec
import structlog
from structlog.contextvars import bound_contextvars

from tdredis.api.instance import Instance, InstanceStatus
from tdredis.api.json_object import JSONObject
from tdredis.api.kinds import InvalidResourceError
from tdredis.controllers.pacing import Pacing
from tdredis.controllers.status_writer import StatusWriter, substance
from tdredis.controllers.telling import Announcer, Telling
from tdredis.controllers.turns import Turns
from tdredis.execute.outcome import Outcome
from tdredis.execute.run import Executor, LeadLostError
from tdredis.kube.client import Client
from tdredis.observe.gather import NotKnownYetError, Observer
from tdredis.planning.conditions import pass_failed
from tdredis.planning.decide import Judged, assess, must_see_all, plan, records_data, report
from tdredis.planning.news import edits_given_up
from tdredis.planning.objects import object_refusal
from tdredis.planning.plan import Plan
from tdredis.planning.sizing import resize_refusal
from tdredis.planning.snapshot import Key, Snapshot, with_resource
from tdredis.planning.steps import name_of
from tdredis.planning.volumes import volume_refusal
from tdredis.runtime.logs import keep_secrets, owner_of, redact
from tdredis.runtime.queue import KeyedQueue

log = structlog.get_logger(__name__)

OnJudged = Callable[[Key, Judged, Plan, InstanceStatus], None]

ASK_AGAIN_S = 2.0  # what nothing can be begun without
MOST_ROLLS = 10  # resources whose pods are recreated at once
HURRY_S = 5.0  # so long after a death its resource's passes wait for nobody who was silent before


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
        max_rolls: int = MOST_ROLLS,
        on_pass: Callable[[Key, float, str], None] = lambda _key, _seconds, _outcome: None,
        on_step: Callable[[str, str, str], None] = lambda _kind, _step, _outcome: None,
        on_rollback: Callable[[str, int], None] = lambda _kind, _edits: None,
        on_status: Callable[[JSONObject], None] = lambda _answer: None,
        on_seen: Callable[[Key, Snapshot | None], None] = lambda _key, _snapshot: None,
        on_judged: OnJudged = lambda _key, _assessment, _made, _status: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*workers* passes run at once, and pods of *max_rolls* resources are recreated at once. *on_pass* hears
        seconds and outcome of each, *on_step* that of every step, *on_rollback* how many edits were given up,
        *on_status* the object as the server has it after a write, *on_seen* every snapshot, None of what is gone;
        *on_judged* what a pass made of it.
        *clock*: seconds, never set back.
        """
        self._queue = queue
        self._observer = observer
        self._executor = executor
        self._workers = workers
        self._on_pass = on_pass
        self._on_step = on_step
        self._on_rollback = on_rollback
        self._on_seen = on_seen
        self._on_judged = on_judged
        self._clock = clock
        self.statuses = StatusWriter(
            client, on_status=on_status, on_late=self._look_again, require_lead=executor.require_lead, clock=clock
        )
        self._pacing = Pacing(queue, clock=clock)
        self.turns = Turns(max_rolls, queue.add, clock)
        self._telling = Telling(announce, now=clock)
        self._at_peace: set[Key] = set()  # the last pass found nothing to do
        self._owners: set[Key] = set()  # whose passwords are hidden in what is said
        self._hurries_until: dict[Key, float] = {}
        self._passes = itertools.count(1)
        self._begun: dict[Key, float] = {}  # passes under way, the oldest first

    async def run(self) -> None:
        """Works until cancelled; a pass that runs then is cancelled with it, at one of its awaits."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work())
        finally:
            await self._executor.close()
            await self.statuses.close()

    @property
    def longest_s(self) -> float:
        """How long the oldest pass under way takes; 0: none is."""
        begun = next(iter(self._begun.values()), None)
        return 0.0 if begun is None else self._clock() - begun

    def forget(self) -> None:
        """Another has led meanwhile: what was said and tried before is of no use, and resources may be gone."""
        for key in self._owners:
            keep_secrets(_owner(key), ())
        self._owners.clear()
        self._pacing.clear()
        self._telling.clear()
        self.statuses.clear()
        self._hurries_until.clear()
        self._at_peace.clear()

    def _look_again(self, key: Key, written: bool) -> None:
        """A status was written late and is old by now, or not written at all."""
        if written:
            self._queue.add(key)
        else:
            self._queue.add_after(key, self.statuses.wait_s(key) or 0.0)

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            started = self._begun[key] = self._clock()
            outcome = "ok"
            with bound_contextvars(resource=str(key), namespace=key.namespace, pass_id=f"{next(self._passes):x}"):
                try:
                    outcome = await self.reconcile(key)
                except LeadLostError as error:
                    outcome = "lead lost"  # and with it this task, in a moment; or a renewal was just late
                    self._queue.retry(key)
                    log.warning("pass ended", why=str(error))
                except Exception as error:
                    outcome = "bug"
                    self.turns.saw(key)
                    log.exception("pass failed")
                    self._queue.retry(key)
                    await self._tell_of_bug(key, error)
                finally:
                    del self._begun[key]
                    self._queue.done(key)
                    self._on_pass(key, self._clock() - started, outcome)

    async def reconcile(self, key: Key) -> str:
        """One pass. Returns its outcome in one word."""
        try:
            is_urgent = self._hurries(key)
            at_peace = key in self._at_peace and not is_urgent
            snapshot = await self._observer.gather(key, at_peace=at_peace, is_urgent=is_urgent)
        except NotKnownYetError:
            self._queue.add_after(key, ASK_AGAIN_S)  # an answer brings the next pass, and a refusal does not
            return "waiting"
        except InvalidResourceError as error:
            log.warning("resource cannot be read", error=str(error))
            self._telling.say(key, self._observer.subject(key), warning=True, reason="Unreadable", message=str(error))
            self._queue.retry(key)
            self.turns.saw(key)
            return "unreadable"
        self._on_seen(key, snapshot)
        if snapshot is None:
            self._forget(key)
            return "gone"
        self._owners.add(key)
        desired = snapshot.desired_passwords or snapshot.passwords
        passwords = (snapshot.passwords.redis, snapshot.passwords.proxy, desired.redis, desired.proxy)
        keep_secrets(_owner(key), passwords)  # the log and the events hide these from now on, and no others
        assessment = assess(replace(self._with_record(key, snapshot), turn=self.turns.of(key)))
        made = plan(assessment)
        if must_see_all(assessment, made):
            self._at_peace.discard(key)
            return await self.reconcile(key)
        self.turns.note(
            key,
            wants=assessment.wants_turn,
            is_healthy=not assessment.findings,
            has_begun=assessment.wants_turn and assessment.has_begun,
            is_stopped=assessment.is_stopped,
        )
        self._telling.holds(key, made.holds)
        outcome = await self._executor.run(key, made)
        self._count(key, outcome)
        (self._at_peace.add if made.at_peace else self._at_peace.discard)(key)
        if outcome.namespace_is_going:
            return self._pacing.after(key, made, outcome, is_new_status=False, status_wait_s=None)
        failure = redact(self._telling.failure(key, outcome), _owner(key))  # the server quotes what it refuses
        what_failed = (outcome.failed, outcome.kind, failure)
        refusals = (refusal(*what_failed) for refusal in (resize_refusal, volume_refusal, object_refusal))
        refused = next((hold for hold in refusals if hold is not None), None)
        status = report(assessment, made, failure, refused)
        self._on_judged(key, assessment, made, status)
        # One that has no record is taken for new, in which nobody has data: the next pass must know better.
        is_first_record = records_data(status) and not records_data(snapshot.resource.status)
        is_new = substance(status) != substance(snapshot.resource.status)
        written = await self.statuses.write(
            key, snapshot.resource, status, to_the_end=is_first_record, hurry=self._queue.hurry(key)
        )
        before = self._telling.last_status(key, snapshot.resource.metadata.uid) or snapshot.resource.status
        if edits := edits_given_up(before, status):
            self._on_rollback(key.kind, edits)
        self._telling.tell(key, assessment, status, outcome, failure)
        status_wait_s = None if written else self.statuses.wait_s(key)
        return self._pacing.after(key, made, outcome, is_new_status=written and is_new, status_wait_s=status_wait_s)

    def _with_record(self, key: Key, snapshot: Snapshot) -> Snapshot:
        """What was recorded of a resource counts from then on, also while the server refuses to take it."""
        resource = snapshot.resource
        last = self._telling.last_status(key, resource.metadata.uid)
        if last is None or records_data(resource.status) or not records_data(last):
            return snapshot
        return with_resource(snapshot, msgspec.structs.replace(resource, status=last))

    def _hurries(self, key: Key) -> bool:
        """A process of it died a moment ago: its passes wait for nobody else who is silent."""
        now = self._clock()
        if self._queue.was_urgent(key):
            self._hurries_until[key] = now + HURRY_S
        return now < self._hurries_until.get(key, 0.0)

    def _count(self, key: Key, outcome: Outcome) -> None:
        for step in outcome.done:
            self._on_step(key.kind, name_of(step), "done")
        if outcome.failed is not None:
            self._on_step(key.kind, name_of(outcome.failed), "failed")

    async def _tell_of_bug(self, key: Key, error: Exception) -> None:
        """Nobody is to believe what status says of before. Which words the bug has changes; its class does not."""
        message = f'the operator failed to look at this resource: {type(error).__name__}, see "pass failed" in its log'
        self._telling.say(key, self._observer.subject(key), warning=True, reason="PassFailed", message=message)
        resource = self._resource(key)
        if resource is None:
            return
        try:
            await self.statuses.write(key, resource, pass_failed(resource, message, self._observer.now()))
        except LeadLostError as lost:
            log.warning("status not written", why=str(lost))

    def _resource(self, key: Key) -> Instance | None:
        try:
            return self._observer.resource(key)
        except (InvalidResourceError, msgspec.MsgspecError):
            return None

    def _forget(self, key: Key) -> None:
        keep_secrets(_owner(key), ())
        self._owners.discard(key)
        self._executor.forget(key)
        self.turns.forget(key)
        self._pacing.forget(key)
        self._telling.forget(key)
        self.statuses.forget(key)
        self._hurries_until.pop(key, None)
        self._at_peace.discard(key)


def _owner(key: Key) -> str:
    return owner_of(key.namespace, str(key))
