"""Decides whether spec, as it is written, can be carried out at all, where no server refused it."""

from __future__ import annotations

from tdredis.api.validation import problems
from tdredis.planning.snapshot import Snapshot


def spec_problems(snapshot: Snapshot) -> tuple[str, ...]:
    """What is wrong with it, a sentence each. While there is anything, nothing is begun, and what was begun stops where
    no harm is done.
    """
    return snapshot.memo.once("problems", (snapshot.resource,), lambda: problems(snapshot.resource))
