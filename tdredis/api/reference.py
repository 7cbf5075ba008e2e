"""Decides how the fields of a resource read as a page: the same descriptions that `kubectl explain` shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tdredis.api.changes import render_changes
from tdredis.api.crd import build_crds

_BOUNDS = (
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("maxLength", "at most {} characters"),
)


def render_references() -> dict[str, str]:
    """A Markdown page for each kind, and one about edits, by file name."""
    pages = {f"{crd['spec']['names']['singular']}.md": _render(crd) for crd in map(_any, build_crds())}
    return {**pages, "changes.md": render_changes()}


def _any(crd: object) -> Any:
    return crd


def _render(crd: Any) -> str:
    """A table for spec and one for status, nested fields with dots."""
    spec = crd["spec"]
    names, (version,) = spec["names"], spec["versions"]
    root = version["schema"]["openAPIV3Schema"]
    lines = [
        f"# {names['kind']}",
        "",
        "Made from the models by `make generated`; do not edit.",
        "",
        root["description"],
        "",
        f"`apiVersion: {spec['group']}/{version['name']}`, plural `{names['plural']}`,"
        f" short `{', '.join(names['shortNames'])}`, category `{', '.join(names['categories'])}`.",
    ]
    for part in ("spec", "status"):
        schema = root["properties"][part]
        lines += ["", f"## {part}", "", schema["description"], ""]
        lines += [f"- {rule['message']}" for rule in schema.get("x-kubernetes-validations", ())]
        lines += ["", "| field | type | | meaning |", "|---|---|---|---|"]
        lines += list(_rows(schema, ""))
    return "\n".join(lines) + "\n"


def _rows(schema: Any, path: str) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in sorted(schema["properties"].items(), key=lambda item: (item[0] not in required, item[0])):
        place = path + name
        needed = "required" if name in required and path == "" and "phase" not in schema["properties"] else ""
        text = " ".join([field.get("description", ""), *_bounds(field)]).replace("|", "\\|")
        yield f"| {place} | {_type(field)} | {needed} | {text} |"
        inner = field.get("items", field)
        if "properties" in inner:
            yield from _rows(inner, f"{place}{'[]' if inner is not field else ''}.")


def _values(field: Any) -> Any:
    """What bounds the values of *field*: of a list its items, of a map of texts its values."""
    others = field.get("additionalProperties", field.get("items", field))
    return field if "x-kubernetes-validations" in field else others


def _type(field: Any) -> str:
    match field.get("type", "amount"):
        case "array":
            return f"list of {_type(field['items'])}"
        case "object" if "additionalProperties" in field:
            return f"map to {_type(field['additionalProperties'])}"
        case found:
            return str(found)


def _bounds(field: Any) -> Iterator[str]:
    if "enum" in field:
        yield f"One of: {', '.join(f'`{value}`' for value in field['enum'])}."
    said = [text.format(field[name]) for name, text in _BOUNDS if name in field]
    said += [
        rule["message"] for rule in _values(field).get("x-kubernetes-validations", ()) if "properties" not in field
    ]
    if said:
        yield f"({'; '.join(said)})"
