"""Claims: what a client can find out about a server before it knows it."""

from __future__ import annotations

import pytest

from tests.conformance.client import Access, Api, Obj

NEEDED = {
    "/api/v1": {
        "namespaces": ("Namespace", False),
        "nodes": ("Node", False),
        "pods": ("Pod", True),
        "services": ("Service", True),
        "endpoints": ("Endpoints", True),
        "configmaps": ("ConfigMap", True),
        "secrets": ("Secret", True),
        "events": ("Event", True),
        "serviceaccounts": ("ServiceAccount", True),
        "persistentvolumeclaims": ("PersistentVolumeClaim", True),
        "persistentvolumes": ("PersistentVolume", False),
    },
    "/apis/apps/v1": {
        "statefulsets": ("StatefulSet", True),
        "deployments": ("Deployment", True),
        "replicasets": ("ReplicaSet", True),
    },
    "/apis/coordination.k8s.io/v1": {"leases": ("Lease", True)},
    "/apis/apiextensions.k8s.io/v1": {"customresourcedefinitions": ("CustomResourceDefinition", False)},
    "/apis/storage.k8s.io/v1": {"storageclasses": ("StorageClass", False)},
    "/apis/rbac.authorization.k8s.io/v1": {
        "roles": ("Role", True),
        "clusterrolebindings": ("ClusterRoleBinding", False),
    },
    "/apis/networking.k8s.io/v1": {"networkpolicies": ("NetworkPolicy", True)},
    "/apis/batch/v1": {"jobs": ("Job", True)},
}

YOUNGER = {
    "/apis/discovery.k8s.io/v1": {"endpointslices": ("EndpointSlice", True)},
    "/apis/policy/v1": {"poddisruptionbudgets": ("PodDisruptionBudget", True)},
}


async def served(api: Api, group: str) -> dict[str, Obj]:
    listed = await api.read(group)
    assert (listed["kind"], listed["groupVersion"]) == (
        "APIResourceList",
        group.removeprefix("/api/").removeprefix("/apis/"),
    )
    return {r["name"]: r for r in listed["resources"]}


@pytest.mark.parametrize("group", NEEDED)
async def test_the_resources_we_need_are_discovered(api: Api, group: str) -> None:
    found = await served(api, group)

    assert {n: (found[n]["kind"], found[n]["namespaced"]) for n in NEEDED[group] if n in found} == NEEDED[group]


@pytest.mark.needs_version("1.21")
@pytest.mark.parametrize("group", YOUNGER)
async def test_the_younger_resources_we_need_are_discovered(api: Api, group: str) -> None:
    found = await served(api, group)

    assert {n: (found[n]["kind"], found[n]["namespaced"]) for n in YOUNGER[group] if n in found} == YOUNGER[group]


async def test_subresources_are_discovered(api: Api) -> None:
    core, apps = await served(api, "/api/v1"), await served(api, "/apis/apps/v1")

    assert {"pods/status", "pods/log", "pods/exec", "pods/eviction", "services/status"} <= set(core)
    assert {"statefulsets/status", "statefulsets/scale", "deployments/scale"} <= set(apps)


async def test_short_names_are_discovered(api: Api) -> None:
    core, apps = await served(api, "/api/v1"), await served(api, "/apis/apps/v1")

    assert (core["pods"]["shortNames"], core["services"]["shortNames"]) == (["po"], ["svc"])
    assert (apps["statefulsets"]["shortNames"], core["persistentvolumeclaims"]["shortNames"]) == (["sts"], ["pvc"])


async def test_groups_are_listed_with_their_preferred_version(api: Api) -> None:
    groups = {g["name"]: g for g in (await api.read("/apis"))["groups"]}

    assert groups["apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    assert {"coordination.k8s.io", "apiextensions.k8s.io", "discovery.k8s.io", "policy"} <= set(groups)
    assert (await api.read("/api"))["versions"] == ["v1"]


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/healthz"])
async def test_a_server_says_that_it_is_well(api: Api, path: str) -> None:
    answer = await api.request("GET", path, accept="*/*")

    assert (answer.status, answer.text) == (200, "ok")


async def test_the_version_has_numbers(api: Api) -> None:
    version = await api.read("/version")

    assert version["major"] == "1"
    assert version["gitVersion"].startswith(f"v1.{version['minor'].rstrip('+')}.")


async def test_a_stranger_is_turned_away(access: Access) -> None:
    async with Api(access.as_stranger()) as stranger:
        answer = await stranger.get("/api/v1/namespaces")

    assert answer.refused() == (401, "Unauthorized")


async def test_an_unknown_path_is_404(api: Api) -> None:
    assert (await api.request("GET", "/nothing/here", accept="*/*")).status in {403, 404}


async def test_the_schema_of_everything_is_published(api: Api) -> None:
    document = await api.read("/openapi/v2")

    assert document["swagger"] == "2.0"
    kinds = {
        (g["group"], g["kind"])
        for definition in document["definitions"].values()
        for g in definition.get("x-kubernetes-group-version-kind", [])
    }
    assert {("apps", "StatefulSet"), ("", "Service"), ("", "Pod")} <= kinds
