"""What a URL path means: which resource, namespace, object and subresource a request is about."""

from __future__ import annotations

from dataclasses import dataclass

from localkube.errors import ApiError
from localkube.resources import ResourceTable, ResourceType


@dataclass(slots=True)
class Target:
    """Never changed; not frozen, which would make making one, as every request does, three times as dear."""

    rtype: ResourceType
    version: str
    namespace: str | None
    name: str | None
    subresource: str | None

    @property
    def api_version(self) -> str:
        return self.rtype.api_version_of(self.version)


def unknown_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def parse_target(path: str, types: ResourceTable) -> Target:
    """Raises ApiError 404 for what is not served."""
    parts = path.strip("/").split("/")
    if "" in parts:
        parts = [part for part in parts if part]
    count = len(parts)
    if count >= 3 and parts[0] == "api" and parts[1] == "v1":
        group, version, at = "", "v1", 2
    elif count >= 4 and parts[0] == "apis":
        group, version, at = parts[1], parts[2], 3
    else:
        raise unknown_path()
    namespace: str | None = None
    # /namespaces/x/status is about the namespace; /namespaces/x/pods about what is in it.
    if count >= at + 3 and parts[at] == "namespaces" and parts[at + 2] not in ("status", "finalize"):
        namespace = parts[at + 1]
        at += 2
    plural, name = parts[at], parts[at + 1] if count > at + 1 else None
    subresource = "/".join(parts[at + 2 :]) or None
    rtype = types.find(f"{plural}.{group}" if group else plural)
    if rtype is None or version not in rtype.versions or (namespace is not None and not rtype.namespaced):
        raise unknown_path()
    if rtype.namespaced and namespace is None and name is not None:
        raise unknown_path()
    if subresource is not None and subresource not in rtype.subresources:
        raise unknown_path()
    return Target(rtype, version, namespace, name, subresource)
