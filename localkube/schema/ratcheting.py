"""Which complaints about an update count: those about what it leaves as it was do not (Kubernetes 1.30 and later).

Source: kubernetes.io, "Validation ratcheting": what a newer schema would refuse may stay, as long as nobody touches it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from localkube.errors import FieldError
from localkube.schema.structural import Schema

ABSENT = object()


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1 there."""
    return one == other and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def former_item(schema: Schema, old: Any, item: Any) -> Any:
    """What *item* of a list was; ABSENT unless the list is a map by key: only of that can items be told apart."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if schema.get("x-kubernetes-list-type") != "map" or not keys or not isinstance(old, list):
        return ABSENT
    identity = [item.get(key) for key in keys] if isinstance(item, dict) else None
    found = (one for one in old if isinstance(one, dict) and [one.get(key) for key in keys] == identity)
    return next(found, ABSENT)


def without_unchanged(errors: Sequence[FieldError], schema: Schema, new: Any, old: Any) -> list[FieldError]:
    """Those of *errors* that are not about something which was so before."""
    unchanged = tuple(_unchanged(schema, new, old, ""))
    return [error for error in errors if not any(_is_in(error.field, one) for one in unchanged)]


def _is_in(field: str, path: str) -> bool:
    return field == path or (field.startswith(path) and field[len(path)] in ".[")


def _unchanged(schema: Schema, new: Any, old: Any, path: str) -> Iterator[str]:
    """Paths of the largest parts that are as they were."""
    if path and same(new, old):
        yield path
    elif isinstance(new, dict) and isinstance(old, dict):
        properties: Mapping[str, Schema] = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        for name in new.keys() & old.keys():
            sub = properties.get(name, extra)
            if isinstance(sub, Mapping) and not (not path and name in ("apiVersion", "kind")):
                yield from _unchanged(sub, new[name], old[name], f"{path}.{name}" if path else name)
    elif isinstance(new, list) and isinstance(schema.get("items"), Mapping):
        for index, one in enumerate(new):
            former = former_item(schema, old, one)
            if former is not ABSENT:
                yield from _unchanged(schema["items"], one, former, f"{path}[{index}]")
