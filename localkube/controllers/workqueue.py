"""Decides when an object is looked at again: many marks fold into one pass, a failing key waits longer each time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import structlog

from localkube.errors import ApiError

log = structlog.get_logger()

K = TypeVar("K", bound=Hashable)

CONFLICT_RETRY_S = 0.005
FIRST_RETRY_S = 0.05
LONGEST_RETRY_S = 30.0


class KeyedQueue(Generic[K]):
    """Runs *reconcile* for marked keys, one at a time, one a turn of the loop so that the server keeps breathing.

    *reconcile* is synchronous (so is the registry) and may return seconds after which it wants to look again.
    """

    def __init__(self, name: str, reconcile: Callable[[K], float | None]) -> None:
        self._name = name
        self._reconcile = reconcile
        self._dirty: dict[K, None] = {}
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._turn: asyncio.Handle | None = None
        self._stopped = False

    def mark(self, key: K) -> None:
        if self._stopped:
            return
        self._dirty[key] = None
        self._plan_turn()

    def mark_later(self, key: K, after_s: float) -> None:
        """Mark *key* after *after_s* seconds. An earlier appointment stands; a later one is replaced."""
        if self._stopped:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + after_s
        standing = self._timers.get(key)
        if standing is not None:
            if standing.when() <= due:
                return
            standing.cancel()
        self._timers[key] = loop.call_at(due, self._ring, key)

    def stop(self) -> None:
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        if self._turn is not None:
            self._turn.cancel()
        self._timers.clear()
        self._dirty.clear()

    def _ring(self, key: K) -> None:
        self._timers.pop(key, None)
        self.mark(key)

    def _run_one(self) -> None:
        self._turn = None
        key = next(iter(self._dirty))
        del self._dirty[key]
        try:
            again_s = self._reconcile(key)
        except ApiError as refused:
            if refused.code == 409 and refused.reason == "Conflict":
                self.mark_later(key, CONFLICT_RETRY_S)
            else:
                self._back_off(key, refused)
        except Exception as bug:  # noqa: BLE001 - one bad object must not end the controller for all the others
            self._back_off(key, bug)
        else:
            self._failures.pop(key, None)
            if again_s is not None:
                self.mark_later(key, max(again_s, 0.0))
        self._plan_turn()

    def _plan_turn(self) -> None:
        if self._dirty and self._turn is None and not self._stopped:
            self._turn = asyncio.get_running_loop().call_soon(self._run_one)

    def _back_off(self, key: K, error: Exception) -> None:
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        log.warning(
            "controller pass failed",
            controller=self._name,
            key=key,
            failures=failures,
            error=str(error),
            exc_info=not isinstance(error, ApiError),
        )
        self.mark_later(key, min(FIRST_RETRY_S * 2 ** (failures - 1), LONGEST_RETRY_S))
