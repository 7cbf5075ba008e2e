"""Claims: what a custom resource definition gives: validation, defaults, pruning, columns, discovery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.client import Access, Obj
from tests.conformance.custom import Custom, build_gadgets, build_ruled_gadgets, install, installed, remove
from tests.conformance.namespace import Namespace
from tests.conformance.test_storage import build_claim

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture(scope="module")
def gadgets(access: Access) -> Iterator[Custom]:
    with installed(access, build_gadgets()) as custom:
        yield custom


@pytest.fixture(scope="module")
def ruled(access: Access) -> Iterator[Custom]:
    with installed(access, build_ruled_gadgets()) as custom:
        yield custom


async def create(ns: Namespace, custom: Custom, name: str = "a", **fields: Any) -> Obj:
    return await ns.api.create(custom.path(ns.name), custom.build(name, **fields))


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ({"size": 2}, "spec.size", "should be greater than or equal to 3"),
        ({"size": 10}, "spec.size", "should be less than or equal to 9"),
        ({"size": "3"}, "spec.size", 'must be of type integer: "string"'),
        ({"size": 3.5}, "spec.size", "must be of type integer"),
        ({}, "spec.size", "Required value"),
        ({"size": 3, "mode": "wild"}, "spec.mode", 'Unsupported value: "wild": supported values: "fast", "safe"'),
        ({"size": 3, "code": "A1"}, "spec.code", "should match '^[a-z]+$'"),
        ({"size": 3, "tags": {"a": 1}}, "spec.tags.a", 'must be of type string: "integer"'),
        pytest.param(
            {"size": 3, "parts": [{"weight": 1}]},
            "spec.parts[0].name",  # older servers leave out the index
            "Required value",
            marks=pytest.mark.needs_version("1.25"),
        ),
        (
            {"size": 3, "parts": [{"name": "x"}, {"name": "x"}]},
            "spec.parts[1]",
            "Duplicate value: ",
        ),
    ],
)
async def test_a_value_against_the_schema_is_422_with_path_and_reason(
    ns: Namespace, gadgets: Custom, spec: Obj, field: str, words: str
) -> None:
    answer = await ns.api.post(gadgets.path(ns.name), gadgets.build("a", spec=spec))

    assert answer.refused() == (422, "Invalid")
    assert answer.message.startswith(f'Gadget.{gadgets.group} "a" is invalid: ')
    assert field in {cause["field"] for cause in answer.body["details"]["causes"]}
    assert f"{field}: " in answer.message
    assert words in answer.message


async def test_two_faults_are_told_at_once(ns: Namespace, gadgets: Custom) -> None:
    answer = await ns.api.post(gadgets.path(ns.name), gadgets.build("a", spec={"size": 2, "code": "lengthy"}))

    assert {cause["field"] for cause in answer.body["details"]["causes"]} == {"spec.size", "spec.code"}


async def test_defaults_are_written_where_their_parent_is(ns: Namespace, gadgets: Custom) -> None:
    bare = await create(ns, gadgets, "a", spec={"size": 3})
    with_parent = await create(ns, gadgets, "b", spec={"size": 3, "nested": {}})

    assert bare["spec"] == {"size": 3, "mode": "safe"}
    assert with_parent["spec"] == {"size": 3, "mode": "safe", "nested": {"depth": 7}}


async def test_unknown_fields_are_pruned_unless_the_schema_keeps_them(ns: Namespace, gadgets: Custom) -> None:
    spec = {"size": 3, "sise": 4, "loose": {"any": {"thing": 1}}}

    made = await create(ns, gadgets, spec=spec, stray=1)

    assert made["spec"] == {"size": 3, "mode": "safe", "loose": {"any": {"thing": 1}}}
    assert "stray" not in made


@pytest.mark.needs_version("1.25")
async def test_strict_validation_refuses_unknown_and_duplicate_fields(ns: Namespace, gadgets: Custom) -> None:
    body = gadgets.build("a", spec={"size": 3, "sise": 4})

    answer = await ns.api.post(gadgets.path(ns.name), body, fieldValidation="Strict")

    assert answer.refused() == (400, "BadRequest")
    assert 'strict decoding error: unknown field "spec.sise"' in answer.message


@pytest.mark.needs_version("1.25")
async def test_warn_validation_says_so_in_a_header(ns: Namespace, gadgets: Custom) -> None:
    body = gadgets.build("a", spec={"size": 3, "sise": 4})

    answer = await ns.api.post(gadgets.path(ns.name), body, fieldValidation="Warn")

    assert answer.status == 201
    assert answer.headers["Warning"] == '299 - "unknown field \\"spec.sise\\""'


async def test_a_replace_is_validated_too(ns: Namespace, gadgets: Custom) -> None:
    await create(ns, gadgets, spec={"size": 3})

    answer = await ns.api.patch(gadgets.path(ns.name, "a"), {"spec": {"size": 1}})

    assert answer.refused() == (422, "Invalid")


async def test_status_and_generation_of_a_custom_resource(ns: Namespace, gadgets: Custom) -> None:
    path = gadgets.path(ns.name, "a")
    made = await create(ns, gadgets, spec={"size": 3}, status={"phase": "Forged"})
    reported = (await ns.api.patch(path + "/status", {"status": {"phase": "Ready"}, "spec": {"size": 9}})).accepted()
    respecified = (await ns.api.patch(path, {"spec": {"size": 4}, "status": {"phase": "Forged"}})).accepted()

    assert "status" not in made
    assert (reported["spec"]["size"], reported["status"]) == (3, {"phase": "Ready"})
    assert (respecified["spec"]["size"], respecified["status"]) == (4, {"phase": "Ready"})
    assert [o["metadata"]["generation"] for o in (made, reported, respecified)] == [1, 1, 2]


async def test_status_is_applied_through_its_own_path(ns: Namespace, gadgets: Custom) -> None:
    path = gadgets.path(ns.name, "a")
    await create(ns, gadgets, spec={"size": 3})

    first = (await ns.api.apply(path + "/status", gadgets.build("a", status={"phase": "Ready"}))).accepted()
    again = (await ns.api.apply(path + "/status", gadgets.build("a", status={"phase": "Ready"}))).accepted()

    assert (first["status"], first["spec"]["size"]) == ({"phase": "Ready"}, 3)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_status_of_what_is_absent_is_404(ns: Namespace, gadgets: Custom) -> None:
    answer = await ns.api.patch(gadgets.path(ns.name, "absent") + "/status", {"status": {"phase": "Ready"}})

    assert answer.refused() == (404, "NotFound")


async def test_scale_reads_and_writes_the_fields_it_is_told(ns: Namespace, gadgets: Custom) -> None:
    path = gadgets.path(ns.name, "a")
    await create(ns, gadgets, spec={"size": 3})

    scale = await ns.api.read(path + "/scale")
    (await ns.api.patch(path + "/scale", {"spec": {"replicas": 5}})).accepted()

    assert (scale["kind"], scale["spec"], scale["status"]["replicas"]) == ("Scale", {"replicas": 3}, 0)
    assert (await ns.api.read(path))["spec"]["size"] == 5


async def test_printer_columns_are_the_table(ns: Namespace, gadgets: Custom) -> None:
    await create(ns, gadgets, spec={"size": 3})
    await ns.api.patch(gadgets.path(ns.name, "a") + "/status", {"status": {"phase": "Ready"}})

    table = (await ns.api.request("GET", gadgets.path(ns.name), accept=TABLE)).accepted()

    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Phase", "Size", "Age"]
    assert [row["cells"][:3] for row in table["rows"]] == [["a", "Ready", 3]]


async def test_discovery_tells_names_and_subresources(ns: Namespace, gadgets: Custom) -> None:
    resources = {r["name"]: r for r in (await ns.api.read(f"/apis/{gadgets.version}"))["resources"]}

    main = resources["gadgets"]
    assert (main["kind"], main["singularName"], main["namespaced"]) == ("Gadget", "gadget", True)
    assert (main["shortNames"], main["categories"]) == (gadgets.crd["spec"]["names"]["shortNames"], ["redis"])
    assert {"create", "delete", "get", "list", "patch", "update", "watch"} <= set(main["verbs"])
    assert set(resources) == {"gadgets", "gadgets/status", "gadgets/scale"}


async def test_applied_lists_of_custom_resources_merge_by_key(ns: Namespace, gadgets: Custom) -> None:
    path = gadgets.path(ns.name, "a")
    await create(ns, gadgets, spec={"size": 3})

    def parts(*items: Obj) -> Obj:
        return gadgets.build("a", spec={"parts": list(items)})

    (await ns.api.apply(path, parts({"name": "x", "weight": 1}), manager="first")).accepted()
    (await ns.api.apply(path, parts({"name": "y", "weight": 2}), manager="second")).accepted()
    conflict = await ns.api.apply(path, parts({"name": "x", "weight": 9}), manager="second")
    left = (await ns.api.apply(path, parts(), manager="first")).accepted()

    assert conflict.refused() == (409, "Conflict")
    assert conflict.body["details"]["causes"][0]["field"] == '.spec.parts[name="x"].weight'
    assert left["spec"]["parts"] == [{"name": "y", "weight": 2}]


async def test_objects_and_watches_go_with_their_definition(ns: Namespace, access: Access) -> None:
    short_lived = await install(access, build_gadgets())
    made = await ns.api.create(short_lived.path(ns.name), short_lived.build("a", spec={"size": 3}))

    async with ns.api.watch(short_lived.path(ns.name), resourceVersion=made["metadata"]["resourceVersion"]) as watch:
        await remove(access, short_lived)
        [event] = await watch.take(1)
    await ns.api.until_gone(short_lived.path(ns.name))

    assert event.seen == ("DELETED", "a")


@pytest.mark.needs_version("1.25")
async def test_a_broken_rule_is_422_with_its_own_message(ns: Namespace, ruled: Custom) -> None:
    answer = await ns.api.post(ruled.path(ns.name), ruled.build("a", spec={"size": 3, "code": "ab"}))

    assert answer.refused() == (422, "Invalid")
    [cause] = answer.body["details"]["causes"]
    assert (cause["field"], cause["reason"]) == ("spec", "FieldValueInvalid")
    assert cause["message"].endswith("a code needs more than 3")


@pytest.mark.needs_version("1.27")
async def test_a_rule_may_word_its_message_with_the_values(ns: Namespace, ruled: Custom) -> None:
    tags = {str(n): "x" for n in range(5)}

    answer = await ns.api.post(ruled.path(ns.name), ruled.build("a", spec={"size": 3, "tags": tags}))

    assert answer.refused() == (422, "Invalid")
    assert "mode safe allows no more than size tags" in answer.message


@pytest.mark.needs_version("1.25")
async def test_a_rule_about_the_old_value_forbids_a_change_only(ns: Namespace, ruled: Custom) -> None:
    path = ruled.path(ns.name, "a")
    await create(ns, ruled, spec={"size": 3, "mode": "fast"})

    changed = await ns.api.patch(path, {"spec": {"mode": "safe"}})
    other = await ns.api.patch(path, {"spec": {"size": 4}})

    assert changed.refused() == (422, "Invalid")
    assert "mode cannot be changed" in changed.message
    assert other.accepted()["spec"] == {"size": 4, "mode": "fast"}


@pytest.mark.needs_version("1.25")
async def test_a_definition_with_a_rule_that_does_not_compile_is_refused(access: Access, ns: Namespace) -> None:
    crd = build_ruled_gadgets()
    crd["spec"]["group"] = f"{ns.name}.example.com"
    crd["metadata"] = {"name": f"gadgets.{ns.name}.example.com"}
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["x-kubernetes-validations"] = [{"rule": "self.nonsense > 1"}]

    answer = await ns.api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)

    assert answer.refused() == (422, "Invalid")
    assert "nonsense" in answer.message


async def test_a_schema_that_is_not_structural_is_refused(ns: Namespace) -> None:
    crd = build_gadgets()
    crd["spec"]["group"] = f"{ns.name}.example.com"
    crd["metadata"] = {"name": f"gadgets.{ns.name}.example.com"}
    properties = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    del properties["code"]["type"]

    answer = await ns.api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)

    assert answer.refused() == (422, "Invalid")
    assert "properties[spec].properties[code].type: Required value" in answer.message


async def test_a_claim_goes_with_the_custom_resource_that_owns_it(ns: Namespace, gadgets: Custom) -> None:
    path = gadgets.path(ns.name, "g")
    owner = await ns.api.create(gadgets.path(ns.name), gadgets.build("g", spec={"size": 3}))
    body = build_claim("c")
    reference = {"apiVersion": gadgets.version, "kind": owner["kind"], "name": "g", "uid": owner["metadata"]["uid"]}
    body["metadata"]["ownerReferences"] = [reference | {"controller": True, "blockOwnerDeletion": True}]
    await ns.create("persistentvolumeclaims", body)
    await ns.create("persistentvolumeclaims", build_claim("other"))

    (await ns.api.delete(path)).accepted()

    await ns.api.until_gone(ns.path("persistentvolumeclaims", "c"))
    assert (await ns.read("persistentvolumeclaims", "other"))["metadata"].get("deletionTimestamp") is None
