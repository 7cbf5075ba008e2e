"""Decides which of two nodes that own the same slots keeps them (docs/decisions/0010), and what becomes of the other.

Nodes that have heard of each other are one side, and settle it by the higher config epoch as soon as they talk. It is
for us to decide in two cases: two sides that have never heard of each other, and a node that made itself an owner
without a vote while it was cut off, whose newer claim would win as soon as it is back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tdredis.planning.cluster.members import Member, descending
from tdredis.redis.slots import ALL_SLOTS, NO_SLOTS, SlotSet

LITTLE = 10  # who has less than a tenth of the other's keys has no data: a handful of test keys is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputes:
    """*losers*: pods that clients are not led to, because the other owner is the one by right; *to_reset* of them are
    no owners any more only when we make them so. *open*: slots of disputes that nobody decides.
    """

    losers: frozenset[str] = frozenset()
    to_reset: tuple[Member, ...] = ()
    open: SlotSet = NO_SLOTS
    why: str = ""  # why those to be reset lose


NO_DISPUTES = Disputes()


def find_disputes(members: Sequence[Member], *, all_answer: bool, is_moving: bool = False) -> Disputes:
    """*members* are those that answered. While that are not all, nothing is for us to decide: the silent ones may be
    the better part of a side, or those who voted. *is_moving*: slots go from shard to shard, and who has given one away
    hears a moment later that it was taken.
    """
    owners = [member for member in members if member.slots]
    if sum(len(owner.slots) for owner in owners) == len(SlotSet.union(owner.slots for owner in owners)):
        return NO_DISPUTES  # nobody owns what another owns: no need to compare each with each
    pairs = [
        (a, b)
        for number, a in enumerate(owners)
        for b in owners[number + 1 :]
        if a.slots & b.slots and not (a.shard != b.shard and (is_moving or _is_given(a, b) or _is_given(b, a)))
    ]
    if not pairs:
        return NO_DISPUTES
    sides = _sides(members)
    if any(sides[a.name] is not sides[b.name] for a, b in pairs):
        if not all_answer:
            return Disputes(open=SlotSet.union(a.slots & b.slots for a, b in pairs))
        if all(_are_copies(a, b) for a, b in pairs):
            return _between_copies(pairs)
        settled = _between_sides(members, pairs, sides)
        if settled.open and _are_copies_of_which_some_met(pairs, sides):
            return _between_copies(pairs)
        return settled
    return _within_a_side(owners, pairs, all_answer=all_answer)


def _is_given(source: Member, target: Member) -> bool:
    """*source* gives away all that both own, to *target*, and has not heard yet that it was taken."""
    given = source.view.me.migrating
    return all(given.get(slot) == target.id for slot in source.slots & target.slots)


# ---- two sides that have never heard of each other


def _sides(members: Sequence[Member]) -> dict[str, list[Member]]:
    """For each member its side: all that it is connected with by who knows whom, in either direction."""
    side_of: dict[str, list[Member]] = {}
    for member in members:
        if member.name in side_of:
            continue
        side: list[Member] = []
        waiting = [member]
        while waiting:
            each = waiting.pop()
            if each.name in side_of:
                continue
            side_of[each.name] = side
            side.append(each)
            waiting += [other for other in members if each.view.knows(other.id) or other.view.knows(each.id)]
    return side_of


def _between_sides(
    members: Sequence[Member], pairs: Sequence[tuple[Member, Member]], side_of: dict[str, list[Member]]
) -> Disputes:
    """The best of the sides that claim something keeps it; all nodes of the others that dispute it are reset."""
    disputed = [side_of[member.name] for pair in pairs for member in pair]
    most = max(map(_keys, disputed))
    best = max(disputed, key=lambda side: _side_rank(side, most))
    losing = [
        member for member in members if any(side_of[member.name] is side for side in disputed if side is not best)
    ]
    open_slots = SlotSet.union(a.slots & b.slots for a, b in pairs)
    kept = SlotSet.union(member.slots for member in best)
    if SlotSet.union(member.slots for member in losing) - kept:
        return Disputes(open=open_slots)  # a reset would take slots, and their keys, that the best has not
    slots = {member.id: member.slots for member in losing}
    for loser in losing:
        # What a replica has is its primary's; of one whose primary is not among them nobody knows what it has.
        claimed = slots.get(loser.view.me.primary_id or "", NO_SLOTS) if loser.is_replica else loser.slots
        rivals = [member for member in best if member.slots & claimed]
        if loser.facts.keys and not rivals:
            return Disputes(open=open_slots)
        for rival in rivals:
            # Each by itself: what one has of another shard is no reason to drop what the loser has of this.
            share = loser.facts.keys * len(rival.slots & claimed) // len(claimed)
            if not _has_data(rival.facts.keys, share):
                return Disputes(open=open_slots)  # one shard's data is on the one side, another's on the other
    names = sorted(member.name for member in best if member.slots)
    why = f"{names[0]} and the nodes that know it own the same slots, {_advantage(best, losing)}"
    return Disputes(losers=frozenset(member.name for member in losing), to_reset=tuple(losing), why=why)


# ---- copies of one shard that all forgot who they are: their nodes.conf were lost, and each claims what it has keys of


def _are_copies(one: Member, other: Member) -> bool:
    """Processes of one shard that know nobody, and whose claims are no elections: each is as old as the other."""
    return (
        one.shard == other.shard
        and one.met_nobody
        and other.met_nobody
        and one.view.me.config_epoch == other.view.me.config_epoch == 0
    )


def _are_copies_of_which_some_met(pairs: Sequence[tuple[Member, Member]], side_of: dict[str, list[Member]]) -> bool:
    """As above, later: the first that came back have been introduced, with other shards', before their copies answered;
    or a reset failed after the slots were given to the better one. Those that came later know nobody who lives.

    Where a side is whole there is a cluster, which is more than copies that remember nothing.
    """
    if any(_is_whole(side_of[member.name]) for pair in pairs for member in pair):
        return False
    return all(
        one.shard == other.shard
        and side_of[one.name] is not side_of[other.name]
        and 1 in (len(side_of[one.name]), len(side_of[other.name]))
        for one, other in pairs
    )


def _between_copies(pairs: Sequence[tuple[Member, Member]]) -> Disputes:
    """Of each shard the first in rank keeps them that has what all its copies have."""
    copies: dict[str, dict[str, Member]] = {}
    for member in (member for pair in pairs for member in pair):
        copies.setdefault(member.shard, {})[member.name] = member
    best: list[Member] = []
    losing: list[Member] = []
    for claimants in copies.values():
        ranked = sorted(claimants.values(), key=_copy_rank, reverse=True)
        winner = next((each for each in ranked if _has_what_all_have(each, ranked)), None)
        if winner is None:
            return Disputes(open=SlotSet.union(a.slots & b.slots for a, b in pairs))
        best.append(winner)
        losing += [each for each in claimants.values() if each is not winner]
    names = ", ".join(sorted(member.name for member in best))
    why = f"all lost their nodes.conf, and {names} had been primaries, or have the most keys"
    return Disputes(losers=frozenset(each.name for each in losing), to_reset=tuple(losing), why=why)


def _has_what_all_have(winner: Member, copies: Sequence[Member]) -> bool:
    return all(not each.slots - winner.slots and _has_data(winner.facts.keys, each.facts.keys) for each in copies)


def _copy_rank(member: Member) -> tuple[bool, int, tuple[int, ...]]:
    return member.pod.role == "primary", member.facts.keys, descending(member.name)


def _side_rank(side: Sequence[Member], most_keys: int) -> tuple[bool, bool, int, int, tuple[int, ...]]:
    """Data, then being whole, then the newest claim; what is equal so far is decided, the same way by everybody."""
    lowest = min(member.name for member in side)
    return _has_data(_keys(side), most_keys), _is_whole(side), _epoch(side), _keys(side), descending(lowest)


def _is_whole(side: Sequence[Member]) -> bool:
    return SlotSet.union(member.slots for member in side) == ALL_SLOTS


def _advantage(best: Sequence[Member], losing: Sequence[Member]) -> str:
    if not _has_data(_keys(losing), _keys(best)):
        return f"with {_keys(best)} keys against {_keys(losing)}"
    return f"by config epoch {_epoch(best)} against {_epoch(losing)}"


def _keys(side: Iterable[Member]) -> int:
    return sum(member.facts.keys for member in side if not member.is_replica)


def _epoch(side: Iterable[Member]) -> int:
    return max((member.view.me.config_epoch for member in side if member.slots), default=0)


def _has_data(keys: int, against: int) -> bool:
    return keys * LITTLE >= against


# ---- nodes that have heard of each other


def _within_a_side(owners: Sequence[Member], pairs: Sequence[tuple[Member, Member]], *, all_answer: bool) -> Disputes:
    disputing = {member.name for pair in pairs for member in pair}
    voters = [member for member in owners if member.name not in disputing]
    losers: set[str] = set()
    to_reset: dict[str, Member] = {}
    undecided = NO_SLOTS
    why = ""
    for pair in pairs:
        older, newer = sorted(pair, key=lambda member: (member.view.me.config_epoch, member.name))
        slots = newer.slots & older.slots
        if all_answer and _made_itself_owner(newer, older, voters):
            losers.add(newer.name)
            to_reset[newer.name] = newer
            why = f"{newer.name} made itself an owner without a vote; the others know {older.name} as the owner"
        elif _engine_is_right(newer, older):
            # Before one of those who vote has heard of the newer one, it may be cut off together with its claim.
            is_known = not voters or any(voter.sees_as_owner(newer, slots) for voter in voters)
            losers.add(older.name if is_known else newer.name)
        else:
            undecided |= slots
    lost = SlotSet.union(member.slots for member in to_reset.values())
    kept = SlotSet.union(member.slots for member in owners if member.name not in to_reset)
    if lost - kept:
        return Disputes(losers=frozenset(losers), open=undecided | lost)
    reset = tuple(to_reset[name] for name in sorted(to_reset))
    return Disputes(losers=frozenset(losers), to_reset=reset, open=undecided, why=why)


def _engine_is_right(newer: Member, older: Member) -> bool:
    """The higher config epoch wins when they talk. That is right after a failover of which the previous primary has not
    heard: both are of one shard, and the winner was its replica, or has data. Source: redis.io, cluster specification,
    "Hash slots configuration propagation".
    """
    return (
        newer.shard == older.shard
        and newer.view.me.config_epoch > older.view.me.config_epoch
        and (newer.facts.keys > 0 or not older.facts.keys)
    )


def _made_itself_owner(newer: Member, older: Member, voters: Sequence[Member]) -> bool:
    """It and most of the other owners have missed each other for a while, and all of them know the older as the owner:
    none of them voted for it. A winner of an election has just talked to most of them, and told them all.

    Nor do it and the older one reach each other: that one would be about to step down, copy it, and be emptied with it.
    """
    slots = newer.slots & older.slots
    apart = [voter for voter in voters if newer.cannot_reach(voter) and voter.cannot_reach(newer)]
    return (
        2 * len(apart) > len(voters)
        and not newer.view.reaches(older.id)
        and not older.view.reaches(newer.id)
        and all(voter.sees_as_owner(older, slots) for voter in voters)
        and _has_data(older.facts.keys, newer.facts.keys)
    )
