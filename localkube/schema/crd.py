"""What a CustomResourceDefinition means: the resource it adds, the schema of each version, what a bad one is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localkube.errors import FieldError, forbidden_field, invalid_value, required_value, unsupported_value
from localkube.resources import ResourceType
from localkube.schema.structural import Schema

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
# What a custom resource without a schema of its own may hold: anything.
ANYTHING: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@dataclass(frozen=True, slots=True)
class ScalePaths:
    spec_replicas: str
    status_replicas: str
    label_selector: str | None


@dataclass(frozen=True, slots=True)
class CustomVersion:
    name: str
    schema: Schema
    columns: Sequence[Mapping[str, Any]]
    has_status: bool
    scale: ScalePaths | None
    served: bool
    deprecation: str | None  # the warning that each request for this version gets


@dataclass(frozen=True, slots=True)
class CustomResource:
    rtype: ResourceType
    crd: str  # the name of its CustomResourceDefinition
    versions: Mapping[str, CustomVersion]
    terminating: bool

    @property
    def storage(self) -> CustomVersion:
        return self.versions[self.rtype.version]


def parse_crd(crd: Mapping[str, Any]) -> CustomResource:
    spec, names = crd["spec"], crd["spec"]["names"]
    versions = {one["name"]: _parse_version(one, names["kind"]) for one in spec["versions"]}
    storage = next(one["name"] for one in spec["versions"] if one.get("storage"))
    served = sorted((name for name, one in versions.items() if one.served), key=version_priority)
    subresources = [
        *(["status"] if versions[storage].has_status else []),
        *(["scale"] if versions[storage].scale else []),
    ]
    rtype = ResourceType(
        group=spec["group"],
        version=storage,
        plural=names["plural"],
        kind=names["kind"],
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(subresources),
        versions=tuple(served),
        custom=True,
    )
    return CustomResource(rtype, crd["metadata"]["name"], versions, "deletionTimestamp" in crd["metadata"])


def _parse_version(version: Mapping[str, Any], kind: str) -> CustomVersion:
    subresources = version.get("subresources") or {}
    scale = subresources.get("scale")
    deprecation = None
    if version.get("deprecated"):
        deprecation = version.get("deprecationWarning") or f"{version['name']} {kind} is deprecated"
    return CustomVersion(
        name=version["name"],
        schema=(version.get("schema") or {}).get("openAPIV3Schema") or ANYTHING,
        columns=tuple(version.get("additionalPrinterColumns") or ()),
        has_status="status" in subresources,
        scale=ScalePaths(scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath"))
        if scale
        else None,
        served=bool(version.get("served")),
        deprecation=deprecation,
    )


def version_priority(version: str) -> tuple[int, int, int, str]:
    """Sort key: v2 before v1 before v1beta2 before v1beta1 before v1alpha1 before foo."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if not found:
        return (3, 0, 0, version)
    major, level, minor = found.groups()
    return ({None: 0, "beta": 1, "alpha": 2}[level], -int(major), -int(minor or 0), "")


def complete_crd(crd: dict[str, Any], now: str, old: Mapping[str, Any] | None) -> None:
    """Fills what the server fills in, in place: names, conversion, finalizer, status with Established."""
    spec = crd["spec"]
    names = spec["names"]
    for version in spec["versions"]:
        if schema := (version.get("schema") or {}).get("openAPIV3Schema"):
            _leave_out_empty(schema)
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", f"{names['kind']}List")
    spec.setdefault("conversion", {"strategy": "None"})
    if "deletionTimestamp" in crd["metadata"]:
        return
    finalizers = crd["metadata"].setdefault("finalizers", [])
    if CLEANUP_FINALIZER not in finalizers:
        finalizers.append(CLEANUP_FINALIZER)
    storage = next((one["name"] for one in spec["versions"] if one.get("storage")), None)
    before = (old or {}).get("status") or {}
    stored = list(before.get("storedVersions") or ())
    if storage not in stored:
        stored.append(storage)
    conditions = before.get("conditions") or [
        {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": now,
        }
        for kind, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    crd["status"] = {"conditions": conditions, "acceptedNames": dict(names), "storedVersions": stored}


# fmt: off
_LEFT_OUT_WHEN_EMPTY = frozenset({
    "$ref", "$schema", "allOf", "anyOf", "definitions", "dependencies", "description", "enum", "exclusiveMaximum",
    "exclusiveMinimum", "format", "id", "nullable", "oneOf", "pattern", "patternProperties", "properties",
    "required", "title", "type", "uniqueItems", "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys", "x-kubernetes-validations",
})
# fmt: on


def _leave_out_empty(schema: dict[str, Any]) -> None:
    """A server decodes a schema into a structure, and writes it without what is empty there, whatever it was given. So
    who applies an empty word anew asks for a change each time.

    Source: JSONSchemaProps of k8s.io/apiextensions-apiserver v1, fields with omitempty that are no pointers.
    """
    for name in _LEFT_OUT_WHEN_EMPTY.intersection(schema):
        if not schema[name]:
            del schema[name]
    for name in ("properties", "patternProperties", "definitions"):
        for part in (schema.get(name) or {}).values():
            _leave_out_empty(part)
    for name in ("items", "additionalProperties", "not"):
        if isinstance(part := schema.get(name), dict):
            _leave_out_empty(part)
    for name in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(name) or ():
            _leave_out_empty(part)


_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
RuleCheck = Callable[[Schema, str], list[FieldError]]


def check_crd(crd: Mapping[str, Any], check_rules: RuleCheck) -> list[FieldError]:
    """What a real server would refuse about the definition itself."""
    spec = crd.get("spec")
    if not isinstance(spec, dict):
        return [required_value("spec")]
    found = [required_value(f"spec.{name}") for name in ("group", "names", "scope", "versions") if not spec.get(name)]
    if found:
        return found
    names = spec["names"]
    found += [required_value(f"spec.names.{name}") for name in ("plural", "kind") if not names.get(name)]
    if found:
        return found
    if spec["scope"] not in ("Cluster", "Namespaced"):
        found.append(unsupported_value("spec.scope", spec["scope"], ("Cluster", "Namespaced")))
    wanted = f"{names['plural']}.{spec['group']}"
    if crd["metadata"].get("name") != wanted:
        found.append(
            invalid_value("metadata.name", crd["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group')
        )
    strategy = (spec.get("conversion") or {}).get("strategy", "None")
    if strategy != "None":
        found.append(unsupported_value("spec.conversion.strategy", strategy, ("None",)))
    if sum(1 for one in spec["versions"] if one.get("storage")) != 1:
        found.append(
            invalid_value("spec.versions", spec["versions"], "must have exactly one version marked as storage version")
        )
    for index, version in enumerate(spec["versions"]):
        where = f"spec.versions[{index}]"
        found += [required_value(f"{where}.{name}") for name in ("name", "served", "storage") if name not in version]
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            found.append(required_value(f"{where}.schema.openAPIV3Schema", "schemas are required"))
        else:
            found += _check_structural(schema, f"{where}.schema.openAPIV3Schema", root=True)
            found += check_rules(schema, f"{where}.schema.openAPIV3Schema")
    return found


_TYPES = ("object", "array", "string", "integer", "number", "boolean")


def _check_forbidden(schema: Schema, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        found.append(forbidden_field(f"{path}.uniqueItems", why))
    if "properties" in schema and schema.get("additionalProperties") is not None:
        why = "additionalProperties and properties are mutual exclusive"
        found.append(forbidden_field(f"{path}.additionalProperties", why))
    if "$ref" in schema:
        found.append(forbidden_field(f"{path}.$ref", "$ref is not supported"))
    return found


def _check_structural(schema: Any, path: str, *, root: bool = False) -> list[FieldError]:
    if not isinstance(schema, Mapping):
        return [invalid_value(path, schema, "must be a schema")]
    found: list[FieldError] = []
    kind = schema.get("type")
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string")
    if root and kind != "object":
        found.append(invalid_value(f"{path}.type", kind, "must be object at the root"))
    elif not kind and not free:
        found.append(required_value(f"{path}.type", "must not be empty for specified object fields"))
    elif kind and kind not in _TYPES:
        found.append(unsupported_value(f"{path}.type", kind, _TYPES))
    found += _check_forbidden(schema, path)
    if kind == "array" and "items" not in schema:
        found.append(required_value(f"{path}.items", "must be specified"))
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    if schema.get("x-kubernetes-list-type") == "map" and not keys:
        found.append(required_value(f"{path}.x-kubernetes-list-map-keys", "must be specified for map lists"))
    for name, one in sorted((schema.get("properties") or {}).items()):
        if not (root and name in ("apiVersion", "kind", "metadata")):
            found += _check_structural(one, f"{path}.properties[{name}]")
    if isinstance(schema.get("items"), Mapping):
        found += _check_structural(schema["items"], f"{path}.items")
    if isinstance(schema.get("additionalProperties"), Mapping):
        found += _check_structural(schema["additionalProperties"], f"{path}.additionalProperties")
    return found
