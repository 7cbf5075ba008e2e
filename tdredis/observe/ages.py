"""Decides how long something of a resource has been so, whatever somebody does to the clock meanwhile.

Durations are measured by a clock that does not jump. They are told in epoch seconds, whose only meaning is their
distance to the `now` of the same look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tdredis.kube.objects import Pod, parse_time
from tdredis.redislink.pool import Address


class Ages:
    """Of one resource: since when its pods are there, and since when a process of it is silent."""

    def __init__(self, now: Callable[[], float], steady: Callable[[], float]) -> None:
        """*now*: epoch seconds. *steady*: seconds of a clock that does not jump."""
        self._now = now
        self._steady = steady
        self._born: dict[str, float] | None = None  # steady seconds by uid; None: never looked
        self._silent: dict[Address, float] = {}  # steady seconds
        self._epoch = 0.0  # when the steady clock began, as of the last look

    def look(self, pods: Iterable[Pod]) -> None:
        """A pass begins with these. A pod that was not there when we looked before is new, whatever its date says; the
        age of one that we find is the server's word against our clock.
        """
        steady, now = self._steady(), self._now()
        self._epoch = now - steady
        if self._born is None:
            self._born = {pod.metadata.uid: steady - _age_s(pod, now) for pod in pods}
        else:
            self._born = {pod.metadata.uid: self._born.get(pod.metadata.uid, steady) for pod in pods}
        self._silent = {address: since for address, since in self._silent.items() if address.uid in self._born}

    def now(self) -> float:
        return self._epoch + self._steady()

    def created(self, uid: str) -> float:
        """Of a pod that the last look has seen."""
        return self._epoch + (self._born or {}).get(uid, self._steady())

    def silent_since(self, address: Address) -> float:
        """It did not answer: when that began."""
        return self._epoch + self._silent.setdefault(address, self._steady())

    def silent_for_s(self, address: Address) -> float | None:
        """None: it answered when it was last asked, or was never asked."""
        since = self._silent.get(address)
        return None if since is None else self._steady() - since

    def answered(self, address: Address) -> None:
        self._silent.pop(address, None)


def _age_s(pod: Pod, now: float) -> float:
    created = pod.metadata.creation_timestamp
    return max(0.0, now - parse_time(created)) if created else 0.0
