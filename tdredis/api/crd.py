"""Decides what the API server knows of our resources: the CRDs, made of the models so that the two cannot disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec
import yaml

from tdredis.api.fields import GROUP, VERSION, wire_name
from tdredis.api.instance import Instance
from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.kinds import KINDS, PLURALS, SHORT_NAMES
from tdredis.api.rules import NAME_RULES, VOLUMES_DO_NOT_SHRINK, Rule, rules_of
from tdredis.api.validation import exact_pattern, schema_of

_SCALARS: Final[dict[object, JSONObject]] = {
    str: {"type": "string"},
    int: {"type": "integer", "format": "int64"},
    bool: {"type": "boolean"},
}

_PRIMARY: Final[JSONObject] = {"name": "Primary", "type": "string", "jsonPath": ".status.shards[0].primary"}
_SIZE: Final[JSONObject] = {"name": "Size", "type": "integer", "jsonPath": ".status.size"}
OWN_COLUMNS: Final[dict[str, tuple[JSONObject, ...]]] = {
    "RedisCluster": (_SIZE,),
    "RedisStandby": (_PRIMARY,),
    "RedisStandalone": (),
}


def build_crds() -> list[JSONObject]:
    """Every CustomResourceDefinition, ready to apply."""
    return [_build_crd(kind) for kind in KINDS.values()]


def _build_crd(kind: type[Instance]) -> JSONObject:
    hints = get_type_hints(kind)
    spec = _object_schema(hints["spec"], "What the owner wants.")
    status = _object_schema(hints["status"], "The instance as it is.")
    status.pop("required", None)
    root: JSONObject = {
        "type": "object",
        "description": _summary(kind),
        "required": ["spec"],
        "x-kubernetes-validations": _written((*NAME_RULES, VOLUMES_DO_NOT_SHRINK)),
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of this schema."},
            "kind": {"type": "string", "description": "Kind of this object."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }
    plural = PLURALS[kind.KIND]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.KIND,
                "listKind": f"{kind.KIND}List",
                "plural": plural,
                "singular": kind.KIND.lower(),
                "shortNames": [SHORT_NAMES[kind.KIND]],
                "categories": ["redis"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(kind),
                    "schema": {"openAPIV3Schema": root},
                }
            ],
        },
    }


class _PlainDumper(yaml.SafeDumper):
    """Without anchors: a rule that two kinds share is written out for both."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 PyYAML's signature
        return True


def render_crds() -> str:
    """The CRDs as one YAML text."""
    dumped = (yaml.dump(crd, Dumper=_PlainDumper, sort_keys=False, width=120) for crd in build_crds())
    return "".join(f"---\n{text}" for text in dumped)


def _columns(kind: type[Instance]) -> list[JSON]:
    return [
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        *OWN_COLUMNS[kind.KIND],
        {"name": "Capacity", "type": "integer", "jsonPath": ".status.capacity"},
        {"name": "Address", "type": "string", "jsonPath": ".status.clusterIP"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]


def _object_schema(type_: type[msgspec.Struct], description: str) -> JSONObject:
    hints = get_type_hints(type_, include_extras=True)
    required = [field.encode_name for field in msgspec.structs.fields(type_) if field.required]
    schema: JSONObject = {
        "type": "object",
        **({"description": description} if description else {}),
        "properties": {
            wire_name(attribute): _with_rules(_schema(hint), rules_of(type_, attribute))
            for attribute, hint in hints.items()
        },
    }
    if required:
        schema["required"] = list(required)
    return _with_rules(schema, rules_of(type_, ""))


def _schema(hint: Any) -> JSONObject:
    extra = schema_of(hint)
    description = ""
    if get_origin(hint) is Annotated:
        hint, *metas = get_args(hint)
        meta = next(each for each in metas if isinstance(each, msgspec.Meta))
        description = meta.description or ""
    schema = _plain_schema(hint, description)
    if schema["type"] == "array" and extra.get("x-kubernetes-preserve-unknown-fields"):
        schema["items"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        extra = {name: value for name, value in extra.items() if name != "x-kubernetes-preserve-unknown-fields"}
    # Strings first decide what they are, then what they may be.
    return {**schema, **({"description": description} if description else {}), **_in_words(extra)}


def _in_words(bounds: Mapping[str, Any]) -> JSONObject:
    """*bounds* as the CRD has them: a server quotes a pattern that does not match, and a rule adds what to write."""
    schema: JSONObject = {name: value for name, value in bounds.items() if name not in ("x-write", "x-pattern")}
    for name in ("additionalProperties", "items"):
        if isinstance(others := schema.get(name), dict):
            schema[name] = _in_words(others)
    if isinstance(properties := schema.get("properties"), dict):
        schema["properties"] = {name: _in_words(each) for name, each in properties.items() if isinstance(each, dict)}
    if "x-write" not in bounds:
        return schema
    pattern = _escaped(exact_pattern(bounds))
    words = Rule(cel=f"self.matches('{pattern}')", message=f"write {bounds['x-write']}", holds=None)
    return _with_rules(schema, (words,))


def _escaped(pattern: str) -> str:
    """*pattern* between the quotes of CEL."""
    return pattern.replace("\\", "\\\\").replace("'", "\\'")


def _with_rules(schema: JSONObject, rules: Sequence[Rule]) -> JSONObject:
    rules = [rule for rule in rules if rule.cel]
    if not rules:
        return schema
    before = schema.get("x-kubernetes-validations")
    return {**schema, "x-kubernetes-validations": [*(before if isinstance(before, list) else ()), *_written(rules)]}


def _written(rules: Sequence[Rule]) -> list[JSON]:
    return [{"rule": rule.cel, "message": rule.message} for rule in rules]


def _plain_schema(hint: Any, description: str) -> JSONObject:
    if hint in _SCALARS:
        return dict(_SCALARS[hint])
    if isinstance(hint, UnionType):  # X | None: absent is a value of its own
        (present,) = (each for each in get_args(hint) if each is not type(None))
        return _plain_schema(present, description)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _object_schema(hint, description)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is dict and arguments[1] is Any:
        return {"type": "object"}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    raise TypeError(f"no schema for {hint!r}")


def _summary(type_: type) -> str:
    return (type_.__doc__ or "").strip().splitlines()[0]
