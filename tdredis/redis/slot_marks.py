"""Decides which names are not a user's: keys that a move of a slot makes in it while big ones are on their way.

Whoever ends a move that somebody else began removes them before the slot has an owner for good.
"""

from __future__ import annotations

from binascii import crc_hqx
from functools import lru_cache
from itertools import count
from typing import Final

from tdredis.redis.slots import SLOT_COUNT

MOST_COPIES: Final = 16  # big keys of one slot that are on their way at once
_PREFIX: Final = "td-redis-operator:copy:{%s}:"


@lru_cache(maxsize=256)
def _prefix(slot: int) -> str:
    return _PREFIX % next(str(number) for number in count() if crc_hqx(str(number).encode(), 0) % SLOT_COUNT == slot)


def copy_names(slot: int) -> tuple[str, ...]:
    """The names under which copies of big keys of *slot* are made. They are in that slot."""
    return tuple(f"{_prefix(slot)}{number}" for number in range(MOST_COPIES))


def named(slot: int) -> str:
    """At the target: a list of the keys whose copies are about to get their names."""
    return f"{_prefix(slot)}named"


def given(slot: int) -> str:
    """At the source, from the very moment in which it has given those keys away: the first of them, renamed."""
    return f"{_prefix(slot)}given"


def reserved(slot: int) -> tuple[str, ...]:
    """All names of *slot* that are not a user's."""
    return (*copy_names(slot), named(slot), given(slot))


def is_reserved(name: bytes, slot: int) -> bool:
    """Of a key of *slot*."""
    return name.startswith(b"td-redis-operator:copy:{") and name in {each.encode() for each in reserved(slot)}
