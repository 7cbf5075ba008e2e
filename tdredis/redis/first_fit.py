"""Decides who is the first of many that wants so much, without asking each: a tree of the most that any of some wants.

Finding one, and telling that one wants another amount now, take as many steps as the logarithm of their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

NOTHING: Final = -(1 << 80)  # below all sizes in bytes


class FirstFit:
    """What each wants, by its number from 0."""

    def __init__(self, wanted: Sequence[int]) -> None:
        self._leaves = 1 << max(0, len(wanted) - 1).bit_length()
        self._most = [NOTHING] * self._leaves + [*wanted] + [NOTHING] * (self._leaves - len(wanted))
        for node in range(self._leaves - 1, 0, -1):
            self._most[node] = max(self._most[2 * node], self._most[2 * node + 1])

    def __getitem__(self, number: int) -> int:
        return self._most[self._leaves + number]

    def __setitem__(self, number: int, wanted: int) -> None:
        most, node = self._most, self._leaves + number
        most[node] = wanted
        while node > 1:
            node >>= 1
            now = max(most[2 * node], most[2 * node + 1])
            if most[node] == now:
                return
            most[node] = now

    def first(self, least: int, *, after: int = -1) -> int | None:
        """The lowest number above *after* that wants *least* or more. *least* is above NOTHING."""
        if after + 1 >= self._leaves:
            return None
        node = self._leaves + after + 1
        while self._most[node] < least:
            while node & 1:
                node >>= 1
            if not node:
                return None
            node += 1
        while node < self._leaves:
            node *= 2
            node += self._most[node] < least
        return node - self._leaves
