"""Decides which amounts of CPU, memory and disk may be asked for: what the schema holds them to, in CEL, and here.

Only what Kubernetes takes is accepted, and of that only what a person can have meant: `512m` of memory is half a byte.
The pattern is exact and costs a server nothing; the rules say in words what to write. CEL knows quantities only from
Kubernetes 1.28 on (`quantity()`), so they are computed from their texts. To a server a text that may also be a number
can be of any length, and a rule costs what its regular expressions are long: these are as short as they can be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tdredis.api.fields import Bounds

CPU: Final = "cpu"
MEMORY: Final = "memory"
DISK: Final = "ephemeral-storage"
NAMES: Final = (CPU, MEMORY, DISK)

_OF_CPUS: Final = "[1-9][0-9]{0,5}m|[1-9][0-9]{0,2}([.][0-9]{1,3})?|0[.][0-9]{0,2}[1-9]"
_WITH_UNIT: Final = "[1-9][0-9]{3,8}Ki|[1-9][0-9]{0,5}([.][0-9]{1,3})?[MGT]i?|0[.][0-9]{0,2}[1-9][GT]i?"
_BYTES: Final = "[1-9][0-9]{7,14}"
_SHAPES: Final[Mapping[str, str]] = {CPU: _OF_CPUS, MEMORY: f"{_WITH_UNIT}|{_BYTES}", DISK: _WITH_UNIT}
_FEWEST_BYTES: Final = 1 << 20
_MOST_CPUS: Final = 999
_MOST: Final = 10**15

AMOUNTS: Final[Bounds] = {
    "maxProperties": 8,  # more than there are names: the rule about names is to tell of a wrong one
    "additionalProperties": {
        "x-kubernetes-int-or-string": True,
        "minimum": 1,
        "maximum": _MOST,
        "pattern": f"^({_OF_CPUS}|{_WITH_UNIT}|{_BYTES})$",
    },
}

# Digits and letters that units are made of (all of them lie between G and m): enough to be read as a number.
_ROUGHLY: Final = "^[0-9.]+[G-m]*$"
_FACTORS: Final[Mapping[str, str]] = {
    "m": "0.001",
    "Ki": "1024.0",
    "Mi": "1048576.0",
    "Gi": "1073741824.0",
    "Ti": "1099511627776.0",
    "M": "1000000.0",
    "G": "1000000000.0",
    "T": "1000000000000.0",
}
_UNITS: Final[Mapping[str, tuple[str, ...]]] = {
    CPU: ("m",),
    MEMORY: ("Ki", "Mi", "Gi", "Ti", "M", "G", "T"),
    DISK: ("Ki", "Mi", "Gi", "Ti", "M", "G", "T"),
}

NAMES_SENTENCE: Final = f"write amounts of {', '.join(NAMES[:-1])} or {NAMES[-1]}, and of nothing else"


def amount_sentence(name: str) -> str:
    if name == CPU:
        return "cpu: write CPUs such as 2 or 0.5, or thousandths of one such as 500m"
    return f"{name}: write an amount with its unit, such as 512Mi or 2Gi"


def request_sentence(name: str) -> str:
    return f"more {name} is requested than its limit: write a smaller request, or a limit that is as large"


# ---- in CEL


def cel_names() -> str:
    """Of a map of amounts: it names nothing but what may be asked for."""
    return f"self.all(name, name in [{', '.join(repr(name) for name in NAMES)}])"


def cel_amount(name: str) -> str:
    """Of a map of amounts: that of *name* has a unit of its kind; or there is none."""
    amount = f"self['{name}']"
    text = {
        CPU: f"{amount}.size() <= 7 && {amount}.matches('^[0-9.]+m?$')",
        MEMORY: f"{amount}.matches('^[0-9.]+(Ki|[MGT]i?)$|^[0-9]{{8,}}$')",
        DISK: f"{amount}.matches('^[0-9.]+(Ki|[MGT]i?)$')",
    }[name]
    number = f"{amount} <= {_MOST_CPUS}" if name == CPU else f"{amount} >= {_FEWEST_BYTES}"
    return f"!('{name}' in self) || (type({amount}) == int ? {number} : {text})"


def cel_request_fits(name: str) -> str:
    """Of requests and limits: no more of *name* is requested than its limit. What is no number is not compared."""
    request, limit = f"self.requests['{name}']", f"self.limits['{name}']"
    absent = f"!has(self.requests) || !has(self.limits) || !('{name}' in self.requests) || !('{name}' in self.limits)"
    odd = " || ".join(f"(type({each}) == string && !{each}.matches('{_ROUGHLY}'))" for each in (request, limit))
    return f"{absent} || {odd} || {_cel_number(name, request)} <= {_cel_number(name, limit)}"


def _cel_number(name: str, amount: str) -> str:
    units = "".join(
        f"{amount}.endsWith('{unit}') ? double({amount}.replace('{unit}', '')) * {_FACTORS[unit]} : "
        for unit in _UNITS[name]
    )
    return f"(type({amount}) == int ? double({amount}) : {units}double({amount}))"


# ---- and the same here


def names_are_known(amounts: Mapping[str, object]) -> bool:
    return all(name in NAMES for name in amounts)


def is_amount(name: str, amounts: Mapping[str, object]) -> bool:
    """That of *name* in *amounts* is one, and within bounds; or there is none."""
    return name not in amounts or _number(name, amounts[name]) is not None


def request_fits(name: str, requests: Mapping[str, object], limits: Mapping[str, object]) -> bool:
    """False only if both are amounts, and more is requested."""
    request, limit = _number(name, requests.get(name)), _number(name, limits.get(name))
    return request is None or limit is None or request <= limit


def _number(name: str, value: object) -> float | None:
    """CPUs or bytes; None: it is no amount of *name*."""
    if isinstance(value, int) and not isinstance(value, bool):
        least, most = (1, _MOST_CPUS) if name == CPU else (_FEWEST_BYTES, _MOST)
        return float(value) if least <= value <= most else None
    if not isinstance(value, str) or not re.fullmatch(_SHAPES[name], value):
        return None
    unit = next((unit for unit in _UNITS[name] if value.endswith(unit)), "")
    return float(value.removesuffix(unit)) * float(_FACTORS.get(unit, "1"))
