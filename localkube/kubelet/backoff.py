"""How long to wait before trying again: a restart after a crash, a pull of an image that is not there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """A real kubelet's numbers. Tests scale them down; the shape stays."""

    first_s: float = 10.0
    longest_s: float = 300.0

    def scaled(self, factor: float) -> Pace:
        return Pace(first_s=self.first_s * factor, longest_s=self.longest_s * factor)


class Backoff:
    """The first try is free, then first, double, ... longest; after twice the longest in peace it starts anew."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._wait_s: float | None = None
        self._since = 0.0

    def next_wait_s(self, ended_at: float) -> float:
        """Seconds to wait after an end at *ended_at* (monotonic), counted as one try more."""
        if self._wait_s is None or ended_at - self._since > 2 * self._pace.longest_s:
            self._wait_s, wait_s = self._pace.first_s, 0.0
        else:
            wait_s = self._wait_s
            self._wait_s = min(2 * self._wait_s, self._pace.longest_s)
        self._since = ended_at + wait_s
        return wait_s
