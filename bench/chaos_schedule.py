"""Which faults and edits a chaos run meets, in which order: drawn by a seed, or kept because they once found something.

A file outlives the menu: what a seed draws changes with every fault that is added.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import msgspec

AT_ONCE = 2
DRAWS = 10_000  # more than any run gets to

Fraction = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=60)]


class Draw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault or edit, before it is known which pods there are."""

    fault: str
    subject: Annotated[int, msgspec.Meta(ge=0, le=2)]  # whose pods, by place
    pod: Fraction  # which of them
    way: Fraction  # how, where there are several ways
    lasts_s: Seconds
    pause_s: Seconds  # before it


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """*claims*: the pods' data is on volumes of their own; else it goes with the pod. *reuse*: addresses are given out
    again at once. *found*: what these faults once showed.
    """

    seed: int
    claims: bool
    reuse: bool
    lanes: tuple[tuple[Draw, ...], ...]  # side by side
    found: str = ""


def draw_schedule(seed: int, menu: Collection[str], edits: Collection[str] = ()) -> Schedule:
    """What the seed has in store. *edits* have a lane of their own: the faults are the same with and without them."""
    chance = random.Random(f"{seed}/place")  # noqa: S311 to be repeated
    return Schedule(
        seed=seed,
        claims=chance.random() < 0.5,
        reuse=chance.random() < 0.5,
        lanes=(
            *(_draw_lane(seed, str(lane), sorted(menu)) for lane in range(AT_ONCE)),
            *([_draw_lane(seed, "edits", sorted(edits))] if edits else []),
        ),
    )


def _draw_lane(seed: int, lane: str, menu: list[str]) -> tuple[Draw, ...]:
    chance = random.Random(f"{seed}/{lane}")  # noqa: S311 to be repeated
    return tuple(
        Draw(
            fault=chance.choice(menu),
            subject=chance.randrange(3),
            pod=chance.random(),
            way=chance.random(),
            lasts_s=round(chance.uniform(2, 8), 1),
            pause_s=round(chance.uniform(0.5, 4), 1),
        )
        for _ in range(DRAWS)
    )


def read_schedule(path: Path) -> Schedule:
    """Raises msgspec.ValidationError, DecodeError, OSError."""
    return msgspec.json.decode(path.read_bytes(), type=Schedule)


def write_schedule(path: Path, schedule: Schedule, done: tuple[int, ...]) -> None:
    """Only what was begun: *done* of each lane."""
    begun = tuple(lane[:count] for lane, count in zip(schedule.lanes, done, strict=True))
    kept = msgspec.structs.replace(schedule, lanes=begun)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
