"""Decides what proves that a process is no more: the same of a cluster's primary, a standby's, and its replica."""

from __future__ import annotations

from tdredis.planning.snapshot import PodFacts
from tdredis.redis.facts import Unknown


def is_proven_dead(pod: PodFacts, unknown: Unknown | None, *, lost: int, observers: int, losers: str) -> str:
    """Why the process in *pod*, which did not answer, is certainly no more; "": there is no proof.

    *unknown*: what became of asking it; None: no process of it runs that could be asked. *lost* of *observers*, who
    would be connected to it, have lost it; *losers*: who that is, in words.

    A timeout is no proof. A refused connection alone is none either, because a firewall can refuse too: most of those
    who would be connected to it must have lost it as well (docs/decisions/0009-proof-of-death.md).
    """
    if unknown is None:
        return f"the process in {pod.name} ended" if pod.ever_ran or pod.finished else ""
    if unknown.refused and 2 * lost > observers:
        return f"{pod.name} refuses connections, and {losers} have lost it too"
    return ""
