"""What time it is, in one place, so that a test can say it."""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Epoch seconds: for timestamps that people and other machines read."""

    def monotonic(self) -> float:
        """Seconds that never jump: for deadlines and ages."""


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class SetClock:
    """A clock that stands still until it is told to advance."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Both times go forward together."""
        self._now += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Only the wall clock moves, as when somebody sets it."""
        self._now += seconds
