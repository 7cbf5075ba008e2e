"""Decides what the API server knows of our resources: the CRDs, made of the models so that the two cannot disagree."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec
import yaml

from tdredis.api.fields import GROUP, VERSION, wire_name
from tdredis.api.instance import Instance
from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.kinds import KINDS, PLURALS, SHORT_NAMES
from tdredis.api.validation import (
    APP_SENTENCE,
    BOTH_PROXY_SECRETS_SENTENCE,
    BOTH_SECRETS_SENTENCE,
    CAPACITY_SENTENCE,
    CLUSTER_CAPACITY_SENTENCE,
    LEAST_DOWN_AFTER_MS,
    LEAST_MIB,
    LINE_BREAK_SENTENCE,
    LONGEST_NAME,
    NAME_PATTERN,
    NAME_SENTENCE,
    NO_PROXY_SECRET_SENTENCE,
    PROXY_IMAGE_SENTENCE,
    WRITE_POLICY_SENTENCE,
    schema_of,
)

_SCALARS: Final[dict[object, JSONObject]] = {
    str: {"type": "string"},
    int: {"type": "integer", "format": "int64"},
    bool: {"type": "boolean"},
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

_CLUSTER_CAPACITY: Final[JSONObject] = {
    "rule": f"!has(self.capacity) || self.capacity == 0 || self.capacity >= {LEAST_MIB} * self.size",
    "message": CLUSTER_CAPACITY_SENTENCE,
}
_CAPACITY: Final[JSONObject] = {
    "rule": f"!has(self.capacity) || self.capacity == 0 || self.capacity >= {LEAST_MIB}",
    "message": CAPACITY_SENTENCE,
}
_APP: Final[JSONObject] = {"rule": "self.app == oldSelf.app", "message": APP_SENTENCE}
_PROXY_IMAGE: Final[JSONObject] = {
    "rule": "size(self.proxyimage) > 0 || (has(self.proxy) && has(self.proxy.enabled) && !self.proxy.enabled)",
    "message": PROXY_IMAGE_SENTENCE,
}
# On spec, not on the fields: a refusal quotes the value of the field that it is about.
_PASSWORDS: Final[tuple[JSONObject, ...]] = (
    {"rule": "!has(self.secret) || !self.secret.contains('\\n')", "message": LINE_BREAK_SENTENCE},
    {
        "rule": "!has(self.secretRef) || !has(self.secret) || size(self.secret) == 0",
        "message": BOTH_SECRETS_SENTENCE,
    },
)
_PROXY_PASSWORDS: Final[tuple[JSONObject, ...]] = (
    {"rule": "!has(self.proxysecret) || !self.proxysecret.contains('\\n')", "message": LINE_BREAK_SENTENCE},
    {"rule": "has(self.proxysecret) || has(self.proxySecretRef)", "message": NO_PROXY_SECRET_SENTENCE},
    {
        "rule": "!has(self.proxySecretRef) || !has(self.proxysecret) || size(self.proxysecret) == 0",
        "message": BOTH_PROXY_SECRETS_SENTENCE,
    },
)
_WRITE_POLICY: Final[JSONObject] = {
    "rule": (
        "!has(self.writePolicy) || self.writePolicy != 'consistency' || !has(self.sentinel)"
        " || !has(self.sentinel.downAfterMilliseconds)"
        f" || self.sentinel.downAfterMilliseconds >= {LEAST_DOWN_AFTER_MS}"
    ),
    "message": WRITE_POLICY_SENTENCE,
}
RULES: Final[dict[str, tuple[JSONObject, ...]]] = {
    "RedisCluster": (_APP, _CLUSTER_CAPACITY, _PROXY_IMAGE, *_PASSWORDS, *_PROXY_PASSWORDS),
    "RedisStandby": (_APP, _CAPACITY, *_PASSWORDS, _WRITE_POLICY),
    "RedisStandalone": (_APP, _CAPACITY, *_PASSWORDS),
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
    spec["x-kubernetes-validations"] = list(RULES[kind.KIND])
    status = _object_schema(hints["status"], "The instance as it is.")
    status.pop("required", None)
    root: JSONObject = {
        "type": "object",
        "description": _summary(kind),
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
    if schema["type"] == "array" and extra.pop("x-kubernetes-preserve-unknown-fields", False):
        schema["items"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    # Strings first decide what they are, then what they may be.
    return {**schema, **({"description": description} if description else {}), **extra}  # type: ignore[dict-item] # JSON by construction


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
