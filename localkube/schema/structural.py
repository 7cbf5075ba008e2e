"""Whether a value fits a structural schema, what it lacks, what it has too much: validation, defaults and pruning."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from localkube.errors import (
    FieldError,
    duplicate_value,
    invalid_value,
    quote_value,
    required_value,
    unsupported_value,
    wrong_type,
)

Schema = Mapping[str, Any]
_NOTHING: Mapping[str, Any] = {}


# ---- defaults


def apply_defaults(schema: Schema, value: Any) -> Any:
    """Fills what is absent, in place. A null where none is allowed counts as absent if there is a default."""
    if isinstance(value, dict):
        properties: Mapping[str, Schema] = schema.get("properties") or _NOTHING
        for name, sub in properties.items():
            if "default" in sub and (name not in value or (value[name] is None and not sub.get("nullable"))):
                value[name] = json.loads(json.dumps(sub["default"]))
            elif name in value and value[name] is None and not sub.get("nullable") and "default" in sub:
                del value[name]
        extra = schema.get("additionalProperties")
        for name, one in value.items():
            sub_schema = properties.get(name, extra)
            if isinstance(sub_schema, Mapping):
                apply_defaults(sub_schema, one)
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for one in value:
            apply_defaults(schema["items"], one)
    return value


# ---- pruning

_EMBEDDED = ("apiVersion", "kind", "metadata")


def prune(schema: Schema, value: Any, *, root: bool = True) -> list[str]:
    """Removes what the schema does not name, in place. Returns the paths removed, like `spec.list[0].foo`."""
    removed: list[str] = []
    _prune(schema, value, "", removed, is_resource=root)
    return removed


def unknown_fields(schema: Schema, value: Any) -> list[str]:
    """The paths that `prune` would remove; the value stays as it is."""
    removed: list[str] = []
    _prune(schema, value, "", removed, is_resource=True, keep=True)
    return removed


def _prune(
    schema: Schema, value: Any, path: str, removed: list[str], *, is_resource: bool = False, keep: bool = False
) -> None:
    """*keep*: only say what is too much, metadata included, and leave it there."""
    if isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, Mapping):
            embedded = bool(items.get("x-kubernetes-embedded-resource"))
            for index, one in enumerate(value):
                _prune(items, one, f"{path}[{index}]", removed, is_resource=embedded, keep=keep)
        return
    if not isinstance(value, dict):
        return
    properties: Mapping[str, Schema] = schema.get("properties") or _NOTHING
    extra = schema.get("additionalProperties")
    keeps_all = bool(schema.get("x-kubernetes-preserve-unknown-fields")) or extra is True
    for name in list(value):
        where = f"{path}.{name}" if path else name
        sub = properties.get(name, extra)
        if is_resource and name in _EMBEDDED and not (keep and isinstance(sub, Mapping) and "properties" in sub):
            continue
        if isinstance(sub, Mapping):
            embedded = bool(sub.get("x-kubernetes-embedded-resource"))
            _prune(sub, value[name], where, removed, is_resource=embedded, keep=keep)
        elif not keeps_all:
            removed.append(where)
            if not keep:
                del value[name]


# ---- validation


def validate(schema: Schema, value: Any, path: str = "") -> list[FieldError]:
    """Every way in which *value* does not fit, in the words of a real server; in order of the fields' names."""
    found: list[FieldError] = []
    _validate(schema, value, path, found)
    return found


_TYPE_NAMES: Mapping[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
}


def type_name(value: Any) -> str:
    return _TYPE_NAMES.get(type(value), "object")


def _fits_type(wanted: str, value: Any) -> bool:
    got = type_name(value)
    if got == wanted:
        return True
    if wanted == "integer":
        return got == "number" and value.is_integer()
    return wanted == "number" and got == "integer"


_PLAIN_STRING = frozenset(("type", "nullable", "description", "default"))


def _named(path: str) -> str:
    return path or "<nil>"


def _validate(schema: Schema, value: Any, path: str, found: list[FieldError]) -> None:
    if value is None and schema.get("nullable"):
        return
    wanted = schema.get("type")
    if wanted == "string" and type(value) is str and schema.keys() <= _PLAIN_STRING:
        return  # most values of most objects: nothing more can be wrong with them
    # Whatever its type should be, a value is held to all that is said of the type that it has.
    if schema.get("x-kubernetes-int-or-string"):
        if not (_fits_type("integer", value) or isinstance(value, str)):
            got = type_name(value)
            found.append(wrong_type(path, got, f'{path} in body must be of type integer,string: "{got}"'))
    elif wanted and not _fits_type(wanted, value):
        found.extend(_wrong_types(wanted, schema.get("format"), value, path))
    match value:
        case dict():
            _validate_object(schema, value, path, found)
        case list():
            _validate_list(schema, value, path, found)
        case str():
            _validate_string(schema, value, path, found)
        case bool() | None:
            pass
        case int() | float():
            _validate_number(schema, value, path, found)
    enum = schema.get("enum")
    if enum is not None and not any(value == one and type(value) is type(one) for one in enum):
        found.append(unsupported_value(path, value, enum))
    _validate_combinations(schema, value, path, found)


def _wrong_types(wanted: str, form: str | None, value: Any, path: str) -> Iterator[FieldError]:
    """In the words of a real server, which speaks of Go's types where a number has a format."""
    got = type_name(value)
    if wanted == "integer" and form is not None and isinstance(value, float):
        why = f"Checked value must be of type integer with format {form} in {path}"
        yield FieldError("<nil>", "FieldValueInvalid", f'Invalid value: "": {why}')
    if form is not None and got in ("number", "boolean"):
        wanted, got = form, "float64" if got == "number" else ""
    yield wrong_type(_named(path), got, f'{path} in body must be of type {wanted}: "{got}"')


def _validate_object(schema: Schema, value: dict[str, Any], path: str, found: list[FieldError]) -> None:
    properties: Mapping[str, Schema] = schema.get("properties") or _NOTHING
    extra = schema.get("additionalProperties")
    found.extend(
        required_value(f"{path}.{name}" if path else name) for name in schema.get("required") or () if name not in value
    )
    limit, least = schema.get("maxProperties"), schema.get("minProperties")
    if limit is not None and len(value) > limit:
        found.append(_too_many(path, len(value), limit))
    if least is not None and len(value) < least:
        found.append(invalid_value(path, len(value), f"{path} in body should have at least {least} properties"))
    for name in sorted(value):
        sub = properties.get(name, extra)
        if isinstance(sub, dict):
            _validate(sub, value[name], f"{path}.{name}" if path else name, found)


def _too_many(path: str, got: int, limit: int) -> FieldError:
    return FieldError(path, "FieldValueTooMany", f"Too many: {got}: must have at most {limit} items")


def _validate_list(schema: Schema, value: list[Any], path: str, found: list[FieldError]) -> None:
    limit, least = schema.get("maxItems"), schema.get("minItems")
    if limit is not None and len(value) > limit:
        found.append(_too_many(path, len(value), limit))
    if least is not None and len(value) < least:
        found.append(invalid_value(path, len(value), f"{path} in body should have at least {least} items"))
    items = schema.get("items")
    if isinstance(items, dict):
        for index, one in enumerate(value):
            _validate(items, one, f"{path}[{index}]", found)
    found.extend(_duplicates(schema, value, path))


def _duplicates(schema: Schema, value: Sequence[Any], path: str) -> list[FieldError]:
    """Lists that are sets, or maps by key, hold each item once."""
    found: list[FieldError] = []
    seen: set[str] = set()
    match schema.get("x-kubernetes-list-type"):
        case "set":
            keys: Sequence[str] | None = None
        case "map":
            keys = schema.get("x-kubernetes-list-map-keys") or ()
        case _:
            return found
    for index, one in enumerate(value):
        if keys is None:
            identity = one
        elif isinstance(one, dict):
            identity = {key: one[key] for key in keys if key in one}
        else:
            continue
        text = json.dumps(identity, sort_keys=True)
        if text in seen:
            found.append(duplicate_value(f"{path}[{index}]", identity))
        seen.add(text)
    return found


def _validate_string(schema: Schema, value: str, path: str, found: list[FieldError]) -> None:
    limit, least = schema.get("maxLength"), schema.get("minLength")
    pattern, form = schema.get("pattern"), schema.get("format")
    # Of length and pattern the first complaint is the only one.
    if limit is not None and len(value) > limit:
        found.append(FieldError(path, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes"))
    elif least is not None and len(value) < least:
        found.append(invalid_value(path, value, f"{path} in body should be at least {least} chars long"))
    elif pattern is not None and not compiled(pattern).search(value):
        found.append(invalid_value(path, value, f"{path} in body should match '{pattern}'"))
    if form is not None and not fits_format(form, value):
        found.append(wrong_type(path, value, f"{path} in body must be of type {form}: {quote_value(value)}"))


@functools.lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    # RE2's `$` and `\z` mean the very end; Python's `$` would also accept a trailing newline. RE2's \d, \w and \s are
    # ASCII's.
    return re.compile(re.sub(r"(?<!\\)\$(?=$|[|)])", r"\\Z", pattern).replace("\\z", "\\Z"), re.ASCII)


@functools.lru_cache(maxsize=4096)
def fits_format(wanted: str, value: str) -> bool:
    # Remembered: the times in an object are asked about on each of its writes, and most objects of a moment share them.
    try:
        match wanted:
            case "date-time":
                return len(value) >= 20 and datetime.datetime.fromisoformat(value).tzinfo is not None
            case "date":
                datetime.date.fromisoformat(value)
            case "ipv4":
                ipaddress.IPv4Address(value)
            case "ipv6":
                ipaddress.IPv6Address(value)
            case "cidr":
                ipaddress.ip_network(value, strict=False)
            case "uuid":
                return bool(re.fullmatch(r"(?i)[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", value))
            case "duration":
                return bool(re.fullmatch(r"-?([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+|0", value))
            case _:
                return True  # a real server, too, ignores formats it does not know
    except ValueError:
        return False
    return True


def _validate_number(schema: Schema, value: float, path: str, found: list[FieldError]) -> None:
    least, limit, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if least is not None:
        if schema.get("exclusiveMinimum") and value <= least:
            found.append(invalid_value(path, value, f"{path} in body should be greater than {least}"))
        elif value < least:
            found.append(invalid_value(path, value, f"{path} in body should be greater than or equal to {least}"))
    if limit is not None:
        if schema.get("exclusiveMaximum") and value >= limit:
            found.append(invalid_value(path, value, f"{path} in body should be less than {limit}"))
        elif value > limit:
            found.append(invalid_value(path, value, f"{path} in body should be less than or equal to {limit}"))
    if step and value % step:
        found.append(invalid_value(path, value, f"{path} in body should be a multiple of {step}"))
    bits = {"int32": 31, "int64": 63}.get(schema.get("format") or "")
    if bits and not -(2**bits) <= value < 2**bits:
        found.append(invalid_value(path, value, f"{path} in body must be of type {schema['format']}"))


_COMBINATIONS = frozenset(("allOf", "anyOf", "oneOf", "not"))


def _shortest(attempts: list[list[FieldError]]) -> list[FieldError]:
    return min(attempts, key=len)


def _validate_combinations(schema: Schema, value: Any, path: str, found: list[FieldError]) -> None:
    if schema.keys().isdisjoint(_COMBINATIONS):
        return
    every, some, one_of = schema.get("allOf"), schema.get("anyOf"), schema.get("oneOf")
    for one in every or ():
        _validate(one, value, path, found)
    # The words are those of the real server, which names no value here.
    if some and not schema.get("x-kubernetes-int-or-string"):
        attempts = [validate(one, value, path) for one in some]
        if all(attempts):
            found.extend(_shortest(attempts))
            found.append(invalid_value(_named(path), "", f'"{path}" must validate at least one schema (anyOf)'))
    if one_of:
        attempts = [validate(one, value, path) for one in one_of]
        fitting = sum(1 for one in attempts if not one)
        if fitting == 0:
            found.extend(_shortest(attempts))
            why = f'"{path}" must validate one and only one schema (oneOf). Found none valid'
            found.append(invalid_value(_named(path), "", why))
        elif fitting > 1:
            why = f'"{path}" must validate one and only one schema (oneOf). Found {fitting} valid alternatives'
            found.append(invalid_value(_named(path), "", why))
    if "not" in schema and not validate(schema["not"], value, path):
        found.append(invalid_value(_named(path), "", f'"{path}" must not validate the schema (not)'))
