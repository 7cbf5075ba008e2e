"""Decides whether the pods of a resource may be recreated now, where other resources' are too."""

from __future__ import annotations

from collections.abc import Sequence

from tdredis.planning.plan import Hold
from tdredis.planning.rolling import PRIMARIES_WAIT, Next
from tdredis.planning.snapshot import Turn


def wants_turn(steps: Sequence[Next]) -> bool:
    """*steps* of a roll go on by themselves: who waits for a person, or for a window, keeps nobody else waiting."""
    return any(
        not isinstance(step, Hold) or (step.about == "world" and step.guard not in PRIMARIES_WAIT) for step in steps
    )


def in_turn(steps: tuple[Next, ...], turn: Turn | None) -> tuple[Next, ...]:
    """*steps*, or why they wait. None: nobody limits them. Guard: what is wanted waits for its turn; nothing that heals
    does.
    """
    if turn is None or turn.ours or not wants_turn(steps):
        return steps
    why = (
        f"pods of {turn.others} other resources are being recreated, of {turn.limit} at once (--max-concurrent-rolls):"
        " these are next when it is their turn"
        if turn.others
        else "it waits for its turn, which it gets when every resource has been looked at once"
    )
    return (Hold(guard="others_roll_first", why=why),)
