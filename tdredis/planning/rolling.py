"""Decides which pod goes next where pods are to be recreated, and why the next one waits.

Replicas first, one pod of a shard at a time, the next when the new one has all of the data; then the primary hands over
to a copy that is as it should be, and goes last. No step is remembered: what is left to do, the pods say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias, assert_never

from tdredis.api.rollout import RolloutSpec, opens_at
from tdredis.planning.plan import Hold
from tdredis.planning.sentences import list_names

# Both offsets are read at nearly the same moment, and writes come in between.
MOST_BEHIND_BYTES: Final = 2**20
LEAST_COPIES: Final = 2
# Guards of primaries that go at a time of their own: who waits so keeps nobody else waiting.
PRIMARIES_WAIT: Final = ("primaries_go_on_request", "primaries_go_in_window")
# Guards of what comes and nobody tells us of.
COPIES_COME: Final = (
    "copies_are_whole",
    "statefulset_is_seen",
    "surplus_is_whole",
    "a_sentinel_knows_the_candidate",
    "handover_is_recorded",
    "handover_ends",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A Redis pod of a shard. *behind_bytes*: how much of its primary's stream of writes it does not have yet; None: it
    is not in sync at all.
    """

    name: str
    is_primary: bool = False
    is_outdated: bool = False  # it is to be recreated
    is_surplus: bool = False  # it is not there for long: while others are recreated, or while it is the primary
    is_leaving: bool = False  # somebody deleted its pod: its data may go with it
    is_claim_going: bool = False  # somebody deleted its claim: its volume goes with its pod
    is_written: bool = True  # to its volume, if it has one
    is_being_written: bool = False  # all of it for the first time, perhaps
    behind_bytes: int | None = None

    @property
    def is_whole(self) -> bool:
        """It has the data, but for what is on its way."""
        return self.is_primary or (self.behind_bytes is not None and self.behind_bytes <= MOST_BEHIND_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surplus:
    """A pod of a shard that is asked for beyond what spec says. *trouble*: why it does not run, or something in it, in
    the words of others; *is_stuck*: what it was made from has changed since.
    """

    pod: str
    trouble: str = ""
    is_stuck: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """What replicates one primary: *copies* that answer, of *wanted* pods that spec asks for and the *surplus* one, if
    there is to be one. *keeps_data*: a pod that is recreated finds its data again, on its volume. *can_replicate*: one
    more pod would copy the data.
    """

    name: str
    copies: tuple[Copy, ...]
    wanted: int
    keeps_data: bool
    has_volume: bool = False  # with or without data on it
    surplus: Surplus | None = None
    can_replicate: bool = True
    is_seen: bool = True  # the StatefulSet's controller has seen how it is to be now


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """The pod goes."""

    pod: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Yield:
    """The *primary* hands over to one of *candidates*, the best first."""

    shard: str
    primary: str
    candidates: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The StatefulSet *shard* is to have one more pod than spec says (*more*), or no more."""

    shard: str
    more: bool
    why: str


Next: TypeAlias = Replace | Yield | Ask | Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What spec.rollout says: *at_once*: in so many shards; *on_request*: a primary hands over when it is asked to;
    *opens*: or when the window opens, in epoch seconds; *needs_surplus*: nothing goes without the other copy that it
    would leave alone, or else where that can be had.
    """

    at_once: int = 1
    on_request: bool = False
    opens: float | None = None  # None: it is open, or there is none
    needs_surplus: bool = True


def terms_of(rollout: RolloutSpec, now: float) -> Terms:
    """*now*: epoch seconds. With a window, primaries go in it, or on request, whatever rollout.primaries says."""
    return Terms(
        at_once=rollout.max_unavailable_shards,
        on_request=rollout.primaries == "onRequest" and rollout.window is None,
        opens=opens_at(rollout.window, now) if rollout.window else None,
        needs_surplus=rollout.surge == "always",
    )


def next_steps(shards: Iterable[Shard], terms: Terms) -> tuple[Next, ...]:
    """What comes next in the first of *shards* that have anything to do; (): every pod is as it should be. Who waits
    for a request, or for the window, keeps no other shard waiting.
    """
    found: list[Next] = []
    waiting: list[Next] = []
    for shard in shards:
        step = next_in(shard, terms)
        if isinstance(step, Hold) and step.guard in PRIMARIES_WAIT:
            waiting.append(step)
        elif step is not None:
            found.append(step)
        if len(found) == terms.at_once:
            break
    return tuple(found or waiting[:1])


def next_in(shard: Shard, terms: Terms) -> Next | None:
    """None: every pod of *shard* is as it should be."""
    outdated = [each for each in shard.copies if each.is_outdated and not each.is_surplus]
    if not shard.is_seen and (outdated or shard.surplus):
        why = f"the controller of StatefulSet {shard.name} has not seen yet how it is to be"
        return Hold(guard="statefulset_is_seen", why=why)
    late = [each.name for each in shard.copies if not each.is_whole and not each.is_surplus]
    leaving_too = [each.name for each in shard.copies if each.is_leaving]
    if leaving_too and (outdated or shard.surplus):
        return Hold(guard="copies_are_whole", why=f"{list_names(leaving_too)} was deleted and is no copy to count on")
    if late and (outdated or shard.surplus):
        return Hold(guard="copies_are_whole", why=f"{list_names(late)} does not have all of the data yet")
    if not outdated:
        return _end(shard, terms)
    replicas = [each for each in outdated if not each.is_primary]
    leaving = max(replicas or outdated, key=lambda each: ordinal(each.name))
    candidates = candidates_of(shard, leaving)
    if not replicas and (terms.opens is not None or (terms.on_request and candidates)):
        stay = any(each.name in candidates and not each.is_surplus for each in shard.copies)
        return (_end(shard, terms) if stay else None) or _until_its_time(leaving, terms, is_alone=not candidates)
    if needed := _copies_stay(shard, leaving, terms):
        return needed
    if replicas:
        return Replace(pod=leaving.name, why="it is a replica, and others have the data")
    return _yield(shard, leaving, f"{leaving.name} is to be recreated") or Replace(
        pod=leaving.name, why="it is the only one, and finds its data again on its volume"
    )


def candidates_of(shard: Shard, primary: Copy) -> tuple[str, ...]:
    """Who has the data and stays, the best first."""
    able = (each for each in shard.copies if _may_lead(each) and each is not primary)
    return tuple(each.name for each in sorted(able, key=_rank))


def _may_lead(copy: Copy) -> bool:
    return copy.is_whole and not copy.is_outdated and not copy.is_leaving


def _yield(shard: Shard, primary: Copy, why: str, *, stays: bool = False) -> Yield | None:
    """None: there is nobody else that has the data and stays; for good, if *stays*."""
    passing = {each.name for each in shard.copies if stays and each.is_surplus}
    candidates = tuple(name for name in candidates_of(shard, primary) if name not in passing)
    return Yield(shard=shard.name, primary=primary.name, candidates=candidates, why=why) if candidates else None


def _until_its_time(primary: Copy, terms: Terms, *, is_alone: bool = False) -> Hold:
    """Guard: spec.rollout says that a primary hands over when somebody asks for it, or while the window is open; one
    that *is_alone* can only go.
    """
    if terms.opens is not None:
        when = f"{datetime.fromtimestamp(terms.opens, UTC):%Y-%m-%dT%H:%M:%SZ}"
        or_asked = "" if is_alone else ", or when it is asked to hand over"
        why = f"{primary.name} goes when the window opens at {when} (rollout.window){or_asked}"
        return Hold(guard="primaries_go_in_window", why=why)
    why = (
        f"{primary.name} goes when it is asked to hand over (rollout.primaries: onRequest), by tdredis handover or by"
        " the annotation that this writes"
    )
    return Hold(guard="primaries_go_on_request", why=why)


def _end(shard: Shard, terms: Terms) -> Next | None:
    """All pods of *shard* that spec asks for are as they should be: whoever it does not ask for goes, when it is a
    replica.
    """
    primary = next((each for each in shard.copies if each.is_surplus and each.is_primary), None)
    surplus = shard.surplus
    why = f"{surplus.pod} was there for as long as others were recreated" if surplus else "spec asks for fewer pods"
    if primary is None:
        return Ask(shard=shard.name, more=False, why=why) if surplus else None
    if surplus is None and (terms.on_request or terms.opens is not None):
        return _until_its_time(primary, terms)
    waits = Hold(guard="copies_are_whole", why=f"nobody else has all of the data of {primary.name} yet")
    return _yield(shard, primary, why, stays=True) or waits


def _rank(candidate: Copy) -> tuple[bool, int, int]:
    """Who stays, then the furthest, then the lowest."""
    return candidate.is_surplus, candidate.behind_bytes or 0, ordinal(candidate.name)


def _copies_stay(shard: Shard, leaving: Copy, terms: Terms) -> Ask | Hold | Replace | None:
    """Guard: without *leaving* there are as many whole copies as there should be, two at the most, and one at the
    least; or it keeps its own. A surplus pod is asked for where that is not so.
    """
    left = sum(each.is_whole for each in shard.copies if each is not leaving and not _is_in_trouble(shard, each))
    if left >= min(LEAST_COPIES, shard.wanted):
        return None
    if shard.keeps_data and leaving.is_written and not leaving.is_claim_going:
        why = f"{leaving.name} makes its append-only file anew, and is not told to end before that is whole"
        return Hold(guard="copies_are_whole", why=why) if leaving.is_being_written else None
    if not shard.can_replicate:
        why = (
            f"{leaving.name} has the only copy of the data, {_lies(shard, leaving)}: delete the pod yourself if you can"
            " do without the data"
        )
        return Hold(guard="copies_stay", about="spec", why=why)
    if shard.surplus is None:
        why = f"{leaving.name} is to be recreated, with data {_lies(shard, leaving)}: another pod has a copy meanwhile"
        return Ask(shard=shard.name, more=True, why=why)
    surplus = shard.surplus
    leads = any(each.is_primary and each.name == surplus.pod for each in shard.copies)
    if surplus.is_stuck and not leads:
        return Replace(pod=surplus.pod, why="it has nothing to lose, and its template has changed since")
    if surplus.trouble and left and not terms.needs_surplus:
        return None
    if surplus.trouble:
        why = (
            f"{surplus.pod}, which is to have a copy of the data while {leaving.name} is recreated, is not up:"
            f" {surplus.trouble}. Correct that, write the previous value again, or rollout.surge: whenPossible"
        )
        return Hold(guard="copies_stay", about="spec", why=why)
    return Hold(guard="surplus_is_whole", why=f"{surplus.pod} does not have all of the data yet")


def _is_in_trouble(shard: Shard, copy: Copy) -> bool:
    """It is the first pod of its template, and something in it does not run: nobody hands over to it."""
    return (
        shard.surplus is not None
        and copy.name == shard.surplus.pod
        and bool(shard.surplus.trouble and not copy.is_primary)
    )


def _lies(shard: Shard, leaving: Copy) -> str:
    """Where the data is that goes with the pod."""
    if leaving.is_claim_going:
        return "on a volume that goes with it, as its claim was deleted"
    if not shard.has_volume:
        return "on an emptyDir that goes with it"
    if shard.keeps_data and not leaving.is_written:
        return "in memory alone, as its process does not write all of it to its volume"
    return "in memory alone, as config lets nothing be written"


def next_watcher(outdated: Sequence[str], *, in_failover: bool) -> Replace | Hold | None:
    """One Sentinel at a time, and none while they fail over. That all agree again before the next one goes is for who
    asks to see to.
    """
    if not outdated:
        return None
    if in_failover:
        return Hold(guard="no_failover_in_progress", why="Sentinels carry out a failover: none of them goes meanwhile")
    return Replace(pod=max(outdated, key=ordinal), why="the other Sentinels watch")


def ordinal(pod: str) -> int:
    """``redis-x-10``: 10"""
    return int(pod.rpartition("-")[2])


def say_next(steps: Sequence[Next], *, waits: bool) -> str:
    """What comes next, for people. *waits*: for the instance to be whole."""
    if not steps:
        return "the others have it as soon as their StatefulSet has"
    when = "when all is well again" if waits else "next"
    match steps[0]:
        case Replace(pod=pod):
            return f"{pod} is recreated {when}"
        case Yield(primary=primary, candidates=candidates):
            return f"{primary} hands over to {candidates[0]} {when}"
        case Ask(shard=shard, more=more):
            return f"{shard} gets one more pod {when}, for as long as others are recreated" if more else "all have it"
        case Hold(why=why):
            return why
        case _:
            assert_never(steps[0])
