"""What clients learn of the fields: the OpenAPI documents behind `kubectl explain`, apply and strict validation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from localkube.registry import Registry
from localkube.resources import ResourceType
from localkube.schema.builtin import METADATA
from localkube.server.discovery import VERSION, group_versions, resources_of


@dataclass(frozen=True, slots=True)
class Document:
    body: bytes
    content_type: str
    etag: str


def answer(path: str, registry: Registry, accept: str) -> Document | None:
    match path.strip("/").split("/"):
        case ["openapi", "v3"]:
            return _document(_index(registry))
        case ["openapi", "v3", "api", "v1"]:
            return _document(_group_version(registry, "", "v1"))
        case ["openapi", "v3", "apis", group, version] if (group, version) in set(group_versions(registry)):
            return _document(_group_version(registry, group, version))
        case ["openapi", "v2"] if "protobuf" not in accept or "json" in accept:
            return _document(_swagger(registry))
        case _:
            return None


def _document(content: dict[str, Any]) -> Document:
    body = msgspec.json.encode(content)
    return Document(body, "application/json", f'"{hashlib.sha256(body).hexdigest()[:32]}"')


_etags: dict[tuple[str, str], tuple[tuple[object, ...], str]] = {}


def _etag(registry: Registry, group: str, version: str) -> str:
    """The hash of a document, made again only when one of its custom resources was redefined."""
    definitions = tuple(registry.customs.get(one.key) for one in resources_of(registry, group, version))
    known = _etags.get((group, version))
    if known is None or [id(one) for one in known[0]] != [id(one) for one in definitions]:
        known = definitions, _document(_group_version(registry, group, version)).etag.strip('"')
        _etags[group, version] = known
    return known[1]


def _prefix(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _index(registry: Registry) -> dict[str, Any]:
    paths = {}
    for group, version in group_versions(registry):
        etag = _etag(registry, group, version)
        prefix = _prefix(group, version)
        paths[prefix] = {"serverRelativeURL": f"/openapi/v3/{prefix}?hash={etag}"}
    return {"paths": paths}


def _schema_name(rtype: ResourceType, version: str) -> str:
    reversed_group = ".".join(reversed(rtype.group.split("."))) if rtype.group else "io.k8s.api.core"
    return f"{reversed_group}.{version}.{rtype.kind}"


def _kind_schema(registry: Registry, rtype: ResourceType, version: str) -> dict[str, Any]:
    found = registry.schema_of(rtype, version)
    schema: dict[str, Any] = dict(found) if found else {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    properties = dict(schema.get("properties") or {})
    for name in ("apiVersion", "kind"):
        properties[name] = {"type": "string"}
    properties["metadata"] = METADATA
    schema["properties"] = properties
    schema["x-kubernetes-group-version-kind"] = [{"group": rtype.group, "version": version, "kind": rtype.kind}]
    return schema


def _group_version(registry: Registry, group: str, version: str) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for rtype in resources_of(registry, group, version):
        name = _schema_name(rtype, version)
        schemas[name] = _kind_schema(registry, rtype, version)
        space = "/namespaces/{namespace}" if rtype.namespaced else ""
        base = f"/{_prefix(group, version)}{space}/{rtype.plural}"
        gvk = {"group": group, "version": version, "kind": rtype.kind}
        reference = {"$ref": f"#/components/schemas/{name}"}
        if rtype.review:
            paths[base] = {"post": _operation("post", gvk, reference)}
            continue
        paths[base] = {verb: _operation(verb, gvk, reference) for verb in ("get", "post")}
        paths[base + "/{name}"] = {verb: _operation(verb, gvk, reference) for verb in ("get", "put", "patch", "delete")}
    info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


_ACTIONS = {"get": "get", "post": "post", "put": "put", "patch": "patch", "delete": "delete"}


def _operation(verb: str, gvk: dict[str, str], reference: dict[str, str]) -> dict[str, Any]:
    names = ("dryRun", "fieldManager", "fieldValidation") if verb in ("post", "put", "patch") else ()
    parameters = [{"name": one, "in": "query", "schema": {"type": "string", "uniqueItems": True}} for one in names]
    if verb == "patch":
        parameters.append({"name": "force", "in": "query", "schema": {"type": "boolean", "uniqueItems": True}})
    content = {"application/json": {"schema": reference}}
    operation: dict[str, Any] = {
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": _ACTIONS[verb],
        "x-kubernetes-group-version-kind": gvk,
    }
    if parameters:
        operation["parameters"] = parameters
    return operation


def _swagger(registry: Registry) -> dict[str, Any]:
    definitions = {
        _schema_name(rtype, version): _kind_schema(registry, rtype, version)
        for group, version in group_versions(registry)
        for rtype in resources_of(registry, group, version)
    }
    info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
    return {"swagger": "2.0", "info": info, "paths": {}, "definitions": definitions}
