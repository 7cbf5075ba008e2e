"""Decides how long something of a resource has been so, whatever somebody does to the clock meanwhile.

Durations are measured by a clock that does not jump. They are told in epoch seconds, whose only meaning is their
distance to the `now` of the same look.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

from msgspec.structs import replace

from tdredis.kube.objects import Pod, parse_time
from tdredis.observe.pods import Times, last_start
from tdredis.redis.facts import Replication
from tdredis.redislink.pool import Address

Followed: TypeAlias = tuple[str | None, int | None]  # host and port


# Two clocks, read one after the other, are apart by another microsecond each time. What is told of a pod is to be the
# same in every pass, or it would have to be read anew.
CLOCK_WAS_SET_S = 0.5
NAMES_A_POD = 16  # a process has three, and its predecessors' are of use for some seconds


class Ages:
    """Of one resource: since when its pods are there, since when a process of it is silent or not in sync, and in which
    pod which process was.
    """

    def __init__(self, now: Callable[[], float], steady: Callable[[], float]) -> None:
        """*now*: epoch seconds. *steady*: seconds of a clock that does not jump."""
        self._now = now
        self._steady = steady
        self._born: dict[str, float] | None = None  # steady seconds by uid; None: never looked
        self._unproven: dict[str, tuple[str, float]] = {}  # by uid: what the pod says, and steady seconds
        self._silent: dict[Address, float] = {}  # steady seconds
        self._refusing: dict[Address, float] = {}  # steady seconds
        self._unsynced: dict[Address, tuple[Followed, float]] = {}  # whom it follows, and steady seconds
        self._known: dict[str, str] = {}  # pods' uids by what their processes said of themselves, the oldest first
        self._heard: dict[Address, float] = {}  # steady seconds of the first of all answers in a row
        self._write_failed: dict[str, float] = {}  # steady seconds when that was last seen, by pod uid
        self._looks = 0
        self._epoch = 0.0  # when the steady clock began, by the other one

    def look(self, pods: Collection[Pod]) -> None:
        """A pass begins with these. A pod that was not there when we looked before is new, whatever its date says; the
        age of one that we find is the server's word against our clock.
        """
        steady, now = self._steady(), self._now()
        self._looks += 1
        if abs(now - steady - self._epoch) > CLOCK_WAS_SET_S:
            self._epoch = now - steady
        self._look_at_starts(pods, steady, now)
        if self._born is None:
            self._born = {pod.metadata.uid: steady - _age_s(pod, now) for pod in pods}
        else:
            born = {pod.metadata.uid: self._born.get(pod.metadata.uid, steady) for pod in pods}
            self._born = self._born if self._born == born else born
        self._silent = {address: since for address, since in self._silent.items() if address.uid in self._born}
        self._refusing = {address: since for address, since in self._refusing.items() if address.uid in self._born}
        self._unsynced = {address: found for address, found in self._unsynced.items() if address.uid in self._born}
        self._heard = {address: since for address, since in self._heard.items() if address.uid in self._born}
        self._write_failed = {uid: when for uid, when in self._write_failed.items() if uid in self._born}

    def now(self) -> float:
        return self._epoch + self._steady()

    def _look_at_starts(self, pods: Collection[Pod], steady: float, now: float) -> None:
        """What began while we looked on began now; the age of what we find is the kubelet's word against our clock."""
        found = {}
        for pod in pods:
            uid, said = pod.metadata.uid, last_start(pod)
            before = self._unproven.get(uid)
            if before is not None and before[0] == said:
                found[uid] = before
            elif said:
                is_new = self._born is not None
                found[uid] = (said, steady if is_new else steady - max(0.0, now - parse_time(said)))
        self._unproven = self._unproven if self._unproven == found else found

    def births(self) -> tuple[float, Mapping[str, float] | None, Mapping[str, tuple[str, float]]]:
        """All that `times` goes by of pods that the last look has seen: the same while it says the same."""
        return self._epoch, self._born, self._unproven

    def times(self, uid: str) -> Times:
        """Of a pod that the last look has seen."""
        _, since = self._unproven.get(uid, ("", None))
        return Times(self.created(uid), None if since is None else self._epoch + since)

    def created(self, uid: str) -> float:
        """Of a pod that the last look has seen."""
        return self._epoch + (self._born or {}).get(uid, self._steady())

    def silent_since(self, address: Address) -> float:
        """It did not answer: when that began."""
        self._heard.pop(address, None)
        return self._epoch + self._silent.setdefault(address, self._steady())

    def silent_for_s(self, address: Address) -> float | None:
        """None: it answered when it was last asked, or was never asked."""
        since = self._silent.get(address)
        return None if since is None else self._steady() - since

    def answered(self, address: Address) -> None:
        if address in self._heard:
            return  # so it did the last time
        self._silent.pop(address, None)
        self._refusing.pop(address, None)
        self._heard[address] = self._steady()

    def heard_s(self, address: Address) -> float:
        """For how long it has answered every time; 0: it did not, or never was asked."""
        now = self._steady()
        return now - self._heard.get(address, now)

    def write_failed_s(self, uid: str, *, fails: bool) -> float | None:
        """How long ago a process in the pod *uid* was last seen unable to write to its disk, which it *fails* now or
        does not. None: never.
        """
        if fails:
            self._write_failed[uid] = self._steady()
        when = self._write_failed.get(uid)
        return None if when is None else self._steady() - when

    def write_failures(self) -> dict[str, float]:
        """Seconds since then, by pod uid."""
        return {uid: self._steady() - when for uid, when in self._write_failed.items()}

    def refusing_since(self, address: Address, *, replied: bool) -> float | None:
        """It gave no answer but an error, or no reply at all (*replied*): since when it replies with errors only."""
        if not replied:
            self._refusing.pop(address, None)
            return None
        return self._epoch + self._refusing.setdefault(address, self._steady())

    def remember(self, uid: str, *said: str) -> None:
        """A process in the pod *uid* gave itself these names: its ids, and where it is reached. They outlive the pod:
        that it is gone is the proof that its process is.
        """
        for name in said:
            self._known.pop(name, None)
            self._known[name] = uid
        most = NAMES_A_POD * (len(self._born or ()) + 1)
        while len(self._known) > most:
            del self._known[next(iter(self._known))]

    def known_pods(self) -> dict[str, str]:
        return dict(self._known)

    def not_in_sync(self, address: Address, link: Replication) -> Replication:
        """*link* of the process there, out of sync for no longer than we have seen it follow its present primary. Redis
        goes on counting from the previous one, and of a previous primary it says nothing but its uptime.

        What we find when we look for the first time is taken as it says.
        """
        if link.link_down_s is None:
            self._unsynced.pop(address, None)
            return link
        followed, steady = (link.primary_host, link.primary_port), self._steady()
        before = self._unsynced.get(address)
        if before is None or before[0] != followed:
            before = followed, steady - (link.link_down_s if self._looks == 1 else 0)
            self._unsynced[address] = before
        return replace(link, link_down_s=min(link.link_down_s, int(steady - before[1])))


def _age_s(pod: Pod, now: float) -> float:
    created = pod.metadata.creation_timestamp
    return max(0.0, now - parse_time(created)) if created else 0.0
