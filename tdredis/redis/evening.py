"""Decides who gives which slot to whom, so that shards are even by bytes, and none is far from the others in slots.

Bytes come first: who is above its level gives, who is below takes. Slots that weigh next to nothing decide nothing
there; they go along with their neighbours, and fill up whoever has few slots: keys that are written later fall on all
slots alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from itertools import islice

from tdredis.redis.candidates import Candidates
from tdredis.redis.first_fit import NOTHING, FirstFit
from tdredis.redis.holdings import Holding
from tdredis.redis.levels import find_levels, natural
from tdredis.redis.loads import ShardLoad, SlotLoad
from tdredis.redis.slots import SLOT_COUNT

LIGHT_SHARE = 20  # a slot is light with less than the mean slot's bytes divided by this: all of those are 5 % at most
SPLINTER_PERCENT = 2  # of the mean shard: for so little no pair of shards is made that nothing else is moved between
# What differs by no more is even, if nobody leaves and nobody is empty: sizes that change by 5 % between two plans make
# shards differ by some 7 %, beside a splinter.
UNEVEN_PERCENT = 9
BESIDE_PERCENT = 5  # of the mean: so many bytes a shard may hold above its own, for the sake of slots
NEARER_SHARE = 4  # of a slot's bytes: a move that brings its two shards no nearer to their levels is not made
WINS_SHARE = 3  # likewise of a whole plan, and its largest slot: what a change of sizes makes possible wins less
FEW = 2  # fewer slots than the even share divided by this are few, more than it multiplied are many
CHEAP_PERCENT = 1  # of the mean: what a shard with few slots has of light ones, with those worth moving, is no more
WORTH = 8  # the even share divided by this: for less, nobody is filled up


class Evening:
    """A plan as far as it is: who has what. *unit*: bytes that each had if all had the same; *mean*: bytes of a slot;
    *share*: slots of each, if all had as many.
    """

    def __init__(self, holdings: Sequence[Holding]) -> None:
        self.holdings = holdings
        self.staying = [each for each in holdings if each.stays]
        total, count = sum(each.size_bytes for each in holdings), sum(len(each.slots) for each in holdings)
        self.unit = total // len(self.staying)
        self.mean = total / count if count else 0.0
        self.share = count // len(self.staying)
        self.splinter = self.unit * SPLINTER_PERCENT // 100
        self._want_more: list[int] = []  # who came to want more than before, one after the other
        self._wanting = FirstFit([self._wanted(each) for each in holdings])
        self._short = FirstFit([self._wanted_along(each) for each in holdings])

    def _wanted(self, each: Holding) -> int:
        return each.wants if each.stays else NOTHING

    def _wanted_along(self, each: Holding) -> int:
        """Of light slots, by those that have less than their share of slots."""
        return each.wants if each.stays and len(each.slots) < self.share else NOTHING

    # ---- who is to be empty

    def empty(self, giver: Holding) -> int | None:
        """Everything that *giver* has goes to those that stay. A slot for which nobody has room; None: all went."""
        for slot in sorted(giver.slots, reverse=True):  # the highest first, so that few ranges become many
            load = giver.slots[slot]
            able = (each for each in self.staying if each.fits(load))
            if self._is_light(load):
                lacking = (each for each in self.staying if self._lacks_slots(giver, each) and each.fits(load))
                taker = next(lacking, None) or min(able, key=lambda each: len(each.slots), default=None)
            else:
                taker = self._first(self._wanting, giver, load, least=-(-load.size_bytes // 2))
                taker = taker or max(able, key=lambda each: each.wants, default=None)
            if taker is None:
                return slot
            self._move(giver, taker, slot)
        return None

    def _lacks_slots(self, giver: Holding, taker: Holding) -> bool:
        is_paired = taker.number in giver.gives_to
        return self.share - len(taker.slots) > (0 if is_paired else self.share * SPLINTER_PERCENT // 100)

    # ---- the others

    def even_out(self) -> None:
        """Until neither by bytes nor by their number anything is left to be done."""
        for _ in range(SLOT_COUNT):  # the second one finds nothing, as far as was seen; and it is to end in any case
            by_bytes = self._by_bytes()
            by_count = self._by_count()
            if not (by_bytes or by_count):
                return

    def _by_bytes(self) -> bool:
        """What makes it more even by next to nothing is not done: sizes change meanwhile, those of large slots too."""
        takers = self.staying
        uneven = frozenset(each.number for each in takers if abs(each.surplus) * 100 > self.unit * UNEVEN_PERCENT)
        if not uneven:
            return False
        before = [(each, dict(each.slots), each.size_bytes, each.room, set(each.gives_to)) for each in takers]
        excess = _excess(takers)
        went: list[int] = []
        for each in takers:
            each.in_vain = None
        # It ends: no move brings the bytes of its two shards further from their levels (by the sum of squares), and one
        # that brings them no nearer either is from who has more than the share of slots to who has less.
        while True:
            given = [size for each in takers for size in self._give(each, uneven)] or list(self._give_whole(uneven))
            if not given:
                break
            went += given
        worth = self.unit * UNEVEN_PERCENT // 100 + max(went, default=0) // WINS_SHARE
        if excess - _excess(takers) >= worth:
            return bool(went)
        for each, slots, size_bytes, room, gives_to in before:
            each.slots, each.size_bytes, each.room, each.gives_to = slots, size_bytes, room, gives_to
            self._changed(each)
        return False

    def _give(self, giver: Holding, uneven: Set[int]) -> list[int]:
        """What *giver* has above its level, as far as somebody is nearer to his with it. Bytes of what went."""
        if giver.surplus <= 0 or self._is_still_in_vain(giver):
            return []
        among = None if giver.number in uneven else uneven
        kept: frozenset[int] | None = None
        went: list[int] = []
        giver.least = -NOTHING
        for slot in sorted(giver.slots, reverse=True):
            if giver.surplus <= 0:
                break
            if kept is None and len(giver.slots) <= self.share // FEW:
                kept = self._kept(giver)
            if kept and slot in kept:
                continue
            load = giver.slots[slot]
            if (least := self._least(giver, load)) is None:
                continue
            giver.least = min(giver.least, least)
            wanted = self._short if self._is_light(load) else self._wanting
            if (taker := self._first(wanted, giver, load, least=least, among=among)) is not None:
                self._move(giver, taker, slot)
                went.append(load.size_bytes)
        if not went:
            giver.in_vain = len(self._want_more)
        return went

    def _is_still_in_vain(self, giver: Holding) -> bool:
        """It found nobody, and who wants more since then does not want enough."""
        if giver.in_vain is None:
            return False
        since = self._want_more[giver.in_vain :]
        if any(self._wanting[each] >= giver.least for each in since):
            return False
        giver.in_vain += len(since)
        return True

    def _least(self, giver: Holding, load: SlotLoad) -> int | None:
        """What somebody must want so that he is nearer to his level with it than without, and so is *giver* without it;
        and both together by more than sizes change by themselves. None: it does not go. A light one goes along with
        what lies beside it, to who has fewer slots.
        """
        size_bytes = load.size_bytes
        if self._is_light(load):
            return max(1, size_bytes - giver.surplus) if len(giver.slots) > self.share else None
        if 2 * giver.surplus < size_bytes:
            return None
        return max(-(-size_bytes // 2), size_bytes - (-size_bytes // NEARER_SHARE) - giver.surplus)

    def _first(
        self, wanted: FirstFit, giver: Holding, load: SlotLoad, *, least: int, among: Set[int] | None = None
    ) -> Holding | None:
        """The first that wants *least* bytes, has room, and is worth a pair with *giver*, or is one with it already."""
        found = wanted.first(max(least, self.splinter + 1))
        while found is not None and not self._may_take(found, load, among):
            found = wanted.first(max(least, self.splinter + 1), after=found)
        if least <= self.splinter:
            able = [each for each in giver.gives_to if wanted[each] >= least and self._may_take(each, load, among)]
            found = min([*able, *([] if found is None else [found])], default=None)
        return None if found is None else self.holdings[found]

    def _may_take(self, number: int, load: SlotLoad, among: Set[int] | None) -> bool:
        return (among is None or number in among) and self.holdings[number].fits(load)

    def _give_whole(self, uneven: Set[int]) -> Iterator[int]:
        """One slot so large that its taker ends above its level, of a giver that is further above it. Its bytes."""
        ordered = sorted(self.staying, key=lambda each: each.surplus)
        for giver in sorted(self.staying, key=lambda each: -each.surplus):
            if giver.surplus <= 0:
                return
            large = self._large(giver)
            for taker in ordered if large else ():
                apart = giver.surplus + taker.wants
                if large[0][0] * (NEARER_SHARE + 1) > apart * NEARER_SHARE:
                    break  # who comes after it wants less
                if taker is giver or uneven.isdisjoint((giver.number, taker.number)):
                    continue
                able = [
                    (size_bytes, slot)
                    for size_bytes, slot in large
                    if size_bytes * (NEARER_SHARE + 1) <= apart * NEARER_SHARE and taker.fits(giver.slots[slot])
                ]
                if able:
                    size_bytes, slot = min(able, key=lambda each: (abs(2 * each[0] - apart), each[1]))
                    self._move(giver, taker, slot)
                    yield size_bytes
                    return

    def _large(self, giver: Holding) -> list[tuple[int, int]]:
        """Bytes and slot of those that are no splinter, the smallest first."""
        if giver.large is None:
            sizes = ((load.size_bytes, slot) for slot, load in giver.slots.items())
            giver.large = sorted(each for each in sizes if each[0] * 100 > self.unit * SPLINTER_PERCENT)
        return giver.large

    def _kept(self, giver: Holding) -> frozenset[int]:
        """Its lightest slots, as many as are not few, and as may be beside what it holds."""
        left = self.unit * BESIDE_PERCENT // 100
        found: set[int] = set()
        for size_bytes, slot in sorted((load.size_bytes, slot) for slot, load in giver.slots.items()):
            if size_bytes > left or len(found) >= self.share // FEW:
                break
            left -= size_bytes
            found.add(slot)
        return frozenset(found)

    # ---- by the number of slots

    def _by_count(self) -> bool:
        """Fills up who has few slots, and whoever has less than the share where somebody has many, with the lightest
        of those that have more. Whether anything moved.
        """
        share = self.share
        has_many = any(len(each.slots) > share * FEW for each in self.staying)
        candidates = self._candidates()
        takers = {number for each in self.holdings for number in each.gives_to}
        moved = False
        for taker in self.staying:
            has_few = len(taker.slots) < share // FEW
            if not (has_few or (has_many and self._is_short(taker))) or taker.is_full:
                continue
            least = min(share - len(taker.slots), share // WORTH)
            light = sum(load.size_bytes for load in taker.slots.values() if load.size_bytes <= self.mean)
            cheap = self.unit * CHEAP_PERCENT // 100 - light
            if taker.slots and len(list(islice(candidates.lightest_for(taker, cheap), least))) < least:
                continue  # bytes force it
            beside = max(taker.wants, self.unit * BESIDE_PERCENT // 100 - light)
            chosen = list(candidates.lightest_for(taker, beside, but=takers))
            if len(taker.slots) + len(chosen) < share // FEW:
                chosen = list(candidates.lightest_for(taker, beside))
            for giver, slot in chosen:
                self._move(giver, taker, slot)
            if chosen:
                takers.add(taker.number)
                moved = True
        return moved

    def _is_short(self, taker: Holding) -> bool:
        return self.share - len(taker.slots) > self.share * SPLINTER_PERCENT // 100

    def _candidates(self) -> Candidates:
        """What may be given for the sake of the number of slots: none that is heavier than the mean."""
        found = [
            (0 if self._is_light(load) else load.size_bytes, giver.number, -slot, load.size_bytes)
            for giver in self.staying
            if len(giver.slots) > self.share
            for slot, load in giver.slots.items()
            if load.size_bytes <= self.mean
        ]
        ordered = [(weight, self.holdings[number], -slot, size) for weight, number, slot, size in sorted(found)]
        return Candidates(ordered, self.share)

    # ----

    def _is_light(self, load: SlotLoad) -> bool:
        return not load.size_bytes or load.size_bytes * LIGHT_SHARE < self.mean

    def _move(self, giver: Holding, taker: Holding, slot: int) -> None:
        load = giver.slots.pop(slot)
        taker.slots[slot] = load
        giver.size_bytes -= load.size_bytes
        taker.size_bytes += load.size_bytes
        if taker.room is not None:
            taker.room -= load.size_bytes
        giver.gives_to.add(taker.number)
        self._changed(giver)
        self._changed(taker)

    def _changed(self, each: Holding) -> None:
        each.in_vain = each.large = None
        if each.wants > 0 and each.wants > self._wanting[each.number]:
            self._want_more.append(each.number)
        self._wanting[each.number] = self._wanted(each)
        self._short[each.number] = self._wanted_along(each)


def _excess(holdings: Sequence[Holding]) -> int:
    return sum(max(0, each.surplus) for each in holdings)


def begin(staying: Sequence[ShardLoad], leaving: Sequence[ShardLoad]) -> Evening:
    """Nothing is planned yet."""
    levels = find_levels(staying, leaving)
    everybody = sorted((*staying, *leaving), key=lambda shard: natural(shard.name))
    return Evening(
        [
            Holding(
                number=number,
                shard=shard,
                stays=shard.name in levels,
                level=levels.get(shard.name, 0),
                slots=dict(shard.slots),
                size_bytes=shard.size_bytes,
                room=shard.room_bytes,
            )
            for number, shard in enumerate(everybody)
        ]
    )
