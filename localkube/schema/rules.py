"""Whether an object obeys its CRD's CEL rules (x-kubernetes-validations), and whether the rules make sense."""

from __future__ import annotations

import base64
import functools
import json
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
from localkube.schema.structural import Schema
from localkube.units import quantity_value

Obj = dict[str, Any]
_NOTHING: Mapping[str, Any] = {}
_RESERVED = frozenset(
    ("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
     "let", "loop", "package", "namespace", "return")
)  # fmt: skip
_OLD = re.compile(r"\boldSelf\b")
_STRINGS = re.compile(r"""r?("(\\.|[^"\\])*"|'(\\.|[^'\\])*')""")
_PATH = re.compile(r"\b(?:self|oldSelf)((?:\.[A-Za-z_]\w*\b(?!\s*\())+)")
ABSENT = object()


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
def _compiled(text: str, optional_old: bool) -> cel.Expression:
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
        program=_compiled(_with_times(schema, code), optional_old),
        uses_old=bool(_OLD.search(_STRINGS.sub("''", code))),
        optional_old=optional_old,
        message=rule.get("message") or f"failed rule: {code}",
        message_program=_compiled(_with_times(schema, expression), optional_old) if expression else None,
        reason=rule.get("reason") or "FieldValueInvalid",
        field_path=rule.get("fieldPath") or "",
    )


_TIMES = {"date-time": "timestamp", "date": "timestamp", "duration": "duration"}


def _with_times(schema: Schema, code: str) -> str:
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

    bare = _PATH.sub(convert, _STRINGS.sub(put_away, code))
    return re.sub(r"'(\d+)'", lambda found: strings[int(found.group(1))], bare)


# ---- checking objects


_rules_below: dict[int, tuple[Schema, bool]] = {}


def _has_rules(schema: Schema) -> bool:
    known = _rules_below.get(id(schema))
    if known is None or known[0] is not schema:
        found = any(name == "x-kubernetes-validations" and rules for name, rules in schema.items()) or any(
            _has_rules(sub) for sub in _sub_schemas(schema)
        )
        known = _rules_below[id(schema)] = (schema, found)
    return known[1]


def _sub_schemas(schema: Schema) -> Iterator[Schema]:
    yield from (schema.get("properties") or _NOTHING).values()
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            yield schema[name]


def rule_errors(schema: Schema, new: Obj, old: Obj | None) -> list[FieldError]:
    """What the rules of *schema* refuse about *new*; rules on changes see *old*, None at creation."""
    if not _has_rules(schema):
        return []
    found: list[FieldError] = []
    _check(schema, _root(new), ABSENT if old is None else _root(old), "", found, root=True)
    return found


def _root(obj: Obj) -> Obj:
    """What rules at the root may see of metadata: the name."""
    names = {name: value for name, value in obj["metadata"].items() if name in ("name", "generateName")}
    return {**obj, "metadata": names}


def _check(schema: Schema, value: Any, old: Any, path: str, found: list[FieldError], *, root: bool = False) -> None:
    if not _has_rules(schema) or value is None:
        return
    rules = _rules_of(schema)
    if rules:
        shown = _shown(schema, value, root=root)
        before = ABSENT if old is ABSENT or old is None else _shown(schema, old, root=root)
        for rule in rules:
            error = _run(rule, schema, shown, before, path)
            if error is not None:
                found.append(error)
    if isinstance(value, dict):
        extra = schema.get("additionalProperties")
        for name in sorted(value):
            sub = (schema.get("properties") or _NOTHING).get(name, extra)
            if isinstance(sub, Mapping):
                former = old.get(name, ABSENT) if isinstance(old, dict) else ABSENT
                _check(sub, value[name], former, f"{path}.{name}" if path else name, found)
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        formers = _formers(schema, old)
        for index, one in enumerate(value):
            _check(schema["items"], one, formers(one), f"{path}[{index}]", found)


def _formers(schema: Schema, old: Any) -> Callable[[Any], Any]:
    """Only items of a list that is a map by key can be told apart, and so have a former self."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if schema.get("x-kubernetes-list-type") != "map" or not keys or not isinstance(old, list):
        return lambda _: ABSENT
    by_key = {json.dumps([one.get(key) for key in keys]): one for one in old if isinstance(one, dict)}
    return lambda one: by_key.get(json.dumps([one.get(key) for key in keys]), ABSENT)


def _run(rule: _Rule, schema: Schema, value: Any, old: Any, path: str) -> FieldError | None:
    data: dict[str, Any] = {"self": value}
    if rule.optional_old:
        data |= {"hasFormerSelf": old is not ABSENT, "formerSelf": None if old is ABSENT else old}
    elif rule.uses_old:
        if old is ABSENT:
            return None  # a rule about a change says nothing about a beginning
        data["oldSelf"] = old
    where = path + rule.field_path if path else rule.field_path.lstrip(".")
    kind = schema.get("type") or "object"
    outcome = rule.program.eval(data=data)
    if outcome.type() == cel.Type.ERROR:
        return invalid_value(where or "<nil>", kind, f"{outcome.value()} evaluating rule: {rule.message}")
    if outcome.value() is True:
        return None
    message = rule.message
    if rule.message_program is not None:
        said = rule.message_program.eval(data=data)
        if said.type() == cel.Type.STRING and said.value().strip() and "\n" not in said.value():
            message = said.value()
    match rule.reason:
        case "FieldValueForbidden":
            return forbidden_field(where or "<nil>", message)
        case "FieldValueRequired":
            return required_value(where or "<nil>", message)
        case "FieldValueDuplicate":
            return duplicate_value(where or "<nil>", kind)
        case _:
            return invalid_value(where or "<nil>", kind, message)


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


# ---- checking rules


def check_rules(schema: Schema, path: str) -> list[FieldError]:
    """What a real server refuses about a definition's rules: code that does not compile, fields that do not exist."""
    return _check_rules(schema, path, root=True)


def _check_rules(schema: Schema, path: str, *, root: bool = False) -> list[FieldError]:
    found: list[FieldError] = []
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        where = f"{path}.x-kubernetes-validations[{index}]"
        code, optional = rule.get("rule"), bool(rule.get("optionalOldSelf"))
        if not code:
            found.append(required_value(f"{where}.rule", "rule is not specified"))
            continue
        for name, text, wanted in (
            ("rule", code, cel.Type.BOOL),
            ("messageExpression", rule.get("messageExpression"), cel.Type.STRING),
        ):
            if text:
                found += _check_code(schema, text, wanted, f"{where}.{name}", optional_old=optional, root=root)
    for name, one in sorted((schema.get("properties") or _NOTHING).items()):
        if isinstance(one, Mapping):
            found += _check_rules(one, f"{path}.properties[{name}]")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            found += _check_rules(schema[name], f"{path}.{name}")
    return found


def _check_code(
    schema: Schema, code: str, wanted: cel.Type, where: str, *, optional_old: bool, root: bool
) -> list[FieldError]:
    try:
        program = _compiled(_with_times(schema, code), optional_old)
    except RuntimeError as error:
        complaint = str(error).removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")
        return [invalid_value(where, code, f"compilation failed: {complaint}")]
    if program.return_type() not in (wanted, cel.Type.DYN):
        return [invalid_value(where, code, f"must evaluate to a {wanted.name()}")]
    undefined = _undefined_field(schema, code, root)
    if undefined:
        return [invalid_value(where, code, f"compilation failed: ERROR: undefined field '{undefined}'")]
    return []


def _undefined_field(schema: Schema, code: str, root: bool) -> str | None:
    """The first field of a `self.a.b` chain that the schema does not declare: the engine sees dynamic values only."""
    for chain in _PATH.findall(_STRINGS.sub("''", code)):
        at: Any = schema
        names = chain[1:].split(".")
        if root and names[0] in ("metadata", "apiVersion", "kind"):
            continue
        for name in names:
            if (
                not isinstance(at, Mapping)
                or at.get("type") != "object"
                or isinstance(at.get("additionalProperties"), Mapping)
            ):
                break
            declared = {escaped(one): sub for one, sub in (at.get("properties") or _NOTHING).items()}
            if name not in declared:
                return str(name)
            at = declared[name]
    return None
