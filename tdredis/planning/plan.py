"""Decides what a plan is: what is wrong, what to do about it now, what not to do yet, and when to look again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tdredis.planning.steps import Step


class Verdict(StrEnum):
    """The state of the resource in one word."""

    INVALID = "invalid"  # the spec cannot be carried out
    FORMING = "forming"  # it has never been whole
    HEALTHY = "healthy"
    DEGRADED = "degraded"  # it was whole once, and is not now


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Something that is not done, the guard that forbids it, and why, for the person who reads the condition.

    *about*: spec, and the condition Accepted says it; or the world, which is waited for, and Progressing does.
    """

    guard: str
    why: str
    about: Literal["spec", "world"] = "world"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What one rule says: steps to take, holds on what it would not do."""

    steps: tuple[Step, ...] = ()
    holds: tuple[Hold, ...] = ()


def is_for_good(kind: str) -> bool:
    """Whether a refusal by the API server is about what is asked for, not the server. *kind*: its status first."""
    return kind.startswith(("400", "403", "422"))


def held(guard: str, why: str) -> Ruling:
    """Nothing is done, because *guard* forbids it."""
    return Ruling(holds=(Hold(guard=guard, why=why),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """*steps* are safe in this order from the snapshot they were made of; a barrier is the last of them."""

    verdict: Verdict
    steps: tuple[Step, ...] = ()
    holds: tuple[Hold, ...] = ()
    next_look_s: float = 15.0

    @property
    def at_peace(self) -> bool:
        """All is well, and nothing is to be done."""
        return self.verdict is Verdict.HEALTHY and not self.steps


def until_barrier(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps up to the first barrier, with the same kind of step directly behind it: they are one stage."""
    kept: list[Step] = []
    barrier: type | None = None
    for step in steps:
        if barrier is not None and type(step) is not barrier:
            break
        kept.append(step)
        if step.barrier:
            barrier = type(step)
    return tuple(kept)
