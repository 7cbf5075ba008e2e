"""Whether a value is certainly fine: the yes that nearly every write gets, at a fraction of the cost of a no.

A yes here means that `structural.validate`, or `structural.unknown_fields`, has nothing to say. A no means only that it
has to be asked: for the words, or because the schema says something that is not understood here.

Both are asked on every write. What costs is calls of functions: plain values are looked at where they are found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from localkube.schema.per_schema import Schema, once_per_schema
from localkube.schema.structural import fits_format, validate

Check = Callable[[Any], bool]

# What says nothing about a single value.
_SILENT = frozenset(
    ("type", "nullable", "description", "default", "title", "example", "x-kubernetes-map-type",
     "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations", "x-kubernetes-embedded-resource",
     "x-kubernetes-patch-strategy", "x-kubernetes-patch-merge-key")
)  # fmt: skip
_OF_OBJECTS = _SILENT | {"properties", "additionalProperties", "required"}
_OF_LISTS = _SILENT | {"items", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"}
_OF_TIMES = _SILENT | {"format"}
_OF_EITHER = _SILENT | {"x-kubernetes-int-or-string"}
_PYTHON_TYPES = {"string": str, "integer": int, "boolean": bool}


# ---- validation


@once_per_schema
def certainly_fits(schema: Schema) -> Check:
    """Whether a value has the type that *schema* wants, and so have all values in it."""
    check = _check_of(schema)
    if not schema.get("nullable"):
        return check
    return lambda value: value is None or check(value)


def _plain_type(schema: Schema | None) -> type | None:
    """The type that is all *schema* asks for."""
    if schema is None or not schema.keys() <= _SILENT:
        return None
    return _PYTHON_TYPES.get(schema.get("type") or "")


def _check_of(schema: Schema) -> Check:
    wanted, said = schema.get("type"), schema.keys()
    plain = _plain_type(schema)
    if plain is not None:
        return lambda value: type(value) is plain
    if schema.get("x-kubernetes-int-or-string"):
        if wanted is None and said <= _OF_EITHER:
            return lambda value: type(value) is str or type(value) is int
    elif wanted == "string" and said <= _OF_TIMES:
        return lambda value: type(value) is str and fits_format(schema["format"], value)
    elif wanted == "object" and said <= _OF_OBJECTS:
        return _check_of_object(schema)
    elif wanted == "array" and said <= _OF_LISTS and schema.get("x-kubernetes-list-type", "atomic") == "atomic":
        return _check_of_list(schema)
    elif wanted is None and said <= _SILENT:
        return _anything
    return lambda value: not validate(schema, value)


def _check_of_object(schema: Schema) -> Check:
    properties: Mapping[str, Schema] = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    others: Schema | None = extra if isinstance(extra, dict) else None
    type_of_others, check_of_others = _plain_type(others), None if others is None else certainly_fits(others)
    plain = {name: wanted for name, sub in properties.items() if (wanted := _plain_type(sub)) is not None}
    checks = {name: certainly_fits(sub) for name, sub in properties.items()}
    required = frozenset(schema.get("required") or ())

    def check(value: Any) -> bool:
        if type(value) is not dict or (required and not required <= value.keys()):
            return False
        for name, one in value.items():
            # What is of no plain type, or a null that may be allowed, is asked about at length.
            if type(one) is plain.get(name, _MISSING):
                continue
            if name not in checks and type(one) is type_of_others:
                continue
            check_of_one = checks.get(name, check_of_others)
            if check_of_one is not None and not check_of_one(one):
                return False
        return True

    return check


_MISSING = object()


def _check_of_list(schema: Schema) -> Check:
    items = schema.get("items")
    check_of_item = certainly_fits(items) if isinstance(items, dict) else _anything

    def check(value: Any) -> bool:
        return type(value) is list and all(map(check_of_item, value))

    return check


# ---- unknown fields


@once_per_schema
def certainly_known(schema: Schema) -> Check:
    """Whether *schema* names every field that a value has, and those of all values in it."""
    if schema.get("x-kubernetes-embedded-resource"):
        return _nothing  # it has fields which no schema names
    properties: Mapping[str, Schema] = schema.get("properties") or {}
    extra, items = schema.get("additionalProperties"), schema.get("items")
    keeps_all = bool(schema.get("x-kubernetes-preserve-unknown-fields")) or extra is True
    checks = {name: certainly_known(sub) for name, sub in properties.items()}
    check_of_others = certainly_known(extra) if isinstance(extra, Mapping) else _anything if keeps_all else None
    check_of_item = certainly_known(items) if isinstance(items, Mapping) else _anything
    if not checks and check_of_others is _anything and check_of_item is _anything:
        return _anything

    def check(value: Any) -> bool:
        kind = type(value)
        if kind is dict:
            for name, one in value.items():
                check_of_one = checks.get(name, check_of_others)
                if check_of_one is None:
                    return False
                # Only what has fields can have unknown ones.
                if (type(one) is dict or type(one) is list) and not check_of_one(one):
                    return False
        return kind is not list or all(map(check_of_item, value))

    return check


def _anything(_: Any) -> bool:
    return True


def _nothing(_: Any) -> bool:
    return False
