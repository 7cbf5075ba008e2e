"""Claims about where objects live and what goes over the wire, without a server."""

import json

import pytest

from tdredis.kube import resources
from tdredis.kube.request import (
    prepare_apply,
    prepare_create,
    prepare_delete,
    prepare_list,
    prepare_patch,
    prepare_watch,
)
from tdredis.kube.resources import CUSTOMRESOURCEDEFINITIONS, NODES, PODS, REDISCLUSTERS, Resource, resource_of


@pytest.mark.parametrize(
    ("resource", "address", "path"),
    [
        (PODS, (None, None, None), "/api/v1/pods"),
        (PODS, ("n", None, None), "/api/v1/namespaces/n/pods"),
        (PODS, ("n", "p", "status"), "/api/v1/namespaces/n/pods/p/status"),
        (NODES, (None, "node-1", None), "/api/v1/nodes/node-1"),
        (REDISCLUSTERS, ("n", "c", None), "/apis/cache.tongdun.net/v1alpha1/namespaces/n/redisclusters/c"),
        (PODS, ("n", "../../secrets", None), "/api/v1/namespaces/n/pods/..%2F..%2Fsecrets"),
    ],
)
def test_a_path_follows_group_scope_and_subresource(
    resource: Resource, address: tuple[str | None, str | None, str | None], path: str
) -> None:
    assert resource.path(*address) == path


@pytest.mark.parametrize(
    ("resource", "address"),
    [(PODS, (None, "p", None)), (PODS, ("n", "", None)), (PODS, ("n", None, "status")), (NODES, ("n", "x", None))],
)
def test_an_address_that_cannot_be_meant_is_refused(
    resource: Resource, address: tuple[str | None, str | None, str | None]
) -> None:
    with pytest.raises(ValueError, match=r"needs|no namespaces|no address"):
        resource.path(*address)


def test_every_resource_is_found_by_the_kind_of_its_manifests() -> None:
    for resource in resources.ALL:
        assert resource_of(resource.api_version, resource.kind) is resource


def test_the_table_names_what_the_operator_needs() -> None:
    assert len(resources.ALL) == len({resource.key for resource in resources.ALL})
    assert CUSTOMRESOURCEDEFINITIONS in resources.ALL


def test_a_list_asks_for_pages_and_goes_on_with_the_token() -> None:
    request = prepare_list(PODS, label_selector="a=b", continue_="token")

    assert dict(request.query) == {"labelSelector": "a=b", "limit": "500", "continue": "token"}


def test_a_watch_asks_for_bookmarks_and_an_end() -> None:
    request = prepare_watch(PODS, "n", resource_version="7", timeout_s=300)

    assert dict(request.query) == {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
        "timeoutSeconds": "300",
    }


def test_apply_is_server_side_apply_with_our_field_manager_and_force() -> None:
    request = prepare_apply(PODS, {"metadata": {"name": "p", "namespace": "n"}}, "td-redis-operator")

    assert (request.method, request.path) == ("PATCH", "/api/v1/namespaces/n/pods/p")
    assert dict(request.query) == {"fieldManager": "td-redis-operator", "force": "true"}
    assert request.content_type == "application/apply-patch+yaml"
    assert json.loads(request.body or b"") == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "n"},
    }


def test_create_takes_a_generated_name() -> None:
    request = prepare_create(PODS, {"metadata": {"generateName": "p-", "namespace": "n"}}, "m")

    assert (request.method, request.path) == ("POST", "/api/v1/namespaces/n/pods")


def test_a_manifest_without_its_namespace_is_a_bug_of_ours() -> None:
    with pytest.raises(ValueError, match=r"metadata\.namespace"):
        prepare_apply(PODS, {"metadata": {"name": "p"}}, "m")


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [("merge", "application/merge-patch+json"), ("strategic", "application/strategic-merge-patch+json")],
)
def test_the_kind_of_a_patch_is_its_content_type(kind: str, content_type: str) -> None:
    request = prepare_patch(PODS, "n", "p", {}, "m", kind=kind)  # type: ignore[arg-type]  # a parametrized Literal

    assert request.content_type == content_type


def test_a_json_patch_is_a_list() -> None:
    with pytest.raises(ValueError, match="list of operations"):
        prepare_patch(PODS, "n", "p", {}, "m", kind="json")


def test_a_delete_carries_policy_grace_and_preconditions() -> None:
    request = prepare_delete(PODS, "n", "p", propagation="Foreground", uid="u", resource_version="7", grace_s=0)

    assert json.loads(request.body or b"") == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Foreground",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "u", "resourceVersion": "7"},
    }


def test_a_request_prints_without_its_body() -> None:
    secret: dict[str, str] = {"password": "hunter2"}
    request = prepare_apply(
        resources.SECRETS, {"metadata": {"name": "s", "namespace": "n"}, "stringData": {**secret}}, "m"
    )

    assert "hunter2" not in repr(request)
