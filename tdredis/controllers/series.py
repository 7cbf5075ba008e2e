"""Decides what the metrics page says of each resource, and that one that is gone is gone from it.

A pass leaves a small record, and the page is made of those when somebody asks for it: what a scrape costs grows with
the resources, what a pass costs does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from tdredis.api.instance import InstanceStatus
from tdredis.controllers.failovers import Counted, Failovers
from tdredis.planning.decide import Judged
from tdredis.planning.measures import Measures, measure
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Key

FAILED: Final = frozenset({"failed", "bug", "unreadable"})  # outcomes of passes
UNSAID: Final = frozenset({"gone", "lead lost"})
MOST_LABEL: Final = 64  # letters: an engine says itself what it is called
AT_ONCE: Final = 500  # resources between two breaths of the event loop: a few milliseconds

Read = Callable[["Record"], Iterable[tuple[tuple[str, ...], float]]]


@dataclass(slots=True)
class Record:
    """Of one resource. *measures* None: no pass has come to an end yet."""

    labels: str  # as the page has them, without the closing brace
    failovers: Failovers
    measures: Measures | None = None
    last_pass: float = 0.0  # epoch seconds; 0: the first is under way
    has_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric. *labels*: beside those of the resource. *unit* "": a plain number."""

    name: str
    kind: Literal["gauge", "counter"] = "gauge"
    unit: str = ""
    labels: tuple[str, ...] = ()
    help: str
    read: Read

    @property
    def series(self) -> str:
        return f"{self.name}_total" if self.kind == "counter" else self.name


def _of(get: Callable[[Measures], float | None]) -> Read:
    def read(record: Record) -> Iterator[tuple[tuple[str, ...], float]]:
        value = get(record.measures) if record.measures is not None else None
        if value is not None:
            yield (), value

    return read


def _each(get: Callable[[Measures], Iterable[tuple[tuple[str, ...], float]]]) -> Read:
    return lambda record: get(record.measures) if record.measures is not None else ()


def _counted(get: Callable[[Counted], float]) -> Read:
    return lambda record: (((), get(record.failovers.counted)),)


# In the order of the page.
FAMILIES: Final[tuple[Family, ...]] = (
    Family(
        name="tdredis_resource_info",
        labels=("env", "engine"),
        help="1; what it runs: env as spec has it, the engine as the first of its processes says.",
        read=_each(lambda of: (((of.env, of.engine), 1),)),
    ),
    Family(
        name="tdredis_resource_condition",
        labels=("type",),
        help="A condition of its status: 1 is True, 0 is False. RolledBack and Paused are there while they are True.",
        read=_each(lambda of: (((kind,), is_true) for kind, is_true in of.conditions)),
    ),
    Family(
        name="tdredis_resource_finding",
        labels=("reason",),
        help="1 while it is found, and keeps it from being Ready: reasons of docs/howto/night.md. PodFails: a pod's"
        " trouble.",
        read=_each(lambda of: (((reason,), 1) for reason in of.findings)),
    ),
    Family(
        name="tdredis_resource_hold",
        labels=("guard", "about"),
        help="1 while it is held: by which guard of docs/howto/night.md; about spec, or the world.",
        read=_each(lambda of: ((each, 1) for each in of.holds)),
    ),
    Family(
        name="tdredis_resource_pending_changes",
        labels=("state",),
        help="Changes of spec that are not effective yet: under_way, waits (a guard holds them), cannot.",
        read=_each(lambda of: ((("under_way",), of.under_way), (("waits",), of.waiting), (("cannot",), of.refused))),
    ),
    Family(
        name="tdredis_resource_generation",
        help="metadata.generation: it counts the edits of spec.",
        read=_of(lambda of: of.generation),
    ),
    Family(
        name="tdredis_resource_observed_generation",
        help="status.observedGeneration, as the API server has it: less than the former before an edit is taken up.",
        read=_of(lambda of: of.observed_generation),
    ),
    Family(name="tdredis_resource_shards", help="Shards that there are.", read=_of(lambda of: of.shards)),
    Family(
        name="tdredis_resource_shards_without_primary",
        help="Shards that had a primary, and slots in a RedisCluster, and have none that answers.",
        read=_of(lambda of: of.without_primary),
    ),
    Family(
        name="tdredis_resource_slots_uncovered",
        help="Hash slots without an owner, of a RedisCluster in which each once had one.",
        read=_of(lambda of: of.slots_uncovered),
    ),
    Family(
        name="tdredis_resource_replicas_wanted",
        help="Replicas that spec asks for, of all shards.",
        read=_of(lambda of: of.replicas_wanted),
    ),
    Family(
        name="tdredis_resource_replicas_in_sync",
        help="Replicas that have a whole copy of their primary's data.",
        read=_of(lambda of: of.replicas_in_sync),
    ),
    Family(
        name="tdredis_resource_silent_processes",
        help="Redis processes that run and do not answer.",
        read=_of(lambda of: of.silent),
    ),
    Family(
        name="tdredis_resource_replication_lag_bytes",
        unit="bytes",
        help="How far the last replica is behind its primary. They are asked one after another: up to what is written"
        " in that time is no lag.",
        read=_of(lambda of: of.lag_bytes),
    ),
    Family(
        name="tdredis_resource_replication_link_down_seconds",
        unit="seconds",
        help="How long the replica that has been without its primary longest has been so; 0: none is.",
        read=_of(lambda of: of.link_down_s),
    ),
    Family(
        name="tdredis_redis_memory_used_bytes",
        unit="bytes",
        help="Of the resource's Redis process that is nearest to its limit.",
        read=_of(lambda of: of.used_bytes),
    ),
    Family(
        name="tdredis_redis_memory_limit_bytes",
        unit="bytes",
        help="Of the same process: maxmemory or the container's limit, the lower one; absent: none.",
        read=_of(lambda of: of.limit_bytes),
    ),
    Family(
        name="tdredis_resource_oom_killed_pods",
        help="Pods whose Redis the kernel ended within ten minutes, because it was over its memory limit.",
        read=_of(lambda of: of.killed),
    ),
    Family(
        name="tdredis_resource_shards_on_one_node",
        help="Shards all of whose pods, two or more, are on one node.",
        read=_of(lambda of: of.on_one_node),
    ),
    Family(
        name="tdredis_resource_refused_pods",
        help="StatefulSets and Deployments whose pods cannot be created: a quota, a policy.",
        read=_of(lambda of: of.refused_pods),
    ),
    Family(
        name="tdredis_resource_full_disks",
        help="Pods whose disk took nothing when it was last written to.",
        read=_of(lambda of: of.full_disks),
    ),
    Family(
        name="tdredis_resource_failovers",
        kind="counter",
        help="A shard has another primary because the one before had died, or had ended before the operator saw its"
        " successor.",
        read=_counted(lambda of: of.failovers),
    ),
    Family(
        name="tdredis_resource_handovers",
        kind="counter",
        help="A shard has another primary, to which the one before handed over.",
        read=_counted(lambda of: of.handovers),
    ),
    Family(
        name="tdredis_resource_gap_seconds",
        kind="counter",
        unit="seconds",
        help="How long shards were without a primary that answers, as the operator saw it.",
        read=_counted(lambda of: of.gap_s),
    ),
    Family(
        name="tdredis_resource_last_gap_seconds",
        unit="seconds",
        help="The last of these.",
        read=_counted(lambda of: of.last_gap_s),
    ),
    Family(
        name="tdredis_resource_last_pass_timestamp_seconds",
        unit="seconds",
        help="When it was last looked at; epoch seconds.",
        read=lambda record: (((), record.last_pass),) if record.last_pass else (),
    ),
    Family(
        name="tdredis_resource_last_pass_failed",
        help="1: that look, or what came of it, failed: a step, a status that was refused, a bug.",
        read=lambda record: (((), record.has_failed),) if record.last_pass else (),
    ),
)


@dataclass(slots=True)
class Series:
    """Records by resource. *on_gap* hears kind and seconds of each that ended. *clock*: seconds, never set back."""

    on_gap: Callable[[str, float], None] = lambda _kind, _seconds: None
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    _records: dict[Key, Record] = field(default_factory=dict)

    @property
    def records(self) -> Mapping[Key, Record]:
        return MappingProxyType(self._records)

    def judged(self, key: Key, assessment: Judged, made: Plan, status: InstanceStatus) -> None:
        """A pass over *key* came to this."""
        record = self._record(key)
        record.measures = measure(assessment, made, status)
        for gap_s in record.failovers.saw(assessment.world.snapshot.resource.status, status):
            self.on_gap(key.kind, gap_s)

    def lost(self, key: Key, pod: str) -> None:
        """A connection to the Redis in *pod* ended."""
        if record := self._records.get(key):
            record.failovers.lost(pod)

    def passed(self, key: Key, outcome: str) -> None:
        """A pass ended so."""
        if outcome in UNSAID:
            return
        record = self._record(key)
        record.last_pass = self.now()
        record.has_failed = outcome in FAILED

    def forget(self, key: Key) -> None:
        """The resource is gone."""
        self._records.pop(key, None)

    def clear(self) -> None:
        """Another leads, and tells of them."""
        self._records.clear()

    def _record(self, key: Key) -> Record:
        record = self._records.get(key)
        if record is None:
            labels = f'kind="{key.kind}",namespace="{key.namespace}",name="{key.name}"'
            record = self._records[key] = Record(labels, Failovers(self.clock))
        return record

    def parts(self) -> Iterator[bytes]:
        """The page, AT_ONCE resources of a family at a time."""
        records = list(self._records.values())
        for family in FAMILIES:
            series = family.series
            yield f"# HELP {series} {family.help}\n# TYPE {series} {family.kind}\n".encode()
            for begin in range(0, len(records), AT_ONCE):
                yield "".join(_lines(family, records[begin : begin + AT_ONCE])).encode()


def _lines(family: Family, records: Iterable[Record]) -> Iterator[str]:
    read, names, series = family.read, family.labels, family.series
    for record in records:
        for values, number in read(record):
            more = "".join(f',{name}="{_label(value)}"' for name, value in zip(names, values, strict=True))
            yield f"{series}{{{record.labels}{more}}} {float(number)}\n"


def _label(text: str) -> str:
    return text[:MOST_LABEL].replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
