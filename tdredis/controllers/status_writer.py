"""Writes status, one write a resource at a time, and does not let a slow API server hold up a pass.

What a pass sees and does has to do with Redis; what it says of that is for people. So the next pass may begin while
the server takes its time with a status, and looks once more when it has it. One that is refused is not sent again
before its time, and one that only reads otherwise is not sent with every pass.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

from tdredis.api.fields import API_VERSION
from tdredis.api.instance import Instance, InstanceStatus
from tdredis.api.json_object import JSONObject
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError, Conflict, NotFound, ServerUnavailable, TooManyRequests
from tdredis.kube.resources import resource_of
from tdredis.planning.snapshot import Key
from tdredis.runtime.backoff import Backoff

log = structlog.get_logger(__name__)

WAIT_S = 0.1  # ten times what a write takes; a failover is to be seen by its clients in 0.5 s
AT_ONCE = 16  # statuses of other resources leave the server's connections to the lease, to watches and to endpoints

# Sentences may hold numbers that change with every look. So many at once, and then one a minute.
WORDS_AT_ONCE, WORDS_S = 5, 60.0


@dataclass(slots=True)
class _Words:
    """How many statuses that only read otherwise may be written, as of *at*."""

    left: float
    at: float


def substance(status: InstanceStatus) -> InstanceStatus:
    """*status* without its sentences, which are for people and decide nothing."""
    conditions = tuple(
        msgspec.structs.replace(each, message="", observed_generation=0, last_transition_time="")
        for each in status.conditions
    )
    return msgspec.structs.replace(status, conditions=conditions)


class StatusWriter:
    """*on_status* hears the object as the server has it after a write. *on_late* is told of a key whose write was not
    waited for and needs another pass, and whether it was written. *require_lead* is called directly before every write,
    and raises where nothing may be written any more.
    """

    def __init__(
        self,
        client: Client,
        *,
        on_status: Callable[[JSONObject], None] = lambda _answer: None,
        on_late: Callable[[Key, bool], None] = lambda _key, _written: None,
        require_lead: Callable[[], None] = lambda: None,
        wait_s: float = WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*clock*: seconds, never set back."""
        self._client = client
        self._on_status = on_status
        self._on_late = on_late
        self._require_lead = require_lead
        self._wait_s = wait_s
        self._under_way: dict[Key, asyncio.Task[bool]] = {}
        self._turned_away: set[Key] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._clock = clock
        self._backoff: Backoff[Key] = Backoff(clock=clock)
        self._words: dict[Key, _Words] = {}
        self._sent: dict[Key, InstanceStatus] = {}

    def is_under_way(self, key: Key) -> bool:
        """Whether it is written is not known yet."""
        return key in self._under_way

    def is_ours(self, key: Key, status: InstanceStatus) -> bool:
        """It is what we have written, or are writing: no news to us."""
        return self._sent.get(key) == status

    def wait_s(self, key: Key) -> float | None:
        """Until a status that is not written yet is to be tried; None: there is none."""
        if key in self._backoff:
            return self._backoff.wait_s(key)
        words = self._words.get(key)
        return None if words is None else max(0.0, (1.0 - words.left) * WORDS_S - (self._clock() - words.at))

    def forget(self, key: Key) -> None:
        """The resource is gone."""
        self._backoff.succeeded(key)
        self._words.pop(key, None)
        self._sent.pop(key, None)

    def clear(self) -> None:
        """Another has led meanwhile."""
        for key in {*self._sent, *self._words}:
            self.forget(key)

    async def write(
        self,
        key: Key,
        resource: Instance,
        status: InstanceStatus,
        *,
        to_the_end: bool = False,
        hurry: asyncio.Future[None] | None = None,
    ) -> bool:
        """Writes *status* if it is another than *resource* has. False: it is not written, and `wait_s` says when it is
        to be. Raises what *require_lead* does.

        While an earlier write is under way nothing is begun: its end brings another pass. *to_the_end*: waits for both,
        however long the server takes, unless *hurry* is done.
        """
        if (earlier := self._under_way.get(key)) and to_the_end:
            await self._wait(earlier, None, hurry)
        if key in self._under_way:
            self._turned_away.add(key)
            return True
        if status == resource.status:
            self._backoff.succeeded(key)
            return True
        if self._backoff.wait_s(key) or (
            substance(status) == substance(resource.status) and not self._may_reword(key, status, resource.status)
        ):
            return False
        self._sent[key] = status
        task = asyncio.create_task(self._send(key, resource.metadata.uid, status))
        self._under_way[key] = task
        try:
            await self._wait(task, None if to_the_end else self._wait_s, hurry)
        finally:
            # Also when the pass is cancelled here: the write goes on, and its end is told.
            if not task.done():
                task.add_done_callback(lambda ended: self._end(key, ended))
            else:
                del self._under_way[key]
                if not task.cancelled():
                    task.exception()  # a pass that is given up here asks for no result: what was raised is no news
        return task.result() if task.done() else True

    async def _wait(
        self, task: asyncio.Task[bool], timeout_s: float | None, hurry: asyncio.Future[None] | None
    ) -> None:
        both: set[asyncio.Future[bool] | asyncio.Future[None]] = {task} if hurry is None else {task, hurry}
        await asyncio.wait(both, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """Gives up what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _may_reword(self, key: Key, status: InstanceStatus, stored: InstanceStatus) -> bool:
        if status.observed_generation != stored.observed_generation:
            return True  # somebody changed spec, and is to be answered
        now = self._clock()
        words = self._words.setdefault(key, _Words(WORDS_AT_ONCE, now))
        words.left = min(float(WORDS_AT_ONCE), words.left + (now - words.at) / WORDS_S)
        words.at = now
        if words.left < 1.0:
            return False
        words.left -= 1.0
        return True

    def _end(self, key: Key, task: asyncio.Task[bool]) -> None:
        del self._under_way[key]
        is_old = key in self._turned_away
        self._turned_away.discard(key)
        if task.cancelled():
            return
        if error := task.exception():
            log.error("status not written", resource=str(key), namespace=key.namespace, exc_info=error)
        written = error is None and task.result()
        if is_old or not written:
            self._on_late(key, written)

    async def _send(self, key: Key, uid: str, status: InstanceStatus) -> bool:
        manifest: JSONObject = {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            # The uid: a slow pass must not write its slots onto a resource that was made again under the name.
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
            "status": msgspec.to_builtins(status),
        }
        try:
            async with self._room:
                self._require_lead()
                answer = await self._client.apply(resource_of(API_VERSION, key.kind), manifest, subresource="status")
        except (NotFound, Conflict) as error:
            # Deleted meanwhile, or made again: the watch tells.
            self._backoff.failed(key)
            log.debug("status not written", resource=str(key), namespace=key.namespace, error=str(error))
            return False
        except ApiError as error:
            asked_s = error.retry_after_s if isinstance(error, TooManyRequests | ServerUnavailable) else None
            self._backoff.failed(key, at_least_s=asked_s or 0.0)
            log.warning("status not written", resource=str(key), namespace=key.namespace, error=str(error))
            return False
        self._backoff.succeeded(key)
        self._on_status(answer)
        ready = status.conditions[0]
        log.info("status written", resource=str(key), namespace=key.namespace, phase=status.phase, why=ready.message)
        return True
