"""Decides which slots a shard gets for the sake of their number: light ones first, of shards that have more of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from tdredis.redis.holdings import Holding


class Candidates:
    """Slots of those that have more than the *share*. *ordered*: as they are taken, by weight: (weight, giver, slot,
    bytes). They are sorted once, for one taker after the other: nobody of the givers gets any back meanwhile.
    """

    def __init__(self, ordered: Sequence[tuple[int, Holding, int, int]], share: int) -> None:
        self._ordered = ordered
        self._share = share
        self._spent_seen = 0

    def lightest_for(
        self, taker: Holding, beside: int, *, but: Set[int] = frozenset()
    ) -> Iterator[tuple[Holding, int]]:
        """What *taker* lacks, in at most *beside* bytes; nothing of the numbers in *but*."""
        self._drop_spent()
        missing, room = self._share - len(taker.slots), taker.room
        spare: dict[int, int] = {}
        for weight, giver, slot, size_bytes in self._ordered:
            if missing <= 0 or weight > beside:
                return
            if self._is_spent(giver, slot):
                self._spent_seen += 1
                continue
            left = spare.get(giver.number, len(giver.slots) - self._share)
            if giver.number in but or not left or size_bytes > beside or (room is not None and size_bytes > room):
                continue
            spare[giver.number] = left - 1
            missing -= 1
            beside -= size_bytes
            room = None if room is None else room - size_bytes
            yield giver, slot

    def _is_spent(self, giver: Holding, slot: int) -> bool:
        """It went, or its giver has no more to give."""
        return slot not in giver.slots or len(giver.slots) <= self._share

    def _drop_spent(self) -> None:
        """Once as many were passed by as there are in all: so that it costs no more than passing them by did."""
        if self._spent_seen >= len(self._ordered):
            self._ordered = [each for each in self._ordered if not self._is_spent(each[1], each[2])]
            self._spent_seen = 0
