"""What a pod may ask about itself: fieldRef and resourceFieldRef, for environment variables and downward volumes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Obj = dict[str, Any]

_SUFFIXES: Mapping[str, Decimal] = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
}  # fmt: skip


class FieldProblem(Exception):
    """The pod asked for a field that does not exist."""


def parse_quantity(text: str | float) -> Decimal:
    """`500m`, `64Gi`, `1e3`. Raises ValueError."""
    match = re.fullmatch(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)", str(text))
    if match is None or match[2] not in _SUFFIXES:
        raise ValueError(f"{text!r} is not a quantity")
    return Decimal(match[1]) * _SUFFIXES[match[2]]


def read_field(pod: Obj, path: str) -> str:
    """The text of one field of *pod*. Raises FieldProblem for a path that pods do not offer."""
    subscript = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if subscript is not None:
        value: str = (pod["metadata"].get(subscript[1]) or {}).get(subscript[2], "")
        return value
    match path:
        case "metadata.labels" | "metadata.annotations":
            return _format_map(pod["metadata"].get(path.partition(".")[2]) or {})
        case "metadata.name" | "metadata.namespace" | "metadata.uid":
            return str(pod["metadata"].get(path.partition(".")[2], ""))
        case "spec.nodeName" | "spec.serviceAccountName":
            return str(pod["spec"].get(path.partition(".")[2], ""))
        case "status.hostIP" | "status.podIP":
            return str((pod.get("status") or {}).get(path.partition(".")[2], ""))
        case "status.podIPs":
            return ",".join(entry["ip"] for entry in (pod.get("status") or {}).get("podIPs") or [])
        case "status.hostIPs":
            return str((pod.get("status") or {}).get("hostIP", ""))
    raise FieldProblem(f"unsupported fieldPath: {path}")


def read_resource(container: Obj, allocatable: Mapping[str, str], ref: Obj) -> str:
    """`limits.cpu` and its like in units of the divisor, rounded up; a missing limit is all the node has."""
    which, _, name = ref["resource"].partition(".")
    if which not in ("limits", "requests"):
        raise FieldProblem(f"unsupported container resource: {ref['resource']}")
    resources = container.get("resources") or {}
    amount = (resources.get(which) or {}).get(name)
    if amount is None:
        amount = allocatable.get(name, "0") if which == "limits" else (resources.get("limits") or {}).get(name, "0")
    divisor = parse_quantity(ref.get("divisor") or "1")
    return str(math.ceil(parse_quantity(amount) / (divisor or Decimal(1))))


def _format_map(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(pairs.items()))
