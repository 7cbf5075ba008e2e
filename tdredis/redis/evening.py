"""Decides who gives which slot to whom, so that shards are even by bytes, and none is far from the others in slots.

Bytes come first: who is above its level gives, who is below takes. Slots that weigh next to nothing decide nothing
there; they go along with their neighbours, and fill up whoever has few slots: keys that are written later fall on all
slots alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from tdredis.redis.levels import find_levels, natural
from tdredis.redis.loads import ShardLoad, SlotLoad

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
MOST_ROUNDS = 16


@dataclass(slots=True)
class Holding:
    """What one shard has at a moment of the plan. *room*: bytes that may still come; None: there is no limit."""

    shard: ShardLoad
    stays: bool
    level: int
    slots: dict[int, SlotLoad]
    size_bytes: int
    room: int | None

    @property
    def name(self) -> str:
        return self.shard.name

    @property
    def surplus(self) -> int:
        """Bytes above its level."""
        return self.size_bytes - self.level

    @property
    def wants(self) -> int:
        return self.level - self.size_bytes

    def fits(self, load: SlotLoad) -> bool:
        return self.room is None or load.size_bytes <= self.room


@dataclass(slots=True)
class Evening:
    """A plan as far as it is: who has what. *unit*: bytes that each had if all had the same;
    *pairs*: between whom something moves.
    """

    holdings: Sequence[Holding]
    unit: int
    mean: float  # bytes of a slot
    pairs: set[tuple[str, str]] = field(default_factory=set)

    @property
    def staying(self) -> list[Holding]:
        return [each for each in self.holdings if each.stays]

    @property
    def share(self) -> int:
        """Slots of each, if all had as many."""
        return sum(len(each.slots) for each in self.holdings) // len(self.staying)

    # ---- who is to be empty

    def empty(self, giver: Holding) -> int | None:
        """Everything that *giver* has goes to those that stay. A slot for which nobody has room; None: all went."""
        takers, share = self.staying, self.share
        for slot in sorted(giver.slots, reverse=True):  # the highest first, so that few ranges become many
            load = giver.slots[slot]
            able = [each for each in takers if each.fits(load)]
            if self._is_light(load):
                taker = next((each for each in able if self._lacks_slots(giver, each, share)), None)
                taker = taker or min(able, key=lambda each: len(each.slots), default=None)
            else:
                taker = next((each for each in able if self._wishes(giver, each, load)), None)
                taker = taker or max(able, key=lambda each: each.wants, default=None)
            if taker is None:
                return slot
            self._move(giver, taker, slot)
        return None

    def _lacks_slots(self, giver: Holding, taker: Holding, share: int) -> bool:
        missing = share - len(taker.slots)
        is_paired = (giver.name, taker.name) in self.pairs
        return missing > (0 if is_paired else share * SPLINTER_PERCENT // 100)

    # ---- the others

    def even_out(self) -> None:
        """Until there is nothing more to be done: a plan made of the result is empty."""
        for _ in range(MOST_ROUNDS):
            by_bytes = self._by_bytes()
            by_count = self._by_count()
            if not (by_bytes or by_count):
                return

    def _by_bytes(self) -> bool:
        """What makes it more even by next to nothing is not done: sizes change meanwhile, those of large slots too."""
        takers, share = self.staying, self.share
        uneven = frozenset(each.name for each in takers if abs(each.surplus) * 100 > self.unit * UNEVEN_PERCENT)
        if not uneven:
            return False
        before = [(each, dict(each.slots), each.size_bytes, each.room) for each in takers]
        pairs = set(self.pairs)
        excess = _excess(takers)
        went: list[int] = []
        for _ in range(MOST_ROUNDS):
            given = [size for each in takers for size in self._give(each, takers, share, uneven)]
            given = given or list(self._give_whole(takers, uneven))
            if not given:
                break
            went += given
        worth = self.unit * UNEVEN_PERCENT // 100 + max(went, default=0) // WINS_SHARE
        if excess - _excess(takers) >= worth:
            return bool(went)
        for each, slots, size_bytes, room in before:
            each.slots, each.size_bytes, each.room = slots, size_bytes, room
        self.pairs = pairs
        return False

    def _give(self, giver: Holding, takers: Sequence[Holding], share: int, uneven: Set[str]) -> list[int]:
        """What *giver* has above its level, as far as somebody is nearer to his with it. Bytes of what went."""
        partners = [each for each in takers if each is not giver and (giver.name in uneven or each.name in uneven)]
        kept: frozenset[int] | None = None
        went: list[int] = []
        for slot in sorted(giver.slots, reverse=True):
            if giver.surplus <= 0:
                break
            if kept is None and len(giver.slots) <= share // FEW:
                kept = self._kept(giver, share)
            if kept and slot in kept:
                continue
            load = giver.slots[slot]
            if self._is_light(load):
                if len(giver.slots) <= share:
                    continue
                able = (each for each in partners if self._takes_along(giver, each, load, share))
            else:
                able = (each for each in partners if each.fits(load) and self._wishes(giver, each, load))
            if (taker := next(able, None)) is not None:
                self._move(giver, taker, slot)
                went.append(load.size_bytes)
        return went

    def _give_whole(self, takers: Sequence[Holding], uneven: Set[str]) -> Iterator[int]:
        """One slot so large that its taker ends above its level, of a giver that is further above it. Its bytes."""
        for giver in sorted(takers, key=lambda each: -each.surplus):
            for taker in sorted(takers, key=lambda each: each.surplus):
                apart = giver.size_bytes - giver.level + taker.wants
                if giver.surplus <= 0 or taker is giver or not {giver.name, taker.name} & uneven:
                    continue
                sizes = [(load.size_bytes, slot) for slot, load in giver.slots.items() if taker.fits(load)]
                large = [each for each in sizes if each[0] * 100 > self.unit * SPLINTER_PERCENT]
                able = [each for each in large if each[0] * (NEARER_SHARE + 1) <= apart * NEARER_SHARE]
                if able:
                    size_bytes, slot = min(able, key=lambda each: (abs(2 * each[0] - apart), each[1]))
                    self._move(giver, taker, slot)
                    yield size_bytes
                    return

    def _kept(self, giver: Holding, share: int) -> frozenset[int]:
        """Its lightest slots, as many as are not few, and as may be beside what it holds."""
        left = self.unit * BESIDE_PERCENT // 100
        found: set[int] = set()
        for size_bytes, slot in sorted((load.size_bytes, slot) for slot, load in giver.slots.items()):
            if size_bytes > left or len(found) >= share // FEW:
                break
            left -= size_bytes
            found.add(slot)
        return frozenset(found)

    def _wishes(self, giver: Holding, taker: Holding, load: SlotLoad) -> bool:
        """With it, it is nearer to its level than without. So is one that stays without it; and both together by more
        than sizes change by themselves.
        """
        size_bytes = load.size_bytes
        if 2 * taker.wants < size_bytes or not self._is_worth_a_pair(giver, taker):
            return False
        nearer = giver.surplus + taker.wants - size_bytes
        return not giver.stays or (2 * giver.surplus >= size_bytes and nearer * NEARER_SHARE >= size_bytes)

    def _takes_along(self, giver: Holding, taker: Holding, load: SlotLoad, share: int) -> bool:
        """What lies between slots that it gets anyway."""
        return len(taker.slots) < share and taker.fits(load) and taker.wants > 0 and self._is_worth_a_pair(giver, taker)

    def _is_worth_a_pair(self, giver: Holding, taker: Holding) -> bool:
        return (giver.name, taker.name) in self.pairs or taker.wants > self.unit * SPLINTER_PERCENT // 100

    # ---- by the number of slots

    def _by_count(self) -> bool:
        """Fills up who has few slots, and whoever has less than the share where somebody has many, with the lightest
        of those that have more. Whether anything moved.
        """
        share = self.share
        has_many = any(len(each.slots) > share * FEW for each in self.staying)
        moved = False
        for taker in self.staying:
            has_few = len(taker.slots) < share // FEW
            if not (has_few or (has_many and self._is_short(taker, share))) or taker.room == 0:
                continue
            least = min(share - len(taker.slots), share // WORTH)
            light = sum(load.size_bytes for load in taker.slots.values() if load.size_bytes <= self.mean)
            cheap = self.unit * CHEAP_PERCENT // 100 - light
            if taker.slots and len(list(self._lightest_for(taker, share, cheap))) < least:
                continue  # bytes force it
            beside = max(taker.wants, self.unit * BESIDE_PERCENT // 100 - light)
            takers = {name for _, name in self.pairs}
            chosen = list(self._lightest_for(taker, share, beside, but=takers))
            if len(taker.slots) + len(chosen) < share // FEW:
                chosen = list(self._lightest_for(taker, share, beside))
            for giver, slot in chosen:
                self._move(giver, taker, slot)
            moved |= bool(chosen)
        return moved

    def _is_short(self, taker: Holding, share: int) -> bool:
        return share - len(taker.slots) > share * SPLINTER_PERCENT // 100

    def _lightest_for(
        self, taker: Holding, share: int, beside: int, *, but: Set[str] = frozenset()
    ) -> Iterator[tuple[Holding, int]]:
        """Light slots, the highest first, then others, the lightest first, but none heavier than the mean; none of
        those in *but*.
        """
        givers = [each for each in self.staying if len(each.slots) > share and each.name not in but]
        spare = [len(each.slots) - share for each in givers]
        missing = share - len(taker.slots)
        room = taker.room
        for number, slot, size_bytes in self._candidates(givers):
            if missing <= 0:
                return
            if not spare[number] or size_bytes > beside or (room is not None and size_bytes > room):
                continue
            spare[number] -= 1
            missing -= 1
            beside -= size_bytes
            room = None if room is None else room - size_bytes
            yield givers[number], slot

    def _candidates(self, givers: Sequence[Holding]) -> list[tuple[int, int, int]]:
        """Giver, slot and its bytes, in the order in which they are taken."""
        found = [
            (0 if self._is_light(load) else load.size_bytes, number, -slot, load.size_bytes)
            for number, giver in enumerate(givers)
            for slot, load in giver.slots.items()
            if load.size_bytes <= self.mean
        ]
        return [(number, -negative, size_bytes) for _, number, negative, size_bytes in sorted(found)]

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
        self.pairs.add((giver.name, taker.name))


def _excess(holdings: Sequence[Holding]) -> int:
    return sum(max(0, each.surplus) for each in holdings)


def begin(staying: Sequence[ShardLoad], leaving: Sequence[ShardLoad]) -> Evening:
    """Nothing is planned yet."""
    levels = find_levels(staying, leaving)
    holdings = [
        Holding(
            shard=shard,
            stays=shard.name in levels,
            level=levels.get(shard.name, 0),
            slots=dict(shard.slots),
            size_bytes=shard.size_bytes,
            room=shard.room_bytes,
        )
        for shard in sorted((*staying, *leaving), key=lambda shard: natural(shard.name))
    ]
    count = sum(len(each.slots) for each in holdings)
    total = sum(each.size_bytes for each in holdings)
    return Evening(holdings=holdings, unit=total // len(staying), mean=total / count if count else 0.0)
