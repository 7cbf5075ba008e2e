"""Decides how a change of how many pods there are is told: how many have come up, or are gone, of those that are to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from tdredis.api.changes import change_of
from tdredis.api.instance import Instance
from tdredis.planning.change import Change, UnderWay
from tdredis.planning.rolling import ordinal
from tdredis.planning.snapshot import Snapshot
from tdredis.planning.surplus import surplus_pod
from tdredis.planning.template_values import count_of, read, values_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Of the pods that the field *path* of spec counts: *up*, as they are to be, of *wanted*; and *left*, which are
    there beyond that. *things* and *are*: as a sentence has them. *times*: in how many shards there are so many.
    """

    path: str
    up: int
    wanted: int
    left: int
    things: str
    are: str
    times: int = 1


def left_over(snapshot: Snapshot, statefulset: str, wanted: int) -> int:
    """How many pods *statefulset* has beyond the *wanted* ones, but for the one while others are recreated."""
    surplus = surplus_pod(snapshot, statefulset, wanted)
    theirs = (name for name in snapshot.pods if name.rpartition("-")[0] == statefulset and name != surplus)
    return sum(ordinal(name) >= wanted for name in theirs)


def count_changes(instance: Instance, counts: Iterable[Count], told: Set[str]) -> Iterator[Change]:
    """Each of *counts* that is another than it was when all was well, until there are as many as *instance* says, with
    its effective values. *told*: paths of changes that are held, which say why themselves.

    A pod that was lost and comes back is no change of spec.
    """
    record = instance.status.rollout
    good = read(record.last_good) if record else {}
    if not good:
        return
    values = values_of(instance)
    for each in counts:
        before, now = (count_of(instance.KIND, found, each.path) for found in (good, values))
        if before == now or each.path in told or (each.up >= each.wanted and not each.left):
            continue
        yield Change(
            field=each.path,
            old=str(before),
            new=str(now),
            class_=change_of(instance.KIND, each.path).class_,
            state=_state(each, before - now),
        )


def _state(count: Count, fewer: int) -> UnderWay:
    """*fewer*: that is how many of each there are to be less; below 0: more."""
    if fewer > 0 and count.left:
        of = max(fewer * count.times, count.left)
        return UnderWay(done=of - count.left, of=of, how="the others end", things=count.things, are="are gone")
    done = min(count.up, count.wanted)
    return UnderWay(done=done, of=count.wanted, how="the others start", things=count.things, are=count.are)
