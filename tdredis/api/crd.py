"""Decides what the API server knows of our resources: the CRDs, made of the models so that the two cannot disagree."""

from __future__ import annotations

from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec
import yaml

from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.rediscluster import (
    GROUP,
    KIND,
    VERSION,
    RedisCluster,
    RedisClusterSpec,
    RedisClusterStatus,
    wire_name,
)
from tdredis.api.validation import (
    LEAST_SHARD_MIB,
    LINE_BREAK_SENTENCE,
    LONGEST_NAME,
    NAME_PATTERN,
    NAME_SENTENCE,
    PROXY_IMAGE_SENTENCE,
    schema_of,
)

_SCALARS: Final[dict[object, JSONObject]] = {
    str: {"type": "string"},
    int: {"type": "integer", "format": "int64"},
    bool: {"type": "boolean"},
}

CAPACITY_RULE: Final[JSONObject] = {
    "rule": f"!has(self.capacity) || self.capacity == 0 || self.capacity >= {LEAST_SHARD_MIB} * self.size",
    "message": f"capacity is too small for its shards: write {LEAST_SHARD_MIB} MiB or more for each, or leave it out",
    "messageExpression": (
        f"'capacity is too small for ' + string(self.size) + ' shards: write ' + string({LEAST_SHARD_MIB} * self.size)"
        f" + ' or more ({LEAST_SHARD_MIB} MiB each), or leave it out for no limit'"
    ),
}
NAME_RULE: Final[JSONObject] = {
    "rule": f"size(self.metadata.name) <= {LONGEST_NAME}",
    "message": (
        f"metadata.name is too long: write at most {LONGEST_NAME} characters,"
        " the names of its pods and their labels are made of it"
    ),
}

NAME_SHAPE_RULE: Final[JSONObject] = {
    "rule": f"self.metadata.name.matches('^{NAME_PATTERN}$')",
    "message": f"metadata.name: {NAME_SENTENCE}",
}
PROXY_IMAGE_RULE: Final[JSONObject] = {
    "rule": "size(self.proxyimage) > 0 || (has(self.proxy) && has(self.proxy.enabled) && !self.proxy.enabled)",
    "message": PROXY_IMAGE_SENTENCE,
}
# On spec, not on the fields: a refusal quotes the value of the field that it is about.
PASSWORD_RULE: Final[JSONObject] = {
    "rule": "!self.proxysecret.contains('\\n') && (!has(self.secret) || !self.secret.contains('\\n'))",
    "message": LINE_BREAK_SENTENCE,
}


def build_crds() -> list[JSONObject]:
    """Every CustomResourceDefinition, ready to apply."""
    spec = _object_schema(RedisClusterSpec, "What the owner wants.")
    spec["x-kubernetes-validations"] = [CAPACITY_RULE, PROXY_IMAGE_RULE, PASSWORD_RULE]
    status = _object_schema(RedisClusterStatus, "The cluster as it is.")
    status.pop("required", None)
    root: JSONObject = {
        "type": "object",
        "description": _summary(RedisCluster),
        "required": ["spec"],
        "x-kubernetes-validations": [NAME_RULE, NAME_SHAPE_RULE],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of this schema."},
            "kind": {"type": "string", "description": "Kind of this object."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }
    return [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"redisclusters.{GROUP}"},
            "spec": {
                "group": GROUP,
                "names": {
                    "kind": KIND,
                    "listKind": f"{KIND}List",
                    "plural": "redisclusters",
                    "singular": "rediscluster",
                    "shortNames": ["rdc"],
                    "categories": ["redis"],
                },
                "scope": "Namespaced",
                "versions": [
                    {
                        "name": VERSION,
                        "served": True,
                        "storage": True,
                        "subresources": {"status": {}},
                        "additionalPrinterColumns": _columns(),
                        "schema": {"openAPIV3Schema": root},
                    }
                ],
            },
        }
    ]


def render_crds() -> str:
    """The CRDs as one YAML text."""
    return "".join("---\n" + yaml.safe_dump(crd, sort_keys=False, width=120) for crd in build_crds())


def _columns() -> list[JSON]:
    return [
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "Size", "type": "integer", "jsonPath": ".status.size"},
        {"name": "Capacity", "type": "integer", "jsonPath": ".status.capacity"},
        {"name": "Address", "type": "string", "jsonPath": ".status.clusterIP"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]


def _object_schema(type_: type[msgspec.Struct], description: str) -> JSONObject:
    hints = get_type_hints(type_, include_extras=True)
    required = [field.encode_name for field in msgspec.structs.fields(type_) if field.required]
    schema: JSONObject = {
        "type": "object",
        "description": description,
        "properties": {wire_name(attribute): _schema(hint) for attribute, hint in hints.items()},
    }
    if required:
        schema["required"] = list(required)
    return schema


def _schema(hint: Any) -> JSONObject:
    description = ""
    extra = {name: value for name, value in schema_of(hint).items() if not name.startswith("x-write")}
    if get_origin(hint) is Annotated:
        hint, *metas = get_args(hint)
        meta = next(each for each in metas if isinstance(each, msgspec.Meta))
        description = meta.description or ""
    schema = _plain_schema(hint, description)
    # Strings first decide what they are, then what they may be.
    return {**schema, **({"description": description} if description else {}), **extra}  # type: ignore[dict-item] # JSON by construction


def _plain_schema(hint: Any, description: str) -> JSONObject:
    if hint in _SCALARS:
        return dict(_SCALARS[hint])
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _object_schema(hint, description)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    raise TypeError(f"no schema for {hint!r}")


def _summary(type_: type) -> str:
    return (type_.__doc__ or "").strip().splitlines()[0]
