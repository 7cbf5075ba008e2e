"""Claims about server-side apply: who owns what, what a conflict says, what goes when nobody wants it any more."""

from __future__ import annotations

from typing import Any

from tests.localkube.api.client import Api

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SERVICES = "/api/v1/namespaces/default/services"


def config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": list(containers)}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template, **spec},
    }


def container(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "redis:7", **fields}


async def test_apply_creates_what_is_absent_and_owns_it(api: Api) -> None:
    answer = await api.apply(f"{CONFIGMAPS}/a", config_map(k="1"))

    entries = answer.object()["metadata"]["managedFields"]
    assert answer.status == 201
    assert [(one["manager"], one["operation"], one["fieldsV1"]) for one in entries] == [
        ("me", "Apply", {"f:data": {"f:k": {}}})
    ]


async def test_applying_twice_changes_nothing(api: Api) -> None:
    config = deployment(container(ports=[{"containerPort": 80}]), replicas=2)
    first = (await api.apply(f"{DEPLOYMENTS}/a", config)).object()

    second = (await api.apply(f"{DEPLOYMENTS}/a", config)).object()

    assert second == first


async def test_a_conflict_names_owner_and_field(api: Api) -> None:
    await api.apply(f"{CONFIGMAPS}/a", config_map(k="1"), "one")

    answer = await api.apply(f"{CONFIGMAPS}/a", config_map(k="2"), "two")

    assert (answer.status, answer.body["reason"]) == (409, "Conflict")
    assert answer.message == 'Apply failed with 1 conflict: conflict with "one": .data.k'
    assert answer.body["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.k"}
    ]


async def test_several_conflicts_are_listed_by_owner(api: Api) -> None:
    await api.apply(f"{DEPLOYMENTS}/a", deployment(container(), replicas=2), "one")

    answer = await api.apply(f"{DEPLOYMENTS}/a", deployment(container(image="redis:8"), replicas=3), "two")

    assert answer.message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.replicas\n'
        '- .spec.template.spec.containers[name="c"].image'
    )


async def test_force_takes_the_field_over(api: Api) -> None:
    await api.apply(f"{CONFIGMAPS}/a", config_map(k="1", own="1"), "one")

    taken = (await api.apply(f"{CONFIGMAPS}/a", config_map(k="2"), "two", force="true")).object()

    owned = {one["manager"]: one["fieldsV1"] for one in taken["metadata"]["managedFields"]}
    assert taken["data"] == {"k": "2", "own": "1"}
    assert owned == {"one": {"f:data": {"f:own": {}}}, "two": {"f:data": {"f:k": {}}}}


async def test_the_same_value_is_shared_not_fought_over(api: Api) -> None:
    await api.apply(f"{CONFIGMAPS}/a", config_map(k="1"), "one")
    await api.apply(f"{CONFIGMAPS}/a", config_map(k="1"), "two")

    left = (await api.apply(f"{CONFIGMAPS}/a", config_map(), "one")).object()

    assert left["data"] == {"k": "1"}


async def test_what_its_only_owner_drops_is_removed(api: Api) -> None:
    await api.apply(f"{CONFIGMAPS}/a", config_map(a="1", b="2"))
    await api.merge(f"{CONFIGMAPS}/a", {"data": {"c": "3"}}, fieldManager="hand")

    left = (await api.apply(f"{CONFIGMAPS}/a", config_map(a="1"))).object()

    assert left["data"] == {"a": "1", "c": "3"}


async def test_a_write_by_hand_takes_the_field_from_the_applier(api: Api) -> None:
    await api.apply(f"{DEPLOYMENTS}/a", deployment(container(), replicas=2))
    await api.merge(f"{DEPLOYMENTS}/a", {"spec": {"replicas": 5}}, fieldManager="hand")

    answer = await api.apply(f"{DEPLOYMENTS}/a", deployment(container(), replicas=2))

    assert answer.status == 409
    assert answer.message.startswith('Apply failed with 1 conflict: conflict with "hand" using apps/v1 at ')
    assert answer.message.endswith(": .spec.replicas")


async def test_list_items_are_told_apart_by_their_key(api: Api) -> None:
    await api.apply(f"{DEPLOYMENTS}/a", deployment(container("a"), container("b")), "one")
    await api.apply(f"{DEPLOYMENTS}/a", deployment(container("side")), "two", force="true")

    merged = (await api.apply(f"{DEPLOYMENTS}/a", deployment(container("a")), "one")).object()

    names = [one["name"] for one in merged["spec"]["template"]["spec"]["containers"]]
    assert names == ["a", "side"]


async def test_an_absent_protocol_is_the_tcp_port(api: Api) -> None:
    port = {"name": "redis", "port": 6379}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [port]}}
    first = (await api.apply(f"{SERVICES}/a", service)).object()

    second = (await api.apply(f"{SERVICES}/a", service)).object()

    assert second == first
    assert [one["protocol"] for one in second["spec"]["ports"]] == ["TCP"]


async def test_status_is_owned_apart_from_the_rest(api: Api) -> None:
    await api.apply(f"{DEPLOYMENTS}/a", deployment(container()))
    status = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "status": {"replicas": 1}}

    applied = (await api.apply(f"{DEPLOYMENTS}/a/status", status)).object()
    kept = (await api.apply(f"{DEPLOYMENTS}/a", deployment(container()))).object()

    assert applied["status"] == {"replicas": 1}
    assert kept == applied
    assert [(one["manager"], one.get("subresource")) for one in kept["metadata"]["managedFields"]] == [
        ("me", None),
        ("me", "status"),
    ]


async def test_apply_without_a_manager_is_refused(api: Api) -> None:
    answer = await api.call("PATCH", f"{CONFIGMAPS}/a", config_map(), "application/apply-patch+yaml")

    assert answer.status == 422
    assert "fieldManager: Required value: is required for apply patch" in answer.message


async def test_apply_takes_yaml(api: Api) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {since: '2024-01-01', k: v}\n"

    answer = await api.call("PATCH", f"{CONFIGMAPS}/a", text, "application/apply-patch+yaml", fieldManager="me")

    assert answer.object()["data"] == {"since": "2024-01-01", "k": "v"}


async def test_kubectl_may_change_what_it_once_applied_the_old_way(api: Api) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: '1'}\n"
    await api.kubectl("apply", "-f", "-", stdin=text)

    said = await api.kubectl("apply", "--server-side", "-f", "-", stdin=text.replace("'1'", "'2'"))

    assert said == "configmap/a serverside-applied\n"
    assert (await api.get(f"{CONFIGMAPS}/a")).object()["data"] == {"k": "2"}
