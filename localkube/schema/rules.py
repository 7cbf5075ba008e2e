"""Whether an object obeys its CRD's CEL rules (x-kubernetes-validations)."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel  # type: ignore[import-untyped]  # it has stubs but no py.typed
from cel_expr_python.ext import (  # type: ignore[import-untyped]  # as above
    ext_bindings,
    ext_encoders,
    ext_math,
    ext_optional,
    ext_strings,
)

from localkube.errors import FieldError, duplicate_value, forbidden_field, invalid_value, required_value
from localkube.schema.ratcheting import ABSENT, former_item, same
from localkube.schema.structural import Schema
from localkube.units import quantity_value

Obj = dict[str, Any]
_NOTHING: Mapping[str, Any] = {}
_RESERVED = frozenset(
    ("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
     "let", "loop", "package", "namespace", "return")
)  # fmt: skip
_OLD = re.compile(r"\boldSelf\b")
STRINGS = re.compile(r"""r?("(\\.|[^"\\])*"|'(\\.|[^'\\])*')""")
PATH = re.compile(r"\b(?:self|oldSelf)((?:\.[A-Za-z_]\w*\b(?!\s*\())+)")


# ---- the language: Google's engine, and the functions that Kubernetes adds


def _member(
    name: str, on: cel.Type, args: Sequence[cel.Type], result: cel.Type, run: Callable[..., Any]
) -> cel.FunctionDecl:
    identity = "_".join(("k8s", name, on.name(), *(one.name() for one in args)))
    overload = cel.Overload(identity, return_type=result, parameters=[on, *args], is_member=True, impl=run)
    return cel.FunctionDecl(name, [overload])


def _global(name: str, args: Sequence[cel.Type], result: cel.Type, run: Callable[..., Any]) -> cel.FunctionDecl:
    overload = cel.Overload(f"k8s_{name}", return_type=result, parameters=list(args), is_member=False, impl=run)
    return cel.FunctionDecl(name, [overload])


def _quantity(text: str) -> float:
    value = quantity_value(text)
    if value is None:
        raise ValueError(f"{text!r} is not a quantity")
    return value


def _found(text: str, pattern: str) -> str:
    match = re.search(pattern, text)
    return match.group(0) if match else ""


def _all_found(text: str, pattern: str) -> list[str]:
    return [match.group(0) for match in re.finditer(pattern, text)]


@functools.cache
def _environment() -> cel.Env:
    kinds = cel.Type
    # A quantity is a number here: what rules do with quantities is compare them.
    functions = [
        _global("quantity", [kinds.STRING], kinds.DOUBLE, _quantity),
        _global("isQuantity", [kinds.STRING], kinds.BOOL, lambda text: quantity_value(text) is not None),
        _member("isGreaterThan", kinds.DOUBLE, [kinds.DOUBLE], kinds.BOOL, lambda one, other: one > other),
        _member("isLessThan", kinds.DOUBLE, [kinds.DOUBLE], kinds.BOOL, lambda one, other: one < other),
        _member("compareTo", kinds.DOUBLE, [kinds.DOUBLE], kinds.INT, lambda one, other: (one > other) - (one < other)),
        _member("isInteger", kinds.DOUBLE, [], kinds.BOOL, lambda one: float(one).is_integer()),
        _member("asInteger", kinds.DOUBLE, [], kinds.INT, int),
        _member("asApproximateFloat", kinds.DOUBLE, [], kinds.DOUBLE, float),
        _member("find", kinds.STRING, [kinds.STRING], kinds.STRING, _found),
        _member("findAll", kinds.STRING, [kinds.STRING], kinds.LIST, _all_found),
        _member("isSorted", kinds.LIST, [], kinds.BOOL, lambda items: list(items) == sorted(items)),
        _member("sum", kinds.LIST, [], kinds.DYN, sum),
        _member("min", kinds.LIST, [], kinds.DYN, min),
        _member("max", kinds.LIST, [], kinds.DYN, max),
    ]  # fmt: skip
    names = {"self": kinds.DYN, "oldSelf": kinds.DYN, "formerSelf": kinds.DYN, "hasFormerSelf": kinds.BOOL}
    extensions = [
        ext_strings.ExtStrings(),
        ext_math.ExtMath(),
        ext_optional.ExtOptional(),
        ext_bindings.ExtBindings(),
        ext_encoders.ExtEncoders(),
    ]
    return cel.NewEnv(variables=names, extensions=extensions, functions=functions)


@dataclass(frozen=True, slots=True)
class _Rule:
    text: str
    program: cel.Expression
    uses_old: bool
    optional_old: bool
    message: str
    message_program: cel.Expression | None
    reason: str
    field_path: str


@functools.lru_cache(maxsize=4096)
def compiled_rule(text: str, optional_old: bool) -> cel.Expression:
    """Raises RuntimeError with the engine's complaint."""
    if optional_old:
        wrapped = f"cel.bind(oldSelf, hasFormerSelf ? optional.of(formerSelf) : optional.none(), {text})"
        return _environment().compile(wrapped)
    return _environment().compile(text)


_rules_at: dict[int, tuple[Schema, list[_Rule]]] = {}


def _rules_of(schema: Schema) -> list[_Rule]:
    known = _rules_at.get(id(schema))
    if known is None or known[0] is not schema:
        rules = [_parsed(schema, rule) for rule in schema.get("x-kubernetes-validations") or ()]
        known = _rules_at[id(schema)] = (schema, rules)
    return known[1]


def _parsed(schema: Schema, rule: Mapping[str, Any]) -> _Rule:
    optional_old = bool(rule.get("optionalOldSelf"))
    expression = rule.get("messageExpression")
    code = rule["rule"]
    return _Rule(
        text=code,
        program=compiled_rule(with_times(schema, code), optional_old),
        uses_old=bool(_OLD.search(STRINGS.sub("''", code))),
        optional_old=optional_old,
        message=rule.get("message") or f"failed rule: {code}",
        message_program=compiled_rule(with_times(schema, expression), optional_old) if expression else None,
        reason=rule.get("reason") or "FieldValueInvalid",
        field_path=rule.get("fieldPath") or "",
    )


_TIMES = {"date-time": "timestamp", "date": "timestamp", "duration": "duration"}


def with_times(schema: Schema, code: str) -> str:
    """*code* with each time or duration field converted where it is read: the engine takes none inside an object."""
    strings: list[str] = []

    def put_away(found: re.Match[str]) -> str:
        strings.append(found.group(0))
        return f"'{len(strings) - 1}'"

    def convert(found: re.Match[str]) -> str:
        at: Any = schema
        for name in found.group(1)[1:].split("."):
            declared = {escaped(one): sub for one, sub in (at.get("properties") or _NOTHING).items()}
            at = declared.get(name) or _NOTHING
        function = _TIMES.get(at.get("format", ""))
        asked = found.string[: found.start()].rstrip().endswith("has(")
        return f"{function}({found.group(0)})" if function and not asked else found.group(0)

    bare = PATH.sub(convert, STRINGS.sub(put_away, code))
    return re.sub(r"'(\d+)'", lambda found: strings[int(found.group(1))], bare)


# ---- checking objects


_rules_below: dict[int, tuple[Schema, bool]] = {}


def has_rules(schema: Schema) -> bool:
    known = _rules_below.get(id(schema))
    if known is None or known[0] is not schema:
        found = any(name == "x-kubernetes-validations" and rules for name, rules in schema.items()) or any(
            has_rules(sub) for sub in _sub_schemas(schema)
        )
        known = _rules_below[id(schema)] = (schema, found)
    return known[1]


def _sub_schemas(schema: Schema) -> Iterator[Schema]:
    yield from (schema.get("properties") or _NOTHING).values()
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            yield schema[name]


def rule_errors(schema: Schema, new: Obj, old: Obj | None) -> list[FieldError]:
    """What the rules of *schema* refuse about *new*; rules on changes see *old*, None at creation.

    What was so before may stay, if the rule is about more than a change.
    """
    if not has_rules(schema):
        return []
    found: list[FieldError] = []
    _check(schema, _root(new), ABSENT if old is None else _root(old), "", found, root=True)
    return found


def _root(obj: Obj) -> Obj:
    """What rules at the root may see of metadata: the name."""
    names = {name: value for name, value in obj["metadata"].items() if name in ("name", "generateName")}
    return {**obj, "metadata": names}


@dataclass(frozen=True, slots=True)
class _At:
    """Where a rule is asked: the value as it is written, as rules see it, as it was (or ABSENT); *stays*: as it was."""

    plain: Any
    value: Any
    old: Any
    path: str
    stays: bool


def _check(
    schema: Schema,
    value: Any,
    old: Any,
    path: str,
    found: list[FieldError],
    *,
    root: bool = False,
    parent_stays: bool = False,
) -> None:
    """*parent_stays*: what *value* is in is as it was, if nobody can tell that of *value* itself."""
    if not has_rules(schema) or value is None:
        return
    stays = parent_stays if old is ABSENT else same(value, old)
    rules = _rules_of(schema)
    if rules:
        shown = _shown(schema, value, root=root)
        before = ABSENT if old is ABSENT or old is None else _shown(schema, old, root=root)
        for rule in rules:
            error = _run(rule, schema, _At(value, shown, before, path, stays))
            if error is not None:
                found.append(error)
    if isinstance(value, dict):
        properties, extra = schema.get("properties") or _NOTHING, schema.get("additionalProperties")
        for name in sorted(value):
            sub = properties.get(name, extra)
            if isinstance(sub, Mapping):
                former = old.get(name, ABSENT) if isinstance(old, dict) else ABSENT
                where = f"{path}.{name}" if path else name
                _check(
                    sub,
                    value[name],
                    former,
                    where if name in properties else f"{path}[{name}]",
                    found,
                    parent_stays=stays,
                )
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for index, one in enumerate(value):
            former = former_item(schema, old, one)
            _check(schema["items"], one, former, f"{path}[{index}]", found, parent_stays=stays)


def _run(rule: _Rule, schema: Schema, at: _At) -> FieldError | None:
    data: dict[str, Any] = {"self": at.value}
    if rule.optional_old:
        data |= {"hasFormerSelf": at.old is not ABSENT, "formerSelf": None if at.old is ABSENT else at.old}
    elif rule.uses_old:
        if at.old is ABSENT:
            return None  # a rule about a change says nothing about a beginning
        data["oldSelf"] = at.old
    where = (at.path + rule.field_path if at.path else rule.field_path.lstrip(".")) or "<nil>"
    outcome = rule.program.eval(data=data)
    if outcome.type() == cel.Type.ERROR:
        kind = schema.get("type") or ""
        return invalid_value(where, kind, f"{outcome.value()} evaluating rule: {rule.message}")
    if outcome.value() is True or (at.stays and not rule.uses_old):
        return None
    return _refusal(rule, schema, at, where, data)


def _refusal(rule: _Rule, schema: Schema, at: _At, where: str, data: Mapping[str, Any]) -> FieldError:
    message = rule.message
    if rule.message_program is not None:
        said = rule.message_program.eval(data=data)
        if said.type() == cel.Type.STRING and said.value().strip() and "\n" not in said.value():
            message = said.value()
    match rule.reason:
        case "FieldValueForbidden":
            return forbidden_field(where, message)
        case "FieldValueRequired":
            return required_value(where, message)
        case "FieldValueDuplicate":
            return duplicate_value(where, at.plain)
        case _ if schema.get("type") in ("object", "array"):
            return FieldError(where, "FieldValueInvalid", f"Invalid value: {message}")
        case _:
            return invalid_value(where, at.plain, message)


def escaped(name: str) -> str | None:
    """How a property is written in a rule; None if it cannot be."""
    if name in _RESERVED:
        return f"__{name}__"
    text = (
        name.replace("__", "__underscores__").replace(".", "__dot__").replace("-", "__dash__").replace("/", "__slash__")
    )
    return text if re.fullmatch(r"[A-Za-z_]\w*", text) else None


def _celled(schema: Schema, value: Any, *, root: bool = False) -> Any:
    """A value as rules see it: names escaped, numbers and times of the schema's type, undeclared fields unseen."""
    match value:
        case dict():
            extra = schema.get("additionalProperties")
            if isinstance(extra, Mapping):
                return {name: _celled(extra, one) for name, one in value.items()}
            properties = schema.get("properties") or _NOTHING
            seen = {}
            for name, one in value.items():
                if root and name in ("apiVersion", "kind", "metadata"):
                    seen[name] = one
                elif name in properties and (text := escaped(name)) is not None:
                    seen[text] = _celled(properties[name], one)
            return seen
        case list():
            items = schema.get("items")
            return [_celled(items, one) for one in value] if isinstance(items, Mapping) else value
        case bool() | None:
            return value
        case int() | float():
            wanted = schema.get("type")
            return float(value) if wanted == "number" else int(value) if wanted == "integer" else value
    return value


def _shown(schema: Schema, value: Any, *, root: bool) -> Any:
    return _celled_text(schema.get("format"), value) if isinstance(value, str) else _celled(schema, value, root=root)


def _celled_text(form: str | None, value: str) -> Any:
    """Times and durations stay text: the engine takes no other value from Python. A rule that compares one without
    `timestamp(...)` or `duration(...)` around it ends in an error, and so in a refusal, never in a wrong answer.
    """
    return base64.b64decode(value) if form == "byte" else value
