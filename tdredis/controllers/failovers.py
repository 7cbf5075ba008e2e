"""Decides what counts as a failover, and how long a shard was without a primary: what the passes of a resource saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tdredis.api.instance import InstanceStatus
from tdredis.planning.measures import NO_PRIMARY


@dataclass(slots=True)
class Counted:
    """Of one resource since this process began to lead, or since the resource was made."""

    failovers: int = 0  # another pod is a shard's primary, because the one before had died
    handovers: int = 0  # another pod is, and the one before was there to hand over
    gap_s: float = 0.0  # of all shards together
    last_gap_s: float = 0.0


@dataclass(slots=True)
class _Shard:
    primary: str
    lost_at: float | None = None  # its connection was lost, or a pass saw that there is no primary
    is_without: bool = False  # a pass saw so


@dataclass(slots=True)
class Failovers:
    """Of one resource. *clock*: seconds, never set back."""

    clock: Callable[[], float]
    counted: Counted = field(default_factory=Counted)
    _shards: dict[str, _Shard] = field(default_factory=dict)

    def lost(self, pod: str) -> None:
        """A connection to the process in *pod* ended, and not because we closed it."""
        for shard in self._shards.values():
            if shard.primary == pod and shard.lost_at is None:
                shard.lost_at = self.clock()

    def saw(self, recorded: InstanceStatus, status: InstanceStatus) -> list[float]:
        """*status*: what a pass came to; *recorded*: what the one before had left, for whoever begins to lead. Returns
        the gaps that ended, in seconds.
        """
        if self._shards.keys() - {line.name for line in status.shards}:
            self._shards = {line.name: self._shards[line.name] for line in status.shards if line.name in self._shards}
        gaps: list[float] = []
        for line in status.shards:
            shard = self._shards.get(line.name)
            if shard is None:
                before = next((each.primary for each in recorded.shards if each.name == line.name), "")
                shard = self._shards[line.name] = _Shard(before)
            if line.phase == NO_PRIMARY or not line.primary:
                if shard.primary:
                    shard.is_without = True
                    shard.lost_at = self.clock() if shard.lost_at is None else shard.lost_at
            else:
                gaps += self._has(shard, line.primary)
        return gaps

    def _has(self, shard: _Shard, primary: str) -> list[float]:
        """The shard has a primary: whether it is another one, and whether there was none meanwhile."""
        is_another = bool(shard.primary) and shard.primary != primary
        gap_s = None
        if shard.lost_at is not None and (is_another or shard.is_without):
            gap_s = self.clock() - shard.lost_at
            self.counted.gap_s += gap_s
            self.counted.last_gap_s = gap_s
        if is_another and shard.lost_at is not None:
            self.counted.failovers += 1
        elif is_another:
            self.counted.handovers += 1
        shard.primary, shard.lost_at, shard.is_without = primary, None, False
        return [] if gap_s is None else [gap_s]
