"""Claims: what server-side apply promises: who owns which field, what a conflict says, what dropping a field does."""

from __future__ import annotations

from tests.conformance.client import Obj
from tests.conformance.namespace import Namespace, build_configmap, build_deployment


def build(**data: str) -> Obj:
    return build_configmap("a", **data)


def owned(obj: Obj, manager: str, operation: str = "Apply") -> Obj:
    """The field set of one manager; empty when it owns nothing."""
    found: list[Obj] = [
        entry["fieldsV1"]
        for entry in obj["metadata"]["managedFields"]
        if (entry["manager"], entry["operation"]) == (manager, operation)
    ]
    return found[0] if found else {}


async def test_apply_creates_with_201_then_updates_with_200(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")

    created = await ns.api.apply(path, build(k="1"))
    updated = await ns.api.apply(path, build(k="2"))

    assert (created.status, updated.status) == (201, 200)
    assert updated.accepted()["data"] == {"k": "2"}


async def test_apply_records_exactly_what_was_applied(ns: Namespace) -> None:
    body = build(k="1")
    body["metadata"]["labels"] = {"l": "1"}

    made = (await ns.api.apply(ns.path("configmaps", "a"), body)).accepted()

    [entry] = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"], entry["fieldsType"]) == (
        "first",
        "Apply",
        "v1",
        "FieldsV1",
    )
    assert owned(made, "first")["f:data"] == {"f:k": {}}
    assert "f:l" in owned(made, "first")["f:metadata"]["f:labels"]


async def test_the_same_apply_again_keeps_the_resource_version(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")
    first = (await ns.api.apply(path, build(k="1"))).accepted()

    again = (await ns.api.apply(path, build(k="1"))).accepted()

    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_the_same_apply_of_a_deployment_keeps_its_generation(ns: Namespace) -> None:
    path = ns.path("deployments", "a")
    body = build_deployment("a", replicas=0)
    (await ns.api.apply(path, body)).accepted()
    settled = await ns.until("deployments", "a", lambda d: d.get("status", {}).get("observedGeneration") == 1)

    again = (await ns.api.apply(path, body)).accepted()

    assert again["metadata"]["generation"] == settled["metadata"]["generation"] == 1


async def test_a_field_no_longer_applied_is_removed(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")
    await ns.api.apply(path, build(k="1", gone="1"))

    updated = (await ns.api.apply(path, build(k="1"))).accepted()

    assert updated["data"] == {"k": "1"}


async def test_a_field_of_somebody_else_stays(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")
    await ns.api.apply(path, build(mine="1"), manager="first")
    await ns.api.apply(path, build(theirs="1"), manager="second")

    updated = (await ns.api.apply(path, build(mine="2"), manager="first")).accepted()

    assert updated["data"] == {"mine": "2", "theirs": "1"}


async def test_a_field_that_another_owns_too_survives_our_dropping_it(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")
    await ns.api.apply(path, build(shared="1"), manager="first")
    await ns.api.apply(path, build(shared="1"), manager="second")

    dropped = (await ns.api.apply(path, build(), manager="first")).accepted()

    assert dropped["data"] == {"shared": "1"}


async def test_changing_anothers_field_is_409_and_names_owner_and_field(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")
    await ns.api.apply(path, build(k="1"), manager="first")

    answer = await ns.api.apply(path, build(k="2"), manager="second")

    assert answer.refused() == (409, "Conflict")
    [cause] = answer.body["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".data.k")
    assert 'conflict with "first"' in cause["message"]
    assert (await ns.read("configmaps", "a"))["data"] == {"k": "1"}


async def test_force_takes_the_field_and_its_ownership(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")
    await ns.api.apply(path, build(k="1"), manager="first")

    taken = (await ns.api.apply(path, build(k="2"), manager="second", force=True)).accepted()

    assert taken["data"] == {"k": "2"}
    assert owned(taken, "second")["f:data"] == {"f:k": {}}
    assert "f:k" not in owned(taken, "first").get("f:data", {})


async def test_a_field_written_by_update_conflicts_with_apply(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")
    await ns.api.create(ns.path("configmaps"), build(k="1"), fieldManager="writer")

    answer = await ns.api.apply(path, build(k="2"), manager="first")

    assert answer.refused() == (409, "Conflict")
    assert 'conflict with "writer" using v1' in answer.message


async def test_an_update_takes_ownership_of_what_it_changes(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")
    await ns.api.apply(path, build(k="1", other="1"), manager="first")

    patched = (await ns.api.patch(path, {"data": {"k": "2"}}, fieldManager="writer")).accepted()

    assert owned(patched, "writer", "Update")["f:data"] == {"f:k": {}}
    assert set(owned(patched, "first")["f:data"]) - {"."} == {"f:other"}


async def test_apply_needs_a_field_manager(ns: Namespace) -> None:
    answer = await ns.api.patch(ns.path("configmaps", "a"), build(k="1"), "application/apply-patch+yaml")

    assert answer.status in {400, 422}
    assert "fieldManager" in answer.message


async def test_apply_refuses_managed_fields_in_its_body(ns: Namespace) -> None:
    made = (await ns.api.apply(ns.path("configmaps", "a"), build(k="1"))).accepted()

    answer = await ns.api.apply(ns.path("configmaps", "a"), made)

    assert answer.refused() == (400, "BadRequest")
    assert "metadata.managedFields must be nil" in answer.message


async def test_apply_with_a_stale_version_is_409(ns: Namespace) -> None:
    path = ns.path("configmaps", "a")
    first = (await ns.api.apply(path, build(k="1"))).accepted()
    (await ns.api.apply(path, build(k="2"))).accepted()
    stale = build(k="3")
    stale["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"]

    assert (await ns.api.apply(path, stale)).refused() == (409, "Conflict")


async def test_apply_takes_yaml(ns: Namespace) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: |\n    one\n    two\n"

    made = (await ns.api.apply(ns.path("configmaps", "a"), text)).accepted()

    assert made["data"] == {"k": "one\ntwo\n"}


async def test_lists_with_keys_merge_item_by_item(ns: Namespace) -> None:
    path = ns.path("services", "a")

    def service(*ports: Obj) -> Obj:
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": list(ports)}}

    one, two = {"name": "one", "port": 1001, "protocol": "TCP"}, {"name": "two", "port": 1002, "protocol": "TCP"}
    await ns.api.apply(path, service(one), manager="first")

    both = (await ns.api.apply(path, service(two), manager="second")).accepted()
    only_two = (await ns.api.apply(path, service(), manager="first")).accepted()

    assert {p["name"] for p in both["spec"]["ports"]} == {"one", "two"}
    assert [p["name"] for p in only_two["spec"]["ports"]] == ["two"]


async def test_replicas_left_out_are_somebody_elses(ns: Namespace) -> None:
    """A scaler's word stays when the applier says nothing of replicas."""
    path = ns.path("deployments", "a")
    body = build_deployment("a", replicas=0)
    del body["spec"]["replicas"]
    body["spec"]["paused"] = True
    await ns.api.apply(path, body)
    (await ns.api.patch(path, {"spec": {"replicas": 0}}, fieldManager="scaler")).accepted()

    body["spec"]["minReadySeconds"] = 3
    again = (await ns.api.apply(path, body)).accepted()

    assert (again["spec"]["replicas"], again["spec"]["minReadySeconds"]) == (0, 3)
