"""Decides which values an engine refuses to start with, before it is tried, and what a database costs it.

What is read only when a process starts no running one judges. So the engines were asked how they refuse a value that is
none (parameter_table.py), and their words say which are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from tdredis.redis.parameter_table import DATABASE_BYTES, ENGINES, VALUES

NOT_A_NUMBER: Final = "argument couldn't be parsed into an integer"
_YES_OR_NO: Final = "argument must be 'yes' or 'no'"
_BETWEEN: Final = re.compile(r"argument must be between (-?\d+) and (\d+) inclusive")
_ONE_OF: Final = re.compile(r"argument(?:\(s\))? must be one of the following: (.+)")
_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]*")  # Source: util.c, string2ll
_MOST, _LEAST = 2**63 - 1, -(2**63)


def refused_by_all(engines: frozenset[str], name: str, value: str) -> str:
    """The words with which each of *engines*, such as ``redis 7.0.15``, refuses to start with *name* at *value*; "" if
    one may take it. None of them: it is not known which engine that will be. A version that was asked judges for its
    later patches; for any other, all judge that were asked of its name.
    """
    asked = frozenset[str]().union(*map(_judges, engines)) if engines else frozenset(ENGINES)
    found = {engine: _words(words, value) for engine in asked if (words := wanted_of(engine, name))}
    knowing = [engine for engine in ENGINES if engine in found]
    return found[knowing[-1]] if knowing and all(found.values()) else ""


def database_bytes(engines: frozenset[str]) -> int:
    """Of an empty database, at the least."""
    asked = frozenset[str]().union(*map(_judges, engines)) if engines else frozenset(ENGINES)
    return min(DATABASE_BYTES[ENGINES.index(engine)] for engine in asked)


def _judges(engine: str) -> frozenset[str]:
    name, _, version = engine.partition(" ")
    line = version.rpartition(".")[0]
    same = frozenset(each for each in ENGINES if each.startswith(f"{name} {line}."))
    return same or frozenset(each for each in ENGINES if each.startswith(f"{name} ")) or frozenset(ENGINES)


@cache
def wanted_of(engine: str, name: str) -> str:
    """How *engine* refuses what is no value of *name*; "": it takes anything, or it is not known what."""
    return _table()[ENGINES.index(engine)].get(name, "")


@cache
def _table() -> tuple[Mapping[str, str], ...]:
    """In the order of ENGINES: the words, by name."""
    found: tuple[dict[str, str], ...] = tuple({} for _ in ENGINES)
    for line in VALUES.splitlines():
        name, letters, words = line.split(None, 2)
        for of_engine, letter in zip(found, letters, strict=True):
            if letter == "x":
                of_engine[name] = words
    return found


def _words(wants: str, value: str) -> str:
    """*wants* as an engine says it of *value*; "": it takes it. Words that are not understood refuse nothing."""
    if between := _BETWEEN.fullmatch(wants):
        if not _NUMBER.fullmatch(value) or not _LEAST <= int(value) <= _MOST:
            return NOT_A_NUMBER
        return "" if int(between[1]) <= int(value) <= int(between[2]) else wants
    if one_of := _ONE_OF.fullmatch(wants):
        return "" if value.lower() in one_of[1].split(", ") else wants
    return wants if wants == _YES_OR_NO and value.lower() not in ("yes", "no") else ""
