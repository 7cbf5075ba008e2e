"""Decides what is known beforehand of a parameter of an engine: whether it is live, and what it is by default."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from tdredis.redis.parameter_table import ENGINES, TABLE


@dataclass(frozen=True, slots=True)
class Parameter:
    """*is_live*: it is set while the process runs. *default*: the value that a process has which was told nothing."""

    is_live: bool
    default: str


def parameter_of(engine: str, name: str) -> Parameter | None:
    """What is known of *name* in *engine*, such as ``redis 7.0.15``. None: nothing, which does not say that there is
    none. Of a version that was never asked the newest before it is believed, of one before all the oldest.
    """
    return _parameters(_nearest(engine)).get(name)


def is_read_at_start(name: str) -> bool:
    """Some engine that was asked reads *name* only when it starts."""
    found = (_parameters(engine).get(name) for engine in ENGINES)
    return any(each is not None and not each.is_live for each in found)


def is_always_read_at_start(name: str) -> bool:
    """No engine that was asked takes *name* while it runs."""
    found = (_parameters(engine).get(name) for engine in ENGINES)
    return is_read_at_start(name) and not any(each is not None and each.is_live for each in found)


def known_by(name: str) -> tuple[str, ...]:
    """Engines, as they were asked, that know *name*."""
    return tuple(engine for engine in ENGINES if name in _parameters(engine))


def like(name: str) -> str:
    """The parameter whose name is nearest to *name*; "" if none is near."""
    names = sorted({each for engine in ENGINES for each in _parameters(engine)})
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.8)), "")


def order_of(version: str) -> tuple[int, ...]:
    """``7.0.15`` as something that can be compared; what is no number counts as none."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))


_ORDERS: Final = {engine: order_of(engine.partition(" ")[2]) for engine in ENGINES}


@cache
def _nearest(engine: str) -> str:
    name, _, version = engine.partition(" ")
    same = [each for each in ENGINES if each.partition(" ")[0] == name] or [
        each for each in ENGINES if each.startswith("redis ")
    ]
    before = [each for each in same if _ORDERS[each] <= order_of(version)]
    return max(before, key=_ORDERS.__getitem__) if before else min(same, key=_ORDERS.__getitem__)


@cache
def _parameters(engine: str) -> Mapping[str, Parameter]:
    column = ENGINES.index(engine)
    found: dict[str, Parameter] = {}
    for line in TABLE.splitlines():
        name, letters, *default = line.split(None, 2)
        if letters[column] != ".":
            found[name] = Parameter(is_live=letters[column] == "L", default=default[0] if default else "")
    return found
