"""Whether the CEL rules of a CRD make sense: what a real server refuses about the definition itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cel_expr_python import cel  # type: ignore[import-untyped]  # it has stubs but no py.typed

from localkube.errors import FieldError, invalid_value, required_value
from localkube.schema.rules import PATH, STRINGS, compiled_rule, escaped, with_times
from localkube.schema.structural import Schema

_NOTHING: Mapping[str, Any] = {}


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
        program = compiled_rule(with_times(schema, code), optional_old)
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
    for chain in PATH.findall(STRINGS.sub("''", code)):
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
