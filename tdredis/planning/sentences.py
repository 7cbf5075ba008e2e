"""Decides how a sentence for people names several things."""

from __future__ import annotations

from collections.abc import Sequence


def list_names(names: Sequence[str]) -> str:
    """A few names, and how many more: a sentence stays a sentence with 200 pods."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def from_to(before: int | str | None, value: int | str) -> str:
    """ "from 1 to 2", as events have it; "to 2" where nobody said what was before."""
    previous = '""' if before == "" else before
    return f"to {value}" if previous is None else f"from {previous} to {value}"


def roughly(seconds: float) -> str:
    """ "about 40 s", "about 3 min": words that stay the same while little changes."""
    if seconds < 90:
        return f"about {max(10, round(seconds, -1)):.0f} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {round(seconds / 3600)} h"
