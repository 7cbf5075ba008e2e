"""Decides which nodes a nodeSelectorTerm means: unlike a label selector it compares numbers and names nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def node_term_matches(term: Mapping[str, Any], labels: Mapping[str, str], name: str) -> bool:
    """One term of a nodeAffinity. An empty term selects no node."""
    expressions = term.get("matchExpressions") or []
    fields = term.get("matchFields") or []
    if not expressions and not fields:
        return False
    return all(_expression_holds(expression, labels) for expression in expressions) and all(
        _expression_holds(field, {"metadata.name": name}) for field in fields
    )


def _expression_holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator = expression["key"], expression["operator"]
    values: list[str] = expression.get("values") or []
    has = key in labels
    match operator:
        case "In":
            return has and labels[key] in values
        case "NotIn":
            return not has or labels[key] not in values
        case "Exists":
            return has
        case "DoesNotExist":
            return not has
        case "Gt" | "Lt":
            return has and _number_compares(labels[key], operator, values)
        case _:
            raise ValueError(f"unknown node selector operator {operator!r}")


def _number_compares(there: str, operator: str, values: list[str]) -> bool:
    if len(values) != 1:
        return False
    try:
        left, right = int(there), int(values[0])
    except ValueError:
        return False
    return left > right if operator == "Gt" else left < right
