"""Decides what the rules of a RedisStandby or RedisStandalone look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tdredis.planning.objects import Ruling
from tdredis.planning.plan import Hold
from tdredis.planning.replication.picture import Picture, Replicated


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a rule looks at: the picture, and the resource with the effective values."""

    picture: Picture
    instance: Replicated


Rule: TypeAlias = Callable[[World], Ruling]


def held(guard: str, why: str) -> Ruling:
    return Ruling(holds=(Hold(guard=guard, why=why),))
