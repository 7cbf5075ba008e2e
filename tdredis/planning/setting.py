"""Decides in which form it is said what one parameter of spec.config needs, and whom of the processes that concerns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tdredis.planning.change import Change, Lack
from tdredis.planning.plan import Hold
from tdredis.planning.steps import SetParameter

NOT_NAMED: Final = object()
NOTHING: Final = '""'


@dataclass(frozen=True, slots=True)
class RefusedStart:
    """*pods* started with a value that their engine did not take: no other is recreated."""

    hold: Hold
    pods: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Of one parameter. *kept*: what the file for the next start says of it; NOT_NAMED: nothing. *at_start*: what new
    pods are made to start with; None: nothing. *lacks*: what processes lack until they start anew, by pod.
    """

    name: str
    kept: object
    at_start: str | None = None
    steps: tuple[SetParameter, ...] = ()
    holds: tuple[Hold, ...] = ()
    changes: tuple[Change, ...] = ()
    lacks: Mapping[str, Lack] = field(default_factory=dict)
    refusal: RefusedStart | None = None
