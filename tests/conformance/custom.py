"""Installs custom resource definitions under a group of their own, so that a server in use keeps those it has."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.conformance.client import POLL_S, Access, Api, Obj
from tests.conformance.namespace import condition

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OURS = Path(__file__).parents[2] / "deploy" / "crds" / "cache.tongdun.net.yaml"


@dataclass(frozen=True, slots=True)
class Custom:
    """One installed custom resource."""

    crd: Obj

    @property
    def group(self) -> str:
        return str(self.crd["spec"]["group"])

    @property
    def plural(self) -> str:
        return str(self.crd["spec"]["names"]["plural"])

    @property
    def version(self) -> str:
        return f"{self.group}/{self.crd['spec']['versions'][0]['name']}"

    def path(self, namespace: str, name: str = "") -> str:
        base = f"/apis/{self.version}/namespaces/{namespace}/{self.plural}"
        return f"{base}/{name}" if name else base

    def build(self, name: str, **fields: Any) -> Obj:
        kind = self.crd["spec"]["names"]["kind"]
        return {"apiVersion": self.version, "kind": kind, "metadata": {"name": name}} | fields


async def _serves(api: Api, custom: Custom) -> bool:
    """Established comes a moment before the resource is served."""
    listed = await api.get(f"/apis/{custom.version}/{custom.plural}")
    discovered = await api.get(f"/apis/{custom.version}")
    return (listed.status, discovered.status) == (200, 200)


async def install(access: Access, crd: Obj) -> Custom:
    """The definition, once it is served. *crd* is rewritten to a group of its own."""
    unique = secrets.token_hex(3)
    crd["spec"]["group"] = f"c{unique}.conformance.example.com"
    names = crd["spec"]["names"]
    names["shortNames"] = [f"{short}{unique}" for short in names.get("shortNames", [])]
    crd["metadata"] = {"name": f"{names['plural']}.{crd['spec']['group']}"}
    async with Api(access) as api:
        await api.create(CRDS, crd)
        path = f"{CRDS}/{crd['metadata']['name']}"
        custom = Custom(await api.until(path, lambda c: condition(c, "Established").get("status") == "True"))
        async with asyncio.timeout(30):
            while not await _serves(api, custom):
                await asyncio.sleep(POLL_S)
        return custom


async def remove(access: Access, custom: Custom) -> None:
    async with Api(access) as api:
        await api.delete(f"{CRDS}/{custom.crd['metadata']['name']}")


@contextmanager
def installed(access: Access, crd: Obj) -> Iterator[Custom]:
    """For fixtures that several tests share: installed before the first, removed after the last."""
    custom = asyncio.run(install(access, crd))
    try:
        yield custom
    finally:
        asyncio.run(remove(access, custom))


def build_gadgets() -> Obj:
    """A definition with one field for each thing that a schema can say."""
    spec: Obj = {
        "type": "object",
        "required": ["size"],
        "properties": {
            "size": {"type": "integer", "format": "int64", "minimum": 3, "maximum": 9},
            "mode": {"type": "string", "maxLength": 4, "enum": ["fast", "safe"], "default": "safe"},
            "code": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 4},
            "nested": {"type": "object", "properties": {"depth": {"type": "integer", "default": 7}}},
            "loose": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "parts": {
                "type": "array",
                "maxItems": 3,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "weight": {"type": "integer"}},
                },
            },
        },
    }
    status: Obj = {
        "type": "object",
        "properties": {"phase": {"type": "string"}, "replicas": {"type": "integer"}, "selector": {"type": "string"}},
    }
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": spec, "status": status}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "spec": {
            "scope": "Namespaced",
            "names": {
                "plural": "gadgets",
                "singular": "gadget",
                "kind": "Gadget",
                "listKind": "GadgetList",
                "shortNames": ["gd"],
                "categories": ["redis"],
            },
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.size",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": [
                        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
                        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                }
            ],
        },
    }


def build_ruled_gadgets() -> Obj:
    """The same with CEL rules: a plain one, one that looks at the old value, and one that words its own message."""
    crd = build_gadgets()
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["x-kubernetes-validations"] = [
        {"rule": "!has(self.code) || self.size > 3", "message": "a code needs more than 3"},
        {
            "rule": "!has(self.tags) || size(self.tags) <= self.size",
            "message": "too many tags",
            # Of texts with a bounded length: a number in words has no bounded cost for a server of today.
            "messageExpression": "'mode ' + self.mode + ' allows no more than size tags'",
        },
    ]
    spec["properties"]["mode"]["x-kubernetes-validations"] = [
        {"rule": "self == oldSelf", "message": "mode cannot be changed"}
    ]
    spec["properties"]["tags"]["maxProperties"] = 20
    return crd


def read_ours() -> list[Obj]:
    """The project's own definitions, as deployed."""
    return [crd for crd in yaml.safe_load_all(OURS.read_text()) if crd]
