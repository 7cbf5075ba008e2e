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
    match parts:
        case ["api", "v1", *rest]:
            group, version = "", "v1"
        case ["apis", group, version, *rest]:
            pass
        case _:
            raise unknown_path()
    namespace: str | None = None
    # /namespaces/x/status is about the namespace; /namespaces/x/pods about what is in it.
    if len(rest) >= 3 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
        namespace = rest[1]
        rest = rest[2:]
    if not rest:
        raise unknown_path()
    plural, name, subresource = rest[0], rest[1] if len(rest) > 1 else None, "/".join(rest[2:]) or None
    rtype = types.find(f"{plural}.{group}" if group else plural)
    if rtype is None or version not in rtype.versions or (namespace is not None and not rtype.namespaced):
        raise unknown_path()
    if rtype.namespaced and namespace is None and name is not None:
        raise unknown_path()
    if subresource is not None and subresource not in rtype.subresources:
        raise unknown_path()
    return Target(rtype, version, namespace, name, subresource)
