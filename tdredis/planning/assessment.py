"""Decides what a pass goes by: a snapshot is judged once, and plan and status are both read from that judgement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from tdredis.planning.conditions import Finding
from tdredis.planning.pending import Change
from tdredis.planning.plan import Hold

WorldT = TypeVar("WorldT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment(Generic[WorldT]):
    """*world*: what the snapshot shows, and the resource with its effective values."""

    world: WorldT
    findings: tuple[Finding, ...]  # what is wrong, the first is the reason in status; (): the instance is healthy
    refused: tuple[Hold, ...]  # why spec, as it is written, cannot be carried out
    held_changes: tuple[Hold, ...]  # why changes of spec wait
    pending: tuple[Change, ...]  # what of spec is not effective yet, those that wait among it
