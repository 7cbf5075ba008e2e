"""Decides whose pods are recreated now, of all resources: so many at once, first come, first served.

Kept in memory alone. After a start nothing is granted before every resource was looked at once, or a minute is over:
those of which a part is new already had a turn before, and come first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from tdredis.planning.snapshot import Key, Turn

SEEN_WITHIN_S: Final = 60.0  # of a start: one whose Secret cannot be read, say, keeps the others waiting no longer


class Turns:
    """Turns of resources. One is kept until its resource is healthy and has nothing left to recreate, or is stopped by
    a person: paused, or with a spec that is invalid, it may stay as it is for weeks.
    """

    def __init__(
        self, limit: int, on_granted: Callable[[Key], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """*on_granted* hears who has got one: a pass of it may recreate pods. *clock*: seconds, never set back."""
        self._limit = limit
        self._clock = clock
        self._on_granted = on_granted
        self._has: set[Key] = set()
        self._waits: dict[Key, bool] = {}  # in their order; whether a part of it is new already
        self._unseen: set[Key] = set()
        self._looks_until = 0.0

    @property
    def active(self) -> int:
        return len(self._has)

    @property
    def waiting(self) -> int:
        return len(self._waits)

    def begin(self, keys: Iterable[Key]) -> None:
        """Nothing is known of before; *keys* are all resources that there are."""
        self._has.clear()
        self._waits.clear()
        self._unseen = set(keys)
        self._looks_until = self._clock() + SEEN_WITHIN_S

    @property
    def _looks(self) -> bool:
        """Not all have been seen since the start."""
        return bool(self._unseen) and self._clock() < self._looks_until

    def of(self, key: Key) -> Turn:
        ours = key in self._has
        return Turn(ours=ours, others=len(self._has) - ours, limit=self._limit)

    def note(self, key: Key, *, wants: bool, is_healthy: bool, has_begun: bool, is_stopped: bool = False) -> None:
        """What a pass saw. *wants*: pods are to be recreated; *has_begun*: some are new already. *is_stopped*: none is
        recreated until somebody writes spec.
        """
        if key in self._has:
            if not wants and (is_healthy or is_stopped):
                self._has.discard(key)
        elif wants and (is_healthy or (has_begun and self._looks)):
            self._waits.setdefault(key, has_begun)
        else:
            self._waits.pop(key, None)
        self.saw(key)

    def saw(self, key: Key) -> None:
        """It was looked at; what it wants, if it could not be read, nobody knows."""
        self._unseen.discard(key)
        self._grant()

    def forget(self, key: Key) -> None:
        """The resource is gone."""
        self._has.discard(key)
        self._waits.pop(key, None)
        self.saw(key)

    def _grant(self) -> None:
        while self._waits and not self._looks and len(self._has) < self._limit:
            begun = (key for key, has_begun in self._waits.items() if has_begun)
            key = next(begun, next(iter(self._waits)))
            del self._waits[key]
            self._has.add(key)
            self._on_granted(key)
