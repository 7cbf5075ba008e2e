"""Decides whether a resource can be carried out, for servers too old to refuse it themselves.

The bounds are those of the schema, read from the same annotations, and the rules those of the CRD; the sentences say
what to write instead.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, cast, get_args, get_origin, get_type_hints

import msgspec

from tdredis.api.fields import wire_name
from tdredis.api.instance import Instance
from tdredis.api.rules import NAME_RULES, RULES


def problems(instance: Instance) -> tuple[str, ...]:
    """What is wrong with *instance*, a sentence each; () if nothing is."""
    names = (rule.message for rule in NAME_RULES if rule.holds and not rule.holds(instance))
    return (*names, *_of_struct(instance.spec, "spec"))


def _of_struct(value: msgspec.Struct, path: str) -> Iterator[str]:
    for attribute, name, schema in _fields(type(value)):
        found = getattr(value, attribute)
        where = f"{path}.{name}"
        if isinstance(found, msgspec.Struct):
            yield from _of_struct(found, where)
        elif found is not None and not (attribute == "env" and found == ""):  # absent
            yield from _of_value(schema, found, where)
    for rule in RULES.get(type(value), ()):
        about = getattr(value, rule.at) if rule.at else value
        if rule.holds is not None and not rule.holds(about):
            where = f"{path}.{wire_name(rule.at)}" if rule.at else path
            yield f"{where}: {rule.message}"


@functools.cache  # evaluating annotations took a fifth of the operator's time while many instances are formed
def _fields(type_: type[msgspec.Struct]) -> tuple[tuple[str, str, Mapping[str, object]], ...]:
    """Attribute, name as users write it, and bounds of each field; those of a list's items under "items"."""
    hints = get_type_hints(type_, include_extras=True).items()
    return tuple((attribute, wire_name(attribute), _bounds(hint)) for attribute, hint in hints)


def _bounds(hint: object) -> Mapping[str, object]:
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    for each in (bare, *get_args(bare)):  # also of X | None
        if get_origin(each) is tuple:
            return {"items": schema_of(get_args(each)[0]), **schema_of(hint)}
    return schema_of(hint)


def schema_of(hint: object) -> Mapping[str, object]:
    """The extra_json_schema of an annotated field; empty if it has none."""
    if get_origin(hint) is not Annotated:
        return {}
    meta = next((each for each in get_args(hint)[1:] if isinstance(each, msgspec.Meta)), None)
    return (meta.extra_json_schema or {}) if meta else {}


def _of_value(schema: Mapping[str, object], value: object, where: str) -> Iterator[str]:
    match value:
        case str():
            yield from _of_text(schema, value, where)
        case int():
            yield from _of_number(schema, value, where)
        case dict():
            yield from _of_map(schema, value, where)
        case tuple() | list():
            yield from _of_list(schema, value, where)
    allowed = schema.get("enum")
    if isinstance(allowed, list) and value not in allowed:
        yield f"{where}: {value!r} is not known: write {', '.join(map(str, allowed))}"


def _of_number(schema: Mapping[str, object], value: int, where: str) -> Iterator[str]:
    least, most = cast("int | None", schema.get("minimum")), cast("int | None", schema.get("maximum"))
    if least is not None and value < least:
        yield f"{where}: {value} is too small: write {least} or more"
    if most is not None and value > most:
        yield f"{where}: {value} is too large: write {most} or less"


def _of_text(schema: Mapping[str, object], value: str, where: str) -> Iterator[str]:
    """A pattern that says nothing in words belongs to amounts, of which the rules speak."""
    longest = cast("int", schema.get("maxLength", len(value)))
    if len(value) > longest:
        yield f"{where} has {len(value)} characters: write at most {longest}"
    elif "x-write" in schema and not fits(exact_pattern(schema), value):
        yield f"{where}: write {schema['x-write']}"


def exact_pattern(schema: Mapping[str, object]) -> str:
    """The pattern that the words of *schema* are about."""
    return str(schema.get("x-pattern") or schema["pattern"])


def fits(pattern: str, text: str) -> bool:
    """Whether *text* is as the anchored *pattern* of a schema wants it: `$` is the very end there, and not here."""
    return re.fullmatch(pattern.removeprefix("^").removesuffix("$"), text) is not None


def _of_map(schema: Mapping[str, object], value: Mapping[str, object], where: str) -> Iterator[str]:
    most = cast("int | None", schema.get("maxProperties"))
    if most is not None and len(value) > most:
        yield f"{where} has {len(value)} entries: write at most {most}"
    properties = cast("Mapping[str, Mapping[str, object]]", schema.get("properties", {}))
    for name, bounds in properties.items():
        if name in value:
            yield from _of_value(bounds, value[name], f"{where}.{name}")
        elif name in cast("Sequence[str]", schema.get("required", ())):
            yield f"{where}.{name} is missing: write it"
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        for name in sorted(value):
            yield from _of_value(others, value[name], f"{where}.{name}")


def _of_list(schema: Mapping[str, object], value: Sequence[object], where: str) -> Iterator[str]:
    most = cast("int | None", schema.get("maxItems"))
    if most is not None and len(value) > most:
        yield f"{where} has {len(value)} entries: write at most {most}"
    items = cast("Mapping[str, object]", schema.get("items", {}))
    for index, each in enumerate(value):
        yield from _of_value(items, each, f"{where}[{index}]")
