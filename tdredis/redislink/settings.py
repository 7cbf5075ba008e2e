"""Decides what is remembered of parameters that processes were told: how an engine answers a value, and who refused it.

All of it can be lost: a value is set once more then, or refused once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from tdredis.redis.settings import Answers, Refusal

TRIED_AGAIN_S = 60.0  # what an engine refuses may be for want of memory, of files, of a disk
MOST = 1024  # of each sort, of one owner

Owner = TypeVar("Owner")
_Told = tuple[str, str, str]


class SettingsMemory(Generic[Owner]):
    """By owner."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """*clock*: seconds, never set back."""
        self._clock = clock
        self._forms: dict[Owner, dict[_Told, frozenset[str]]] = {}
        self._refusals: dict[Owner, dict[_Told, tuple[str, float]]] = {}

    def took(self, owner: Owner, engine: str, process: str, name: str, *, wanted: str, value: str) -> None:
        """*process* took *wanted* and answers *value* since."""
        self._refusals.get(owner, {}).pop((process, name, wanted), None)
        forms = _bounded(self._forms.setdefault(owner, {}))
        forms[engine, name, wanted] = forms.get((engine, name, wanted), frozenset()) | {value}

    def refused(self, owner: Owner, process: str, name: str, wanted: str, words: str) -> None:
        _bounded(self._refusals.setdefault(owner, {}))[process, name, wanted] = (words, self._clock() + TRIED_AGAIN_S)

    def answers(self, owner: Owner) -> Answers:
        now = self._clock()
        refusals = {
            told: Refusal(words, is_due=now >= until) for told, (words, until) in self._refusals.get(owner, {}).items()
        }
        return Answers(forms=dict(self._forms.get(owner, {})), refusals=refusals)

    def drop(self, owner: Owner) -> None:
        """It is gone."""
        self._forms.pop(owner, None)
        self._refusals.pop(owner, None)


ValueT = TypeVar("ValueT")


def _bounded(found: dict[_Told, ValueT]) -> dict[_Told, ValueT]:
    """Without the oldest of too many."""
    while len(found) >= MOST:
        del found[next(iter(found))]
    return found
