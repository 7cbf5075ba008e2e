"""What a write must pass before it is stored: pruning, defaults, admission hooks, validation, rules; in this order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from localkube.errors import FieldError, invalid
from localkube.resources import ResourceType
from localkube.schema.builtin import kind_schema
from localkube.schema.crd import CustomResource, check_crd, complete_crd
from localkube.schema.defaults import default_built_in
from localkube.schema.limits import check_built_in, check_types
from localkube.schema.names import check_metadata
from localkube.schema.per_schema import once_per_schema
from localkube.schema.quick import certainly_fits
from localkube.schema.ratcheting import without_unchanged
from localkube.schema.resizing import check_resize
from localkube.schema.rule_checks import check_rules
from localkube.schema.rules import has_rules, rule_errors
from localkube.schema.structural import Schema, apply_defaults, prune, validate

Obj = dict[str, Any]
Admission = Callable[[Obj, Obj | None], Obj]


def schema_of(rtype: ResourceType, custom: CustomResource | None, version: str | None = None) -> Schema | None:
    if custom is not None:
        return _with_metadata(custom.versions[version or rtype.version].schema)
    return kind_schema(rtype.kind)


@once_per_schema
def _with_metadata(schema: Schema) -> Schema:
    """A custom resource's schema plus what every object has: metadata with its merge rules."""
    properties: Mapping[str, Schema] = kind_schema("ConfigMap")["properties"]
    roots = {name: properties[name] for name in ("apiVersion", "kind", "metadata")}
    return {**schema, "properties": {**(schema.get("properties") or {}), **roots}}


def without_nulls(value: Any) -> Any:
    """Built-in types know no null: it counts as absent."""
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_nulls(one) for one in value]
    return value


def admit_object(
    rtype: ResourceType,
    custom: CustomResource | None,
    new: Obj,
    old: Obj | None,
    *,
    subresource: str | None,
    admissions: Sequence[Admission],
    now: Callable[[], str],
) -> Obj:
    """The object to store. Raises ApiError 422 with all that is wrong with it."""
    if custom is not None:
        schema = custom.storage.schema
        if subresource == "status" and "status" in new:
            # Only what may change is touched: the rest of the object is the stored one.
            status_schema = _status_schema(schema)
            prune(status_schema, new["status"], root=False)
            apply_defaults(status_schema, new["status"])
        elif subresource is None:
            prune(schema, new)
            apply_defaults(schema, new)
    elif rtype.key == "customresourcedefinitions.apiextensions.k8s.io":
        if subresource is None and not (found := _crd_errors(new)):
            complete_crd(new, now(), old)
        elif subresource is None:
            raise invalid(rtype.group, rtype.kind, new["metadata"]["name"], found)
    elif subresource is None:
        default_built_in(rtype, new, old)
    for admission in admissions:
        new = admission(new, old)
    found = _errors(rtype, custom, new, old, subresource)
    if found:
        raise invalid(rtype.group, rtype.kind, new["metadata"]["name"], found)
    return new


def _status_schema(schema: Schema) -> Schema:
    known: Schema | None = (schema.get("properties") or {}).get("status")
    if known is not None:
        return known
    # A status nobody described is kept where the whole object may hold what it likes.
    keeps_all = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    return {"x-kubernetes-preserve-unknown-fields": True} if keeps_all else {}


def _errors(
    rtype: ResourceType, custom: CustomResource | None, new: Obj, old: Obj | None, subresource: str | None
) -> list[FieldError]:
    found: list[FieldError] = []
    if subresource is None:
        found += check_metadata(rtype, new["metadata"], old)
    if custom is not None:
        return found + _errors_of_custom(custom.storage.schema, new, old, subresource)
    if subresource is None:
        found += check_built_in(rtype, new, old)
    elif subresource == "resize" and old is not None:
        check_types(rtype, new, old)
        found += check_resize(new, old)
    return found


# Kinds of complaint after which a server does not ask the rules.
_BLOCKING = frozenset(
    ("FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid")
)
_NOT_ASKED = FieldError(
    "<nil>",
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing"
    " errors to complete validation",
)


def _errors_of_custom(schema: Schema, new: Obj, old: Obj | None, subresource: str | None) -> list[FieldError]:
    if subresource == "status":
        found = _structural_errors(_status_schema(schema), new.get("status", {}), old and old.get("status"))
        # Messages name the field as status has it.
        found = [replace(error, field=f"status.{error.field}") for error in found]
    else:
        bare = _no_metadata(schema)
        found = _structural_errors(bare, _without_metadata(new), old and _without_metadata(old))
    if has_rules(schema) and any(error.reason in _BLOCKING for error in found):
        return [*found, _NOT_ASKED]
    return [*found, *rule_errors(schema, new, old)]


def _without_metadata(obj: Obj) -> Obj:
    return {name: value for name, value in obj.items() if name != "metadata"}


def _structural_errors(schema: Schema, new: Any, old: Any) -> list[FieldError]:
    if certainly_fits(schema)(new):
        return []
    found = validate(schema, new)
    return found if old is None else without_unchanged(found, schema, new, old)


@once_per_schema
def _no_metadata(schema: Schema) -> Schema:
    """The CRD may restrict metadata.name only, which limits do; the rest of metadata is not the CRD's."""
    properties = schema.get("properties")
    if not properties or "metadata" not in properties:
        return schema
    left = {name: one for name, one in properties.items() if name != "metadata"}
    return {
        **schema,
        "properties": left,
        "required": [one for one in schema.get("required") or () if one != "metadata"],
    }


def _crd_errors(crd: Obj) -> list[FieldError]:
    return check_crd(crd, check_rules)
