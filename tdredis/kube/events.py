"""What people read in `kubectl describe`: events about our resources, merged and paced so that they never flood."""

import asyncio
import contextlib
import math
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import structlog

from tdredis.api.json_object import JSONObject
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError, NotFound, ServerUnavailable, TooManyRequests, is_namespace_going
from tdredis.kube.objects import render_time
from tdredis.kube.resources import EVENTS

EventType = Literal["Normal", "Warning"]

_LONGEST_MESSAGE = 1024  # bytes: what the API server accepts
_LONGEST_REASON = 128
_ATTEMPTS = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reference:
    """The object that an event is about."""

    api_version: str
    kind: str
    namespace: str  # "": an object of the cluster
    name: str
    uid: str


_Key = tuple[Reference, EventType, str, str]


@dataclass(slots=True)
class _Written:
    """An Event object that is out there and may be counted up."""

    name: str
    count: int
    last_at: float


@dataclass(slots=True)
class _Wish:
    first_at: float
    last_at: float
    count: int
    attempts: int = 0


@dataclass(slots=True)
class _Budget:
    tokens: float
    at: float
    told: bool = False  # that an event was dropped, since the last one that was not
    spoken: dict[str, float] = field(default_factory=dict)  # reason -> when an event with it was last let through


class EventRecorder:
    """Call `start()` once, `record(...)` from anywhere on the loop, `await stop()` at the end. Nothing here ever raises
    for what the server does: an event that cannot be written is logged and dropped, the work it tells of goes on.
    """

    def __init__(
        self,
        client: Client,
        *,
        component: str = "td-redis-operator",
        instance: str = "",
        window_s: float = 600.0,
        most_waiting: int = 1000,
        burst: int = 25,
        refill_s: float = 10.0,
        first_retry_s: float = 0.5,
        redact: Callable[[Reference, str], str] = lambda _about, message: message,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Equal events within `window_s` are one Event with a count. One object may cause `burst` at once and then one
        every `refill_s`. `redact` takes secrets out of messages.
        """
        self._client = client
        self._component = component
        self._instance = instance
        self._window_s = window_s
        self._most_waiting = most_waiting
        self._burst = burst
        self._refill_s = refill_s
        self._first_retry_s = first_retry_s
        self._redact = redact
        self._now = now
        self._monotonic = monotonic
        self._waiting: OrderedDict[_Key, _Wish] = OrderedDict()
        self._written: OrderedDict[_Key, _Written] = OrderedDict()
        self._budgets: OrderedDict[Reference, _Budget] = OrderedDict()
        self._something = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def start(self) -> asyncio.Task[None]:
        """The task that writes; it goes on until `stop`, and whoever started it is to hear if it ends before."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="events")
        return self._task

    def record(self, about: Reference, type_: EventType, reason: str, message: str) -> None:
        """Returns at once. `reason` is a CamelCase word, `message` a sentence for people."""
        now = self._now()
        key = (about, type_, reason[:_LONGEST_REASON], _shortened(self._redact(about, message)))
        wish = self._waiting.get(key)
        if wish is not None:
            wish.count += 1
            wish.last_at = now
            return
        if len(self._waiting) >= self._most_waiting or not self._may_spend(about, reason):
            self._drop(about, reason, "too many events")
            return
        self._waiting[key] = _Wish(first_at=now, last_at=now, count=1)
        self._idle.clear()
        self._something.set()

    async def flush(self, deadline_s: float = 2.0) -> bool:
        """Waits until everything recorded is written or dropped; False if that took too long."""
        try:
            async with asyncio.timeout(deadline_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self, deadline_s: float = 2.0) -> None:
        """Writes what it can within `deadline_s`, and ends."""
        if self._task is None:
            return
        await self.flush(deadline_s)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    async def _run(self) -> None:
        while True:
            await self._something.wait()
            while self._waiting:
                key, wish = self._waiting.popitem(last=False)
                try:
                    await self._write(key, wish)
                except (ServerUnavailable, TooManyRequests) as error:
                    await self._put_back(key, wish, error)
                except ApiError as error:
                    # Of what goes with its namespace nobody need be told, and nobody could read it.
                    if not is_namespace_going(error):
                        self._drop(key[0], key[2], str(error))
            self._something.clear()
            self._idle.set()

    async def _put_back(self, key: _Key, wish: _Wish, error: ServerUnavailable | TooManyRequests) -> None:
        wish.attempts += 1
        if wish.attempts >= _ATTEMPTS:
            self._drop(key[0], key[2], str(error))
            return
        newer = self._waiting.get(key)
        if newer is not None:
            newer.first_at = wish.first_at
            newer.count += wish.count
        else:
            self._waiting[key] = wish
        self._waiting.move_to_end(key, last=False)
        await asyncio.sleep(max(error.retry_after_s or 0.0, self._first_retry_s * 2.0**wish.attempts))

    async def _write(self, key: _Key, wish: _Wish) -> None:
        about = key[0]
        written = self._written.get(key)
        if written is not None and wish.last_at - written.last_at <= self._window_s:
            patch: JSONObject = {
                "count": written.count + wish.count,
                "lastTimestamp": render_time(wish.last_at),
            }
            try:
                await self._client.patch(EVENTS, _namespace(about), written.name, patch)
            except NotFound:
                pass  # events live an hour: it is gone, and a new one is written
            else:
                written.count += wish.count
                written.last_at = wish.last_at
                self._written.move_to_end(key)
                return
        name = f"{about.name[:200]}.{uuid.uuid4().hex[:16]}"
        await self._client.create(EVENTS, self._build(key, wish, name))
        self._written[key] = _Written(name, wish.count, wish.last_at)
        self._written.move_to_end(key)
        while len(self._written) > 4 * self._most_waiting:
            self._written.popitem(last=False)

    def _build(self, key: _Key, wish: _Wish, name: str) -> JSONObject:
        about, type_, reason, message = key
        involved: JSONObject = {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "name": about.name,
            "uid": about.uid,
        }
        if about.namespace:
            involved["namespace"] = about.namespace
        return {
            "metadata": {"name": name, "namespace": _namespace(about)},
            "involvedObject": involved,
            "type": type_,
            "reason": reason,
            "message": message,
            "count": wish.count,
            "firstTimestamp": render_time(wish.first_at),
            "lastTimestamp": render_time(wish.last_at),
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }

    def _may_spend(self, about: Reference, reason: str) -> bool:
        """Also without a token, if nothing with this *reason* was told for as long as a token takes: a failover right
        after a creation, which says so much else, is told.
        """
        now = self._monotonic()
        budget = self._budgets.setdefault(about, _Budget(float(self._burst), now))
        self._budgets.move_to_end(about)
        while len(self._budgets) > 4 * self._most_waiting:
            self._budgets.popitem(last=False)
        budget.tokens = min(float(self._burst), budget.tokens + (now - budget.at) / self._refill_s)
        budget.at = now
        if budget.tokens < 1.0 and now - budget.spoken.get(reason, -math.inf) < self._refill_s:
            return False
        budget.tokens = max(0.0, budget.tokens - 1.0)
        budget.spoken[reason] = now
        budget.told = False
        return True

    def _drop(self, about: Reference, reason: str, why: str) -> None:
        self.dropped += 1
        budget = self._budgets.get(about)
        # Once for an object until it may speak again: a flood must not become one of the log.
        say = log.debug if budget is not None and budget.told else log.warning
        if budget is not None:
            budget.told = True
        say("event dropped", kind=about.kind, namespace=about.namespace, name=about.name, reason=reason, why=why)


def _namespace(about: Reference) -> str:
    return about.namespace or "default"  # where Kubernetes keeps events about objects of the cluster


def _shortened(message: str) -> str:
    encoded = message.encode()
    if len(encoded) <= _LONGEST_MESSAGE:
        return message
    return encoded[: _LONGEST_MESSAGE - 3].decode("utf-8", "ignore") + "…"
