"""When what was refused is tried again: the longer it is refused, the more seldom, and whoever else waits, goes on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Failed:
    times: int
    until: float


class Backoff(Generic[K]):
    """First half a second, doubling up to a minute, each up to a fifth longer: a hundred that failed together do not
    come back in the same instant.
    """

    def __init__(
        self,
        *,
        first_s: float = 0.5,
        most_s: float = 60.0,
        jitter: float = 0.2,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*clock*: seconds, never set back."""
        self._first_s = first_s
        self._most_s = most_s
        self._jitter = jitter
        self._chance = chance
        self._clock = clock
        self._failed: dict[K, _Failed] = {}

    def __contains__(self, key: object) -> bool:
        """It failed when it was last tried."""
        return key in self._failed

    def wait_s(self, key: K) -> float:
        """How long it is not to be tried yet; 0: it may be."""
        failed = self._failed.get(key)
        return max(0.0, failed.until - self._clock()) if failed else 0.0

    def failed(self, key: K, *, at_least_s: float = 0.0) -> float:
        """It was tried, in vain. Returns how long it waits now. *at_least_s*: what whoever refused it asks for."""
        failed = self._failed.setdefault(key, _Failed(0, 0.0))
        # The exponent is bounded: what failed for a week would overflow a float.
        delay_s = min(self._most_s, self._first_s * 2.0 ** min(failed.times, 32))
        delay_s = max(delay_s * (1.0 + self._jitter * self._chance()), at_least_s)
        failed.times += 1
        failed.until = self._clock() + delay_s
        return delay_s

    def succeeded(self, key: K) -> None:
        """It went well, or nobody asks for it any more."""
        self._failed.pop(key, None)
