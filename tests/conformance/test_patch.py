"""Claims: what each kind of PATCH does with maps, lists and nulls, and how it is refused."""

from __future__ import annotations

import pytest

from tests.conformance.client import JSON_PATCH, MERGE, STRATEGIC, Obj
from tests.conformance.namespace import Namespace, build_configmap, build_container, build_deployment, build_pod_spec


def two_containers(deployment: Obj) -> list[tuple[str, str]]:
    return [(c["name"], c["image"]) for c in deployment["spec"]["template"]["spec"]["containers"]]


async def test_a_merge_patch_sets_keeps_and_removes(ns: Namespace) -> None:
    await ns.create("configmaps", build_configmap("a", keep="1", change="1", drop="1"))

    patched = await ns.api.patch(ns.path("configmaps", "a"), {"data": {"change": "2", "drop": None, "new": "1"}}, MERGE)

    assert patched.accepted()["data"] == {"keep": "1", "change": "2", "new": "1"}


async def test_a_merge_patch_replaces_a_list_as_a_whole(ns: Namespace) -> None:
    path = ns.path("deployments", "a")
    template = build_pod_spec(containers=[build_container(), build_container(name="other")])
    await ns.create("deployments", build_deployment("a", replicas=0, template=template))

    patch = {"spec": {"template": {"spec": {"containers": [{"name": "only", "image": "redis:7"}]}}}}
    patched = (await ns.api.patch(path, patch, MERGE)).accepted()

    assert two_containers(patched) == [("only", "redis:7")]


async def test_a_strategic_patch_merges_a_list_by_its_key(ns: Namespace) -> None:
    path = ns.path("deployments", "a")
    template = build_pod_spec(containers=[build_container(), build_container(name="other")])
    await ns.create("deployments", build_deployment("a", replicas=0, template=template))

    patch = {"spec": {"template": {"spec": {"containers": [{"name": "other", "image": "redis:7"}]}}}}
    patched = (await ns.api.patch(path, patch, STRATEGIC)).accepted()

    assert sorted(two_containers(patched)) == [("main", "redis:7.0"), ("other", "redis:7")]


async def test_a_strategic_patch_deletes_an_item_by_directive(ns: Namespace) -> None:
    path = ns.path("deployments", "a")
    template = build_pod_spec(containers=[build_container(), build_container(name="other")])
    await ns.create("deployments", build_deployment("a", replicas=0, template=template))

    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "$patch": "delete"}]}}}}
    patched = (await ns.api.patch(path, patch, STRATEGIC)).accepted()

    assert two_containers(patched) == [("other", "redis:7.0")]


async def test_a_json_patch_does_its_operations_in_order(ns: Namespace) -> None:
    await ns.create("configmaps", build_configmap("a", x="1", y="1"))

    patched = await ns.api.patch(
        ns.path("configmaps", "a"),
        [
            {"op": "test", "path": "/data/x", "value": "1"},
            {"op": "replace", "path": "/data/x", "value": "2"},
            {"op": "move", "from": "/data/y", "path": "/data/z"},
            {"op": "add", "path": "/metadata/labels", "value": {"example.com/a": "b"}},
            {"op": "replace", "path": "/metadata/labels/example.com~1a", "value": "c"},
        ],
        JSON_PATCH,
    )

    body = patched.accepted()
    assert (body["data"], body["metadata"]["labels"]) == ({"x": "2", "z": "1"}, {"example.com/a": "c"})


async def test_a_json_patch_whose_test_fails_changes_nothing(ns: Namespace) -> None:
    await ns.create("configmaps", build_configmap("a", x="1"))

    patched = await ns.api.patch(
        ns.path("configmaps", "a"),
        [{"op": "replace", "path": "/data/x", "value": "2"}, {"op": "test", "path": "/data/x", "value": "nine"}],
        JSON_PATCH,
    )

    assert patched.refused() == (422, "Invalid")
    assert (await ns.read("configmaps", "a"))["data"] == {"x": "1"}


async def test_a_patch_with_a_stale_version_is_409(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")
    first = await ns.create("configmaps", build_configmap("a"))
    (await ns.api.patch(path, {"data": {"k": "1"}})).accepted()

    stale = {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}, "data": {"k": "2"}}
    answer = await ns.api.patch(path, stale)

    assert answer.refused() == (409, "Conflict")


async def test_a_patch_that_changes_nothing_keeps_the_resource_version(ns: Namespace) -> None:
    first = await ns.create("configmaps", build_configmap("a", k="1"))

    again = (await ns.api.patch(ns.path("configmaps", "a"), {"data": {"k": "1"}})).accepted()

    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_patch_of_what_is_absent_is_404(ns: Namespace) -> None:
    answer = await ns.api.patch(ns.path("configmaps", "a"), {"data": {"k": "1"}})

    assert answer.refused() == (404, "NotFound")


async def test_an_unknown_patch_type_is_415(ns: Namespace) -> None:
    await ns.create("configmaps", build_configmap("a"))

    answer = await ns.api.patch(ns.path("configmaps", "a"), {"data": {"k": "1"}}, "application/json")

    assert answer.refused() == (415, "UnsupportedMediaType")


@pytest.mark.parametrize("field", ["name", "namespace", "uid"])
async def test_a_patch_cannot_change_identity(ns: Namespace, field: str) -> None:
    await ns.create("configmaps", build_configmap("a"))

    answer = await ns.api.patch(ns.path("configmaps", "a"), {"metadata": {field: "other"}})

    assert answer.status in {400, 409, 422}
    assert (await ns.api.get(ns.path("configmaps", "other"))).status == 404


async def test_a_selector_of_a_deployment_cannot_change(ns: Namespace) -> None:
    await ns.create("deployments", build_deployment("a", replicas=0))

    answer = await ns.api.patch(ns.path("deployments", "a"), {"spec": {"selector": {"matchLabels": {"app": "b"}}}})

    assert answer.refused() == (422, "Invalid")
    assert "spec.selector" in {cause["field"] for cause in answer.body["details"]["causes"]}


async def test_a_patch_that_names_another_uid_is_for_another_object(ns: Namespace) -> None:
    await ns.create("configmaps", build_configmap("a", k="v"))

    answer = await ns.api.patch(ns.path("configmaps", "a"), {"metadata": {"uid": "another"}, "data": {"k": "w"}})

    assert answer.refused() == (422, "Invalid")
    assert 'metadata.uid: Invalid value: "another": field is immutable' in answer.message
    assert (await ns.read("configmaps", "a"))["data"] == {"k": "v"}
