"""Decides whether a process has a parameter as it is to be: values are written in one way, and answered in another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_UNITS: Final = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1 << 10,
    "m": 10**6,
    "mb": 1 << 20,
    "g": 10**9,
    "gb": 1 << 30,
}  # Source: util.c, memtoull
_SIZE: Final = re.compile(r"(\d+)([a-z]*)")
_ALL_EVENTS: Final = "g$lshzxetd"  # Source: redis.io, "Keyspace notifications": what A stands for
_IMMUTABLE: Final = ("immutable", "Unsupported CONFIG", "protected")
_OUTPUT_BUFFERS: Final = "client-output-buffer-limit"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An engine did not take a value: its *words*. *is_due*: it may be tried again."""

    words: str
    is_due: bool

    @property
    def needs_restart(self) -> bool:
        """Not the value is refused, but to change it while the process runs."""
        return any(word in self.words for word in _IMMUTABLE)


@dataclass(frozen=True, slots=True)
class Answers:
    """What came of telling processes, as long as it is remembered. *forms*: how an engine answers a value that it took,
    by engine, parameter and value; *refusals* by process, parameter and value.
    """

    forms: Mapping[tuple[str, str, str], frozenset[str]] = field(default_factory=dict)
    refusals: Mapping[tuple[str, str, str], Refusal] = field(default_factory=dict)

    def has(self, engine: str, name: str, value: str, wanted: str) -> bool:
        """Whether *value*, as a process of *engine* answers it, is what *wanted* says."""
        return same_value(name, value, wanted) or value in self.forms.get((engine, name, wanted), ())


def same_value(name: str, value: str, wanted: str) -> bool:
    """As `Answers.has`, by what is known of how values are written. False: they are not known to be the same."""
    if value == wanted:
        return True
    if name == _OUTPUT_BUFFERS:
        return _says_limits(value, wanted)
    if name == "notify-keyspace-events":
        return _events(value) == _events(wanted)
    if wanted.lower() in ("yes", "no"):
        return value == wanted.lower()
    ours, theirs = wanted.split(), value.split()
    return len(ours) == len(theirs) > 0 and all(map(_same_word, theirs, ours))


def _same_word(value: str, wanted: str) -> bool:
    size = _size(wanted)
    return value == wanted or (size is not None and value == str(size))


def _size(text: str) -> int | None:
    found = _SIZE.fullmatch(text.lower())
    if found is None or found[2] not in _UNITS:
        return None
    return int(found[1]) * _UNITS[found[2]]


def _events(flags: str) -> frozenset[str]:
    return frozenset(flags.replace("A", _ALL_EVENTS))


def _says_limits(value: str, wanted: str) -> bool:
    """Classes that are not named keep what they have."""
    ours, theirs = _limits(wanted), _limits(value)
    return bool(ours) and all(theirs.get(name) == limits for name, limits in ours.items())


def _limits(text: str) -> dict[str, tuple[int | None, ...]]:
    """By class of clients: hard limit, soft limit, seconds. Source: redis.io, "Client eviction" and redis.conf."""
    words = text.split()
    if len(words) % 4:
        return {}
    groups = (words[at : at + 4] for at in range(0, len(words), 4))
    return {name.replace("slave", "replica"): tuple(map(_size, rest)) for name, *rest in groups}
