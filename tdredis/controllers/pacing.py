"""Decides when a resource is looked at next, where no news bring it earlier.

What heals is looked at soon, what stands still ever more seldom. An API server that refuses an object, or a status,
paces that alone: a Redis that heals over several barriers is looked at as soon as ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tdredis.execute.outcome import Outcome
from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import RedisStep
from tdredis.runtime.backoff import Backoff
from tdredis.runtime.queue import KeyedQueue

NAMESPACE_GOES_S = 60.0  # its resources go too, and of each the watch tells
SOONEST_RETRY_S = 0.1  # of what was refused
SLOWEST_LOOK_S = 2.0  # while the engine works and nothing changes, looks grow rarer up to this
ECHO_FIRST_S, ECHO_MOST_S = 0.1, 15.0


class Pacing:
    """Puts keys back into *queue*."""

    def __init__(self, queue: KeyedQueue[Key], *, clock: Callable[[], float] = time.monotonic) -> None:
        """*clock*: seconds, never set back."""
        self._queue = queue
        self._unchanged: dict[Key, tuple[object, int]] = {}  # what the last pass saw, and how often
        # A status is an input too: of what was just recorded more may follow. Not without end, where it flaps.
        self._echo: Backoff[Key] = Backoff(first_s=ECHO_FIRST_S, most_s=ECHO_MOST_S, clock=clock)

    def forget(self, key: Key) -> None:
        """The resource is gone."""
        self._queue.drop(key)
        self._unchanged.pop(key, None)
        self._echo.succeeded(key)

    def clear(self) -> None:
        """Another has led meanwhile."""
        for key in list(self._unchanged):
            self._queue.forget(key)
            self._echo.succeeded(key)
        self._unchanged.clear()

    def after(self, key: Key, made: Plan, outcome: Outcome, *, is_new_status: bool, status_wait_s: float | None) -> str:
        """Asks for the next pass, and returns what became of this one in a word. *is_new_status*: it says something
        else than the last. *status_wait_s*: until it is to be written again; None: it was not refused.
        """
        if outcome.namespace_is_going:
            self._queue.forget(key)
            self._queue.add_after(key, NAMESPACE_GOES_S)
            return "namespace goes"
        is_on_its_way = any(isinstance(step, RedisStep) for step in outcome.done)
        if outcome.redis_failed and not is_on_its_way:
            # Redis refused, or is another by now: waiting a minute would let what is broken be so for a minute.
            self._queue.retry(key, most_s=SLOWEST_LOOK_S)
            return "failed"
        self._queue.forget(key)
        delay_s = self._look_s(key, made)
        if is_new_status:
            delay_s = min(delay_s, self._echo.failed(key))
        elif not self._echo.wait_s(key):
            self._echo.succeeded(key)
        for retry_s in (outcome.retry_in_s, status_wait_s):
            if retry_s is not None:
                delay_s = min(delay_s, max(retry_s, SOONEST_RETRY_S))
        self._queue.add_after(key, delay_s)
        if outcome.failed is not None or status_wait_s is not None:
            return "failed"
        return made.verdict.value if made.verdict is not Verdict.HEALTHY else "ok"

    def _look_s(self, key: Key, made: Plan) -> float:
        seen = (made.verdict, made.holds, tuple(map(str, made.steps)))
        before, times = self._unchanged.get(key, (None, 0))
        times = times + 1 if before == seen else 0
        self._unchanged[key] = (seen, times)
        if made.next_look_s >= SLOWEST_LOOK_S:
            return made.next_look_s
        return min(SLOWEST_LOOK_S, made.next_look_s * 1.1 ** min(times, 64))
