"""What a client may ask for: the discovery documents, the server's version and its addresses."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Any

from localkube.registry import Registry
from localkube.resources import ResourceType
from localkube.schema.crd import version_priority

# The Kubernetes release whose behaviour is imitated, not the software that imitates it.
VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.0+localkube",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-04-22T00:00:00Z",
    "goVersion": f"python{platform.python_version()}",
    "compiler": "cpython",
    "platform": "linux/amd64" if platform.machine() == "x86_64" else "linux/arm64",
}
_JSON = "application/json"
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_SUBRESOURCE_VERBS = {
    "status": ["get", "patch", "update"],
    "resize": ["get", "patch", "update"],
    "scale": ["get", "patch", "update"],
    "finalize": ["update"],
    "log": ["get"],
    "eviction": ["create"],
    "exec": ["create", "get"],
    "portforward": ["create", "get"],
}
_SUBRESOURCE_KINDS = {"scale": ("autoscaling", "v1", "Scale"), "eviction": ("policy", "v1", "Eviction")}


def answer(path: str, registry: Registry, accept: str) -> tuple[dict[str, Any], str] | None:
    """The document at *path* with its content type; None if *path* is no discovery path."""
    aggregated = "as=APIGroupDiscoveryList" in accept and "v=v2;" in accept.replace(" ", "") + ";"
    match path.strip("/").split("/"):
        case [""]:
            return {"paths": _paths(registry)}, _JSON
        case ["version"]:
            return VERSION, _JSON
        case ["api"]:
            if aggregated:
                return _aggregated(registry, core=True), _AGGREGATED
            addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}]
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}, _JSON
        case ["apis"]:
            if aggregated:
                return _aggregated(registry, core=False), _AGGREGATED
            groups = [_group(name, registry) for name in _groups(registry) if name]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}, _JSON
        case ["apis", group] if group in _groups(registry):
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, registry)}, _JSON
        case ["api", "v1"]:
            return _resource_list(registry, "", "v1"), _JSON
        case ["apis", group, version] if version in _versions(registry, group):
            return _resource_list(registry, group, version), _JSON
        case _:
            return None


def _paths(registry: Registry) -> list[str]:
    paths = ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]
    for group in _groups(registry):
        if group:
            paths += [f"/apis/{group}", *(f"/apis/{group}/{version}" for version in _versions(registry, group))]
    return sorted(paths)


def _groups(registry: Registry) -> list[str]:
    return list(dict.fromkeys(rtype.group for rtype in registry.types))


def _versions(registry: Registry, group: str) -> list[str]:
    found = {version for rtype in registry.types if rtype.group == group for version in rtype.versions}
    return sorted(found, key=version_priority)


def group_versions(registry: Registry) -> Iterator[tuple[str, str]]:
    for group in _groups(registry):
        for version in _versions(registry, group):
            yield group, version


def resources_of(registry: Registry, group: str, version: str) -> list[ResourceType]:
    return [rtype for rtype in registry.types if rtype.group == group and version in rtype.versions]


def _group(name: str, registry: Registry) -> dict[str, Any]:
    versions = [{"groupVersion": f"{name}/{one}", "version": one} for one in _versions(registry, name)]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _verbs_of(rtype: ResourceType) -> list[str]:
    return ["create"] if rtype.review else _VERBS


def _subresources(rtype: ResourceType) -> list[str]:
    return [one for one in rtype.subresources if one in _SUBRESOURCE_VERBS]


def _resource_list(registry: Registry, group: str, version: str) -> dict[str, Any]:
    listed: list[dict[str, Any]] = []
    for rtype in resources_of(registry, group, version):
        one: dict[str, Any] = {
            "name": rtype.plural,
            "singularName": rtype.singular,
            "namespaced": rtype.namespaced,
            "kind": rtype.kind,
            "verbs": _verbs_of(rtype),
        }
        if rtype.short_names:
            one["shortNames"] = list(rtype.short_names)
        if rtype.categories:
            one["categories"] = list(rtype.categories)
        listed.append(one)
        for name in _subresources(rtype):
            sub_group, sub_version, kind = _SUBRESOURCE_KINDS.get(name, (group, version, rtype.kind))
            sub: dict[str, Any] = {
                "name": f"{rtype.plural}/{name}",
                "singularName": "",
                "namespaced": rtype.namespaced,
                "kind": kind,
                "verbs": _SUBRESOURCE_VERBS[name],
            }
            if name in _SUBRESOURCE_KINDS:
                sub |= {"group": sub_group, "version": sub_version}
            listed.append(sub)
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}


def _aggregated(registry: Registry, *, core: bool) -> dict[str, Any]:
    items = [
        {
            "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
            "versions": [
                {
                    "version": version,
                    "resources": [_aggregated_resource(one, version) for one in resources_of(registry, group, version)],
                    "freshness": "Current",
                }
                for version in _versions(registry, group)
            ],
        }
        for group in _groups(registry)
        if (group == "") is core
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated_resource(rtype: ResourceType, version: str) -> dict[str, Any]:
    def gvk(group: str, version_: str, kind: str) -> dict[str, str]:
        return {"group": group, "version": version_, "kind": kind}

    found: dict[str, Any] = {
        "resource": rtype.plural,
        "responseKind": gvk(rtype.group, version, rtype.kind),
        "scope": "Namespaced" if rtype.namespaced else "Cluster",
        "singularResource": rtype.singular,
        "verbs": _verbs_of(rtype),
    }
    if rtype.short_names:
        found["shortNames"] = list(rtype.short_names)
    if rtype.categories:
        found["categories"] = list(rtype.categories)
    subresources = [
        {
            "subresource": name,
            "responseKind": gvk(*_SUBRESOURCE_KINDS.get(name, (rtype.group, version, rtype.kind))),
            "verbs": _SUBRESOURCE_VERBS[name],
        }
        for name in _subresources(rtype)
    ]
    if subresources:
        found["subresources"] = subresources
    return found
