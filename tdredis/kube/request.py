"""What goes over the wire for each verb: built apart from sending, so that a test reads it without a server."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from tdredis.api.json_object import JSONObject
from tdredis.kube.resources import Resource

Propagation = Literal["Background", "Foreground", "Orphan"]
PatchKind = Literal["merge", "json", "strategic"]

PAGE = 500
_PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
# Source: Kubernetes API concepts, "Metadata-only fetches"; v1 from 1.15 on.
_METADATA = "application/json;as={kind};g=meta.k8s.io;v=v1"
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """Not printed whole: a body may be a Secret."""

    verb: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None
    body: bytes | None = None
    accept: str | None = None  # None: the whole object, as JSON

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"


def prepare_get(resource: Resource, namespace: str | None, name: str, subresource: str | None = None) -> Request:
    return Request("get", "GET", resource.path(namespace, name, subresource))


def prepare_list(
    resource: Resource,
    namespace: str | None = None,
    *,
    label_selector: str | None = None,
    field_selector: str | None = None,
    limit: int | None = PAGE,
    continue_: str | None = None,
    metadata_only: bool = False,
) -> Request:
    """`limit` None: all in one answer, what is left when a continue token expired under way. *metadata_only*: the items
    are names and labels; what is in them (a Secret's passwords) is not sent.
    """
    query = _selectors(label_selector, field_selector)
    if limit is not None:
        query.append(("limit", str(limit)))
    if continue_:
        query.append(("continue", continue_))
    accept = _METADATA.format(kind="PartialObjectMetadataList") if metadata_only else None
    return Request("list", "GET", resource.path(namespace), tuple(query), accept=accept)


def prepare_watch(
    resource: Resource,
    namespace: str | None = None,
    *,
    resource_version: str,
    timeout_s: int,
    label_selector: str | None = None,
    field_selector: str | None = None,
    metadata_only: bool = False,
) -> Request:
    query = _selectors(label_selector, field_selector)
    query += [
        ("watch", "1"),
        ("allowWatchBookmarks", "true"),
        ("resourceVersion", resource_version),
        ("timeoutSeconds", str(timeout_s)),
    ]
    accept = _METADATA.format(kind="PartialObjectMetadata") if metadata_only else None
    return Request("watch", "GET", resource.path(namespace), tuple(query), accept=accept)


def prepare_create(resource: Resource, manifest: JSONObject, manager: str) -> Request:
    namespace, _ = _address(resource, manifest)
    body = _ENCODER.encode(_typed(resource, manifest))
    return Request("create", "POST", resource.path(namespace), _manager(manager), "application/json", body)


def prepare_apply(
    resource: Resource,
    manifest: JSONObject,
    manager: str,
    *,
    subresource: str | None = None,
    force: bool = True,
) -> Request:
    """Server-side apply. JSON is YAML, so that the one content type of apply takes it."""
    namespace, name = _address(resource, manifest)
    if name is None:
        raise ValueError(f"{resource} to apply has no metadata.name")
    return Request(
        "apply",
        "PATCH",
        resource.path(namespace, name, subresource),
        (*_manager(manager), ("force", "true" if force else "false")),
        "application/apply-patch+yaml",
        _ENCODER.encode(_typed(resource, manifest)),
    )


def prepare_patch(
    resource: Resource,
    namespace: str | None,
    name: str,
    patch: JSONObject | list[JSONObject],
    manager: str,
    *,
    kind: PatchKind = "merge",
    subresource: str | None = None,
) -> Request:
    if (kind == "json") != isinstance(patch, list):
        raise ValueError(f"a {kind} patch is {'a list of operations' if kind == 'json' else 'an object'}")
    path = resource.path(namespace, name, subresource)
    return Request("patch", "PATCH", path, _manager(manager), _PATCH_TYPES[kind], _ENCODER.encode(patch))


def prepare_delete(
    resource: Resource,
    namespace: str | None,
    name: str,
    *,
    propagation: Propagation | None = None,
    uid: str | None = None,
    resource_version: str | None = None,
    grace_s: int | None = None,
) -> Request:
    """Without a uid the object that has this name *now* dies, which may be a newer one than was looked at."""
    options: JSONObject = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if propagation is not None:
        options["propagationPolicy"] = propagation
    if grace_s is not None:
        options["gracePeriodSeconds"] = grace_s
    preconditions: JSONObject = {}
    if uid is not None:
        preconditions["uid"] = uid
    if resource_version is not None:
        preconditions["resourceVersion"] = resource_version
    if preconditions:
        options["preconditions"] = preconditions
    path = resource.path(namespace, name)
    return Request("delete", "DELETE", path, (), "application/json", _ENCODER.encode(options))


def _selectors(label_selector: str | None, field_selector: str | None) -> list[tuple[str, str]]:
    query = []
    if label_selector:
        query.append(("labelSelector", label_selector))
    if field_selector:
        query.append(("fieldSelector", field_selector))
    return query


def _manager(manager: str) -> tuple[tuple[str, str], ...]:
    return (("fieldManager", manager),)


def _typed(resource: Resource, manifest: JSONObject) -> JSONObject:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **manifest}


def _address(resource: Resource, manifest: JSONObject) -> tuple[str | None, str | None]:
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict):
        raise TypeError(f"a {resource.kind} without metadata")
    namespace, name = metadata.get("namespace"), metadata.get("name")
    if resource.namespaced and not isinstance(namespace, str):
        raise ValueError(f"{resource} {name!r} has no metadata.namespace")
    return (namespace if isinstance(namespace, str) else None), (name if isinstance(name, str) else None)
