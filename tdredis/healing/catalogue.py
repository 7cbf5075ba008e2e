"""Decides what is told of one fault: what must come of it, which code sees to that, what a person sees, the proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tdredis.planning.steps import NAMES, Step

Code = Callable[..., object]  # a rule, a guard, or whatever else sees to it: referenced, so that renaming cannot rot it
Guard = Code | str  # a guard without a function of its own is known by its name


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What somebody on call sees. *reason*: of a condition or an event; a step's event is called as `NAMES` says.
    *words*: a sentence of it, with "…" for what differs.
    """

    reason: str | type[Step]
    words: str

    @property
    def name(self) -> str:
        return self.reason if isinstance(self.reason, str) else NAMES[self.reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault. *tests*: "e2e/test_x.py::test_y" below tests/. *missing*: what is not proven or built yet."""

    number: int
    fault: str
    must: str
    bound: str
    rules: tuple[Code, ...]
    guards: tuple[Guard, ...] = ()
    seen: tuple[Seen, ...] = ()
    make: tuple[str, ...]
    tests: tuple[str, ...] = ()
    missing: str = ""


def guard_name(guard: Guard) -> str:
    return guard if isinstance(guard, str) else code_name(guard).lstrip("_")


def code_name(code: Code) -> str:
    return code.__qualname__


def code_place(code: Code) -> str:
    """The file below tdredis/."""
    return code.__module__.partition(".")[2].replace(".", "/") + ".py"
