"""Which of all pairs of two lists are tried in `make test`: each of both lists once at least; the others are `long`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest


def pairs(ones: Mapping[str, object] | Iterable[str], others: Mapping[str, object] | Iterable[str]) -> list[object]:
    """Parameters (one, other), by their names. For what the code does alike for every pair."""
    left, right = [_named(each) for each in (ones, others)]
    fewer = min(len(left), len(right))
    return [
        pytest.param(one, other, id=f"{name}-{other_name}", marks=() if i % fewer == j % fewer else pytest.mark.long)
        for i, (name, one) in enumerate(left.items())
        for j, (other_name, other) in enumerate(right.items())
    ]


def _named(each: Mapping[str, object] | Iterable[str]) -> Mapping[str, object]:
    return each if isinstance(each, Mapping) else {name: name for name in each}
