"""Decides how much "500m" or "2Gi" is: without it nothing can be compared with a node's or a volume's size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

_SUFFIXES: Mapping[str, Fraction] = {
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
}


def parse_quantity(text: Any) -> Fraction:
    """The exact value of a Kubernetes quantity. Raises ValueError when it is none."""
    written = str(text)
    try:
        # "1E" is an exa, "1E3" a thousand: only a suffix that leaves a number before it is one.
        for suffix, factor in _SUFFIXES.items():
            if written.endswith(suffix):
                return Fraction(Decimal(written[: -len(suffix)])) * factor
        return Fraction(Decimal(written))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise ValueError(f"not a quantity: {written!r}") from error


def scale_int_or_percent(value: int | str, of: int, *, round_up: bool) -> int:
    """3 -> 3; "25%" -> a quarter of *of*, rounded as asked (surge rounds up, unavailable rounds down)."""
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        return int(value)
    exact = Fraction(int(value[:-1]) * of, 100)
    return math.ceil(exact) if round_up else math.floor(exact)
