"""What a built-in object becomes by a strategic merge patch: lists merge by key where the schema says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localkube.errors import bad_request

Schema = Mapping[str, Any]
_NOTHING: Schema = {}


def strategic_patch(schema: Schema, target: Any, patch: Any) -> Any:
    """*schema* names merge keys by x-kubernetes-patch-merge-key. Neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    merged: dict[str, Any] = dict(target) if isinstance(target, dict) else {}
    match patch.get("$patch"):
        case "replace":
            return {name: value for name, value in patch.items() if name != "$patch"}
        case "delete":
            return {}
        case None | "merge":
            pass
        case other:
            raise bad_request(f"invalid value for $patch: {other!r}")
    _merge_fields(schema, merged, patch)
    for directive, order in patch.items():
        name = directive.removeprefix("$setElementOrder/")
        if name != directive and isinstance(merged.get(name), list):
            merged[name] = _in_order(merged[name], order, _merge_key(_schema_of(schema, name)), target, name)
    keep_only = patch.get("$retainKeys")
    if keep_only is not None:
        merged = {name: value for name, value in merged.items() if name in keep_only}
    return merged


def _merge_fields(schema: Schema, merged: dict[str, Any], patch: Mapping[str, Any]) -> None:
    for name, value in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            plain = name.removeprefix("$deleteFromPrimitiveList/")
            merged[plain] = [one for one in merged.get(plain) or () if one not in value]
        elif name.startswith("$"):
            continue
        elif value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge_field(_schema_of(schema, name), merged.get(name), value)


def _schema_of(schema: Schema, name: str) -> Schema:
    found = (schema.get("properties") or _NOTHING).get(name)
    if found is None:
        extra = schema.get("additionalProperties")
        found = extra if isinstance(extra, Mapping) else _NOTHING
    return found


def _merge_key(schema: Schema) -> str | None:
    if "merge" not in (schema.get("x-kubernetes-patch-strategy") or "").split(","):
        return None
    key: str | None = schema.get("x-kubernetes-patch-merge-key")
    return key


def _merge_field(schema: Schema, target: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return strategic_patch(schema, target, value)
    if not isinstance(value, list):
        return value
    if "merge" not in (schema.get("x-kubernetes-patch-strategy") or "").split(","):
        return [one for one in value if not (isinstance(one, dict) and one.get("$patch") == "replace")]
    key = _merge_key(schema)
    before = list(target) if isinstance(target, list) else []
    if key is None:  # a list of scalars that is a set
        return before + [one for one in value if one not in before]
    if any(isinstance(one, dict) and one.get("$patch") == "replace" for one in value):
        return [one for one in value if one.get("$patch") != "replace"]
    items: Schema = schema.get("items") or _NOTHING
    for one in value:
        if not isinstance(one, dict) or key not in one:
            raise bad_request(f"map: {one} does not contain declared merge key: {key}")
        at = next((index for index, old in enumerate(before) if old.get(key) == one[key]), None)
        if one.get("$patch") == "delete":
            if at is not None:
                del before[at]
        elif at is None:
            before.append(strategic_patch(items, {}, one))
        else:
            before[at] = strategic_patch(items, before[at], one)
    return before


def _in_order(merged: list[Any], order: list[Any], key: str | None, target: Any, name: str) -> list[Any]:
    """Items as the patch orders them; those it does not name keep their place behind what they stood behind."""

    def identity(item: Any) -> Any:
        return item.get(key) if key is not None and isinstance(item, dict) else item

    wanted = [identity(one) for one in order]
    before = [identity(one) for one in (target or {}).get(name) or ()] if isinstance(target, dict) else []
    by_identity = {identity(one): one for one in merged}
    result = [by_identity[one] for one in wanted if one in by_identity]
    placed = [identity(one) for one in result]
    for one in merged:
        here = identity(one)
        if here in placed:
            continue
        ahead = before[: before.index(here)] if here in before else placed
        at = max(
            (placed.index(other) + 1 for other in ahead if other in placed),
            default=0 if here in before else len(placed),
        )
        placed.insert(at, here)
        result.insert(at, one)
    return result
