"""Decides how one Sentinel's view is read: whom it watches, and which replicas and Sentinels it knows.

Source: redis.io, "High availability with Redis Sentinel" (SENTINEL MASTERS, REPLICAS, SENTINELS), Redis 6 to 8, Valkey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

REFUSED_MS = 1000  # it is asked once a second


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Known:
    """A replica or another Sentinel, as the asked one believes it."""

    host: str
    port: int
    run_id: str = ""  # "": it has not answered yet
    flags: frozenset[str] = frozenset()
    priority: int = 100  # of a replica: 0 is never chosen

    @property
    def is_down(self) -> bool:
        return bool(self.flags & {"s_down", "o_down", "disconnected"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One primary that a Sentinel watches."""

    name: str
    host: str
    port: int
    quorum: int
    config_epoch: int  # the higher, the newer: of two that disagree the higher is right
    run_id: str = ""  # of the process that was there when it read its INFO last; "": it has not yet
    flags: frozenset[str] = frozenset()
    down_after_ms: int = 0
    failover_timeout_ms: int = 0
    parallel_syncs: int = 1
    reply_age_ms: int = 0  # of the last answer to a PING, whatever it said
    ok_age_ms: int = 0  # of the last one that was no refusal
    info_age_ms: int = 0  # of the last INFO that it read; 0: none ever
    replicas: tuple[Known, ...] = ()
    sentinels: tuple[Known, ...] = ()  # the others

    @property
    def in_failover(self) -> bool:
        return "failover_in_progress" in self.flags

    @property
    def is_down(self) -> bool:
        """In the asked Sentinel's own eyes."""
        return bool(self.flags & {"s_down", "o_down"})

    @property
    def is_shut_out(self) -> bool:
        """The primary answers the asked Sentinel, and refuses it: every PING gets an error, and so does INFO.

        A dead or frozen primary gives no answer at all, one that loads or cannot write to its disk answers INFO.
        """
        no_info = not self.info_age_ms or self.info_age_ms + REFUSED_MS > self.ok_age_ms
        return self.ok_age_ms - self.reply_age_ms >= REFUSED_MS and no_info


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelFacts:
    """One Sentinel's answers, all of one moment."""

    version: str
    run_id: str  # another one after every start of the process
    watches: tuple[Watch, ...] = ()  # by name
    announced_host: str = ""
    announced_port: int = 0
    id: str = ""  # under which the others know it; "": it does not say (Redis before 6.2)
    in_tilt: bool = False  # it carries out nothing until 30 s have passed without a stall or a jump of its clock

    def watch(self, name: str) -> Watch | None:
        return next((each for each in self.watches if each.name == name), None)


def parse_known(fields: Mapping[str, str]) -> Known:
    """One row of SENTINEL REPLICAS or SENTINELS. Raises KeyError or ValueError."""
    return Known(
        host=fields["ip"],
        port=int(fields["port"]),
        run_id=fields.get("runid", ""),
        flags=frozenset(fields["flags"].split(",")),
        priority=int(fields.get("slave-priority", 100)),
    )


def parse_watch(
    fields: Mapping[str, str], replicas: Sequence[Mapping[str, str]], sentinels: Sequence[Mapping[str, str]]
) -> Watch:
    """One row of SENTINEL MASTERS with the rows of SENTINEL REPLICAS and SENTINELS. Raises KeyError or ValueError."""
    return Watch(
        name=fields["name"],
        host=fields["ip"],
        port=int(fields["port"]),
        quorum=int(fields["quorum"]),
        config_epoch=int(fields["config-epoch"]),
        run_id=fields.get("runid", ""),
        flags=frozenset(fields["flags"].split(",")),
        down_after_ms=int(fields["down-after-milliseconds"]),
        failover_timeout_ms=int(fields["failover-timeout"]),
        parallel_syncs=int(fields["parallel-syncs"]),
        reply_age_ms=int(fields.get("last-ping-reply", 0)),
        ok_age_ms=int(fields.get("last-ok-ping-reply", 0)),
        info_age_ms=int(fields.get("info-refresh", 0)),
        replicas=tuple(sorted((parse_known(row) for row in replicas), key=_place)),
        sentinels=tuple(sorted((parse_known(row) for row in sentinels), key=_place)),
    )


def _place(known: Known) -> tuple[str, int]:
    return known.host, known.port
