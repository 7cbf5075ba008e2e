"""What a resource quantity ("1500m", "2Gi") is as a number."""

from __future__ import annotations

import re

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?")
_POWERS_OF_TEN = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def quantity_value(text: object) -> float | None:
    """None if it is no quantity."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    found = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    number, suffix = float(found[1]), found[2] or ""
    if len(suffix) > 1 and suffix[0] in "eE":
        return number * 10.0 ** int(suffix[1:])
    if suffix.endswith("i"):
        return number * 1024.0 ** ("KMGTPE".index(suffix[0]) + 1)
    return number * 10.0 ** _POWERS_OF_TEN[suffix]
