"""Claims: how objects go: preconditions, finalizers, owners, and the three ways to delete an owner."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.client import Api, Obj
from tests.conformance.namespace import Namespace, build_configmap, build_deployment

QUIET_S = 1.5  # how long something must stay for us to believe that nobody removes it


def owned_by(owner: Obj, name: str, *, blocking: bool = False, **fields: Any) -> Obj:
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    body = build_configmap(name)
    body["metadata"]["ownerReferences"] = [reference | {"controller": True, "blockOwnerDeletion": blocking}]
    return body | fields


async def stays(ns: Namespace, plural: str, name: str) -> bool:
    """Whether it is still there after a while, and undisturbed."""
    path, started = ns.path(plural, name), asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < started + QUIET_S:
        answer = await ns.api.get(path)
        if answer.status != 200 or "deletionTimestamp" in answer.body["metadata"]:
            return False
        await asyncio.sleep(0.1)
    return True


async def test_delete_answers_success_and_the_object_is_gone(ns: Namespace) -> None:
    made = await ns.create("configmaps", build_configmap("a"))

    deleted = (await ns.api.delete(ns.path("configmaps", "a"))).accepted()

    assert (deleted["kind"], deleted["status"], deleted["details"]["uid"]) == (
        "Status",
        "Success",
        made["metadata"]["uid"],
    )
    assert (await ns.api.get(ns.path("configmaps", "a"))).status == 404


async def test_deleting_what_is_absent_is_404(ns: Namespace) -> None:
    assert (await ns.api.delete(ns.path("configmaps", "a"))).refused() == (404, "NotFound")


@pytest.mark.parametrize("precondition", [{"uid": "00000000-0000-0000-0000-000000000000"}, {"resourceVersion": "1"}])
async def test_a_precondition_that_fails_is_409_and_deletes_nothing(ns: Namespace, precondition: Obj) -> None:
    await ns.create("configmaps", build_configmap("a"))

    answer = await ns.api.delete(ns.path("configmaps", "a"), {"preconditions": precondition})

    assert answer.refused() == (409, "Conflict")
    assert (await ns.api.get(ns.path("configmaps", "a"))).status == 200


async def test_a_precondition_that_holds_deletes(ns: Namespace) -> None:
    meta = (await ns.create("configmaps", build_configmap("a")))["metadata"]

    precondition = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
    (await ns.api.delete(ns.path("configmaps", "a"), {"preconditions": precondition})).accepted()

    assert (await ns.api.get(ns.path("configmaps", "a"))).status == 404


async def test_a_finalizer_keeps_the_object_until_it_is_taken_off(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")
    body = build_configmap("a", k="1")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    await ns.create("configmaps", body)

    answered = (await ns.api.delete(path)).accepted()
    still = await ns.api.read(path)
    changed = (await ns.api.patch(path, {"data": {"k": "2"}})).accepted()
    (await ns.api.patch(path, {"metadata": {"finalizers": None}})).accepted()

    assert answered["kind"] == "ConfigMap"
    assert still["metadata"]["deletionTimestamp"] == answered["metadata"]["deletionTimestamp"]
    assert changed["data"] == {"k": "2"}
    assert (await ns.api.get(path)).status == 404


async def test_deletion_is_an_event_when_it_begins_and_when_it_ends(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")
    body = build_configmap("a")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    made = await ns.create("configmaps", body)

    async with ns.api.watch(
        ns.path("configmaps"), resourceVersion=made["metadata"]["resourceVersion"], fieldSelector="metadata.name=a"
    ) as watch:
        await ns.api.delete(path)
        await ns.api.patch(path, {"metadata": {"finalizers": None}})
        events = await watch.until(lambda e: e.type == "DELETED")

    assert events[0].type == "MODIFIED"
    assert "deletionTimestamp" in events[0].object["metadata"]


async def test_no_finalizer_can_be_added_to_what_is_going(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")
    body = build_configmap("a")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    await ns.create("configmaps", body)
    await ns.api.delete(path)

    answer = await ns.api.patch(path, {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}})
    await ns.api.patch(path, {"metadata": {"finalizers": None}})

    assert answer.refused() == (422, "Invalid")


async def test_background_deletion_takes_the_owner_at_once_and_dependents_after(ns: Namespace) -> None:
    owner = await ns.create("configmaps", build_configmap("owner"))
    await ns.create("configmaps", owned_by(owner, "child"))

    (await ns.api.delete(ns.path("configmaps", "owner"), {"propagationPolicy": "Background"})).accepted()

    assert (await ns.api.get(ns.path("configmaps", "owner"))).status == 404
    await ns.api.until_gone(ns.path("configmaps", "child"))


async def test_foreground_deletion_takes_the_owner_last(ns: Namespace) -> None:
    owner = await ns.create("configmaps", build_configmap("owner"))
    child = owned_by(owner, "child", blocking=True)
    child["metadata"]["finalizers"] = ["example.com/hold"]
    await ns.create("configmaps", child)

    (await ns.api.delete(ns.path("configmaps", "owner"), {"propagationPolicy": "Foreground"})).accepted()
    await ns.until("configmaps", "child", lambda o: "deletionTimestamp" in o["metadata"])
    waiting = await ns.read("configmaps", "owner")
    (await ns.api.patch(ns.path("configmaps", "child"), {"metadata": {"finalizers": None}})).accepted()
    await ns.api.until_gone(ns.path("configmaps", "owner"))

    assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert "deletionTimestamp" in waiting["metadata"]


async def test_orphan_deletion_leaves_dependents_without_owner(ns: Namespace) -> None:
    owner = await ns.create("configmaps", build_configmap("owner"))
    await ns.create("configmaps", owned_by(owner, "child"))

    (await ns.api.delete(ns.path("configmaps", "owner"), {"propagationPolicy": "Orphan"})).accepted()
    await ns.api.until_gone(ns.path("configmaps", "owner"))

    child = await ns.until("configmaps", "child", lambda o: not o["metadata"].get("ownerReferences"))
    assert "deletionTimestamp" not in child["metadata"]


async def test_a_dependent_with_one_living_owner_stays(ns: Namespace) -> None:
    first = await ns.create("configmaps", build_configmap("first"))
    second = await ns.create("configmaps", build_configmap("second"))
    child = owned_by(first, "child")
    other = owned_by(second, "other")["metadata"]["ownerReferences"][0] | {"controller": False}
    child["metadata"]["ownerReferences"].append(other)
    await ns.create("configmaps", child)

    (await ns.api.delete(ns.path("configmaps", "first"))).accepted()

    assert await stays(ns, "configmaps", "child")


async def test_a_dependent_of_an_owner_that_never_was_is_removed(ns: Namespace) -> None:
    ghost = {"metadata": {"name": "ghost", "uid": "00000000-0000-0000-0000-00000000dead"}}

    await ns.create("configmaps", owned_by(ghost, "child"))

    await ns.api.until_gone(ns.path("configmaps", "child"))


async def test_an_owner_of_the_same_name_but_another_uid_is_not_the_owner(ns: Namespace) -> None:
    owner = await ns.create("configmaps", build_configmap("owner"))
    child = owned_by(owner, "child")
    child["metadata"]["ownerReferences"][0]["uid"] = "00000000-0000-0000-0000-00000000dead"

    await ns.create("configmaps", child)

    await ns.api.until_gone(ns.path("configmaps", "child"))


async def test_two_controllers_of_one_object_are_refused(ns: Namespace) -> None:
    owner = await ns.create("configmaps", build_configmap("owner"))
    other = await ns.create("configmaps", build_configmap("other"))
    child = owned_by(owner, "child")
    child["metadata"]["ownerReferences"].extend(owned_by(other, "child")["metadata"]["ownerReferences"])

    answer = await ns.api.post(ns.path("configmaps"), child)

    assert answer.refused() == (422, "Invalid")
    assert "metadata.ownerReferences" in answer.message


async def test_deleting_a_deployment_takes_its_replica_set_and_pods(ns: Namespace) -> None:
    await ns.takes_pods()
    await ns.create("deployments", build_deployment("a"))
    await ns.until_list("pods", lambda pods: len(pods) == 1, labelSelector="app=a")

    (await ns.api.delete(ns.path("deployments", "a"), {"propagationPolicy": "Background"})).accepted()

    await ns.until_list("replicasets", lambda sets: not sets)
    await ns.until_list("pods", lambda pods: not pods)


async def test_deleting_a_namespace_takes_what_is_in_it(ns: Namespace) -> None:
    await ns.create("configmaps", build_configmap("a"))

    (await ns.api.delete(f"/api/v1/namespaces/{ns.name}")).accepted()

    await ns.api.until_gone(f"/api/v1/namespaces/{ns.name}", 100)
    assert (await ns.api.get(ns.path("configmaps", "a"))).status == 404


async def test_nothing_can_be_created_in_a_namespace_that_is_going(ns: Namespace) -> None:
    body = build_configmap("holder")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    await ns.create("configmaps", body)
    (await ns.api.delete(f"/api/v1/namespaces/{ns.name}")).accepted()
    await ns.api.until(f"/api/v1/namespaces/{ns.name}", lambda n: n["status"]["phase"] == "Terminating")

    answer = await ns.api.post(ns.path("configmaps"), build_configmap("late"))
    await ns.api.patch(ns.path("configmaps", "holder"), {"metadata": {"finalizers": None}})

    assert answer.refused() == (403, "Forbidden")
    assert "because it is being terminated" in answer.message


async def test_nothing_is_made_in_a_namespace_that_goes(api: Api, unique: str) -> None:
    """And the refusal says by a cause of its own that it is no matter of rights."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": unique}}
    await api.create("/api/v1/namespaces", body)
    maps = f"/api/v1/namespaces/{unique}/configmaps"
    held = build_configmap("held") | {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    await api.create(maps, held)
    await api.delete(f"/api/v1/namespaces/{unique}")

    refused = await api.post(maps, build_configmap("late"))
    await api.patch(f"{maps}/held", {"metadata": {"finalizers": None}})

    assert refused.refused() == (403, "Forbidden")
    assert refused.message == (
        f'configmaps "late" is forbidden: unable to create new content in namespace {unique} because it is being '
        "terminated"
    )
    assert {
        "reason": "NamespaceTerminating",
        "message": f"namespace {unique} is being terminated",
        "field": "metadata.namespace",
    } in refused.body["details"]["causes"]
    await api.until_gone(f"/api/v1/namespaces/{unique}")
