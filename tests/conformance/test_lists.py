"""Claims: what LIST promises: selectors, pages, tables, and deletion of a whole selection."""

from __future__ import annotations

import pytest

from tests.conformance.client import Api
from tests.conformance.namespace import Namespace, build_configmap, build_pod, names

LABELS = {"a": {"tier": "red"}, "b": {"tier": "blue"}, "c": {"tier": "blue", "extra": "1"}, "d": {}}

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture
async def labelled(ns: Namespace) -> Namespace:
    for name, labels in LABELS.items():
        body = build_configmap(name)
        body["metadata"]["labels"] = labels | {"made-by": "conformance"}
        await ns.create("configmaps", body)
    return ns


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("tier=blue", ["b", "c"]),
        ("tier==blue,extra=1", ["c"]),
        ("tier!=blue", ["a", "d"]),  # an object without the label is not equal
        ("tier in (red,blue)", ["a", "b", "c"]),
        ("tier notin (red)", ["b", "c", "d"]),
        ("tier", ["a", "b", "c"]),
        ("!tier", ["d"]),
    ],
)
async def test_label_selector(labelled: Namespace, selector: str, expected: list[str]) -> None:
    found = await labelled.items("configmaps", labelSelector=f"made-by=conformance,{selector}")

    assert names(found) == expected


async def test_an_unreadable_label_selector_is_400(ns: Namespace) -> None:
    answer = await ns.api.get(ns.path("configmaps"), labelSelector="tier in (")

    assert answer.refused() == (400, "BadRequest")


async def test_field_selector_by_name(labelled: Namespace) -> None:
    assert names(await labelled.items("configmaps", fieldSelector="metadata.name=b")) == ["b"]


async def test_field_selectors_of_pods(ns: Namespace) -> None:
    await ns.takes_pods()
    await ns.create("pods", build_pod("nowhere", nodeSelector={"conformance.example.com/absent": "yes"}))

    unbound = await ns.items("pods", fieldSelector="spec.nodeName=,status.phase=Pending")
    bound = await ns.items("pods", fieldSelector="spec.nodeName!=")

    assert (names(unbound), names(bound)) == (["nowhere"], [])


async def test_an_unsupported_field_selector_is_400_never_everything(labelled: Namespace) -> None:
    answer = await labelled.api.get(labelled.path("configmaps"), fieldSelector="data.k=v")

    assert answer.refused() == (400, "BadRequest")
    assert "data.k" in answer.message


async def test_pages_show_every_object_once_and_one_resource_version(labelled: Namespace) -> None:
    path = labelled.path("configmaps")
    query: dict[str, str | int] = {"limit": 2, "labelSelector": "made-by=conformance"}

    pages = [await labelled.api.read(path, **query)]
    while token := pages[-1]["metadata"].get("continue"):
        pages.append(await labelled.api.read(path, **query, **{"continue": token}))

    assert len(pages[0]["items"]) == 2
    assert [o["metadata"]["name"] for page in pages for o in page["items"]] == ["a", "b", "c", "d"]
    assert len({page["metadata"]["resourceVersion"] for page in pages}) == 1


async def test_later_pages_do_not_see_later_objects(labelled: Namespace) -> None:
    path = labelled.path("configmaps")
    first = await labelled.api.read(path, limit=2, labelSelector="made-by=conformance")
    late = build_configmap("c-late")
    late["metadata"]["labels"] = {"made-by": "conformance"}
    await labelled.create("configmaps", late)

    token = first["metadata"]["continue"]
    second = await labelled.api.read(path, labelSelector="made-by=conformance", **{"continue": token})

    assert names(second["items"]) == ["c", "d"]


async def test_a_limit_that_suffices_leaves_nothing_to_continue(labelled: Namespace) -> None:
    page = await labelled.api.read(labelled.path("configmaps"), limit=10, labelSelector="made-by=conformance")

    assert (len(page["items"]), "continue" in page["metadata"]) == (4, False)


async def test_a_list_says_its_kind_and_is_sorted_by_name(labelled: Namespace) -> None:
    listed = await labelled.api.read(labelled.path("configmaps"), labelSelector="made-by=conformance")

    assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
    assert [o["metadata"]["name"] for o in listed["items"]] == ["a", "b", "c", "d"]
    assert not [o for o in listed["items"] if "kind" in o or "apiVersion" in o]


async def test_a_list_over_all_namespaces_finds_ours(labelled: Namespace) -> None:
    listed = await labelled.api.read("/api/v1/configmaps", labelSelector="made-by=conformance,tier=red")

    assert ("a", labelled.name) in {(o["metadata"]["name"], o["metadata"]["namespace"]) for o in listed["items"]}


async def test_nothing_found_is_an_empty_list(ns: Namespace) -> None:
    listed = await ns.api.read(ns.path("secrets"), labelSelector="tier=none")

    assert listed["items"] == []
    assert int(listed["metadata"]["resourceVersion"]) > 0


async def test_delete_collection_takes_the_selection_only(labelled: Namespace) -> None:
    (await labelled.api.delete(labelled.path("configmaps"), labelSelector="made-by=conformance,tier=blue")).accepted()

    left = await labelled.items("configmaps", labelSelector="made-by=conformance")
    assert names(left) == ["a", "d"]


async def test_a_table_has_columns_rows_and_the_object_behind_each(labelled: Namespace) -> None:
    answer = await labelled.api.request(
        "GET", labelled.path("configmaps"), accept=TABLE, query={"labelSelector": "made-by=conformance"}
    )

    table = answer.accepted()
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert [row["cells"][0] for row in table["rows"]] == ["a", "b", "c", "d"]
    assert {row["object"]["kind"] for row in table["rows"]} == {"PartialObjectMetadata"}


async def test_a_watch_and_a_list_of_an_unknown_kind_are_404(api: Api) -> None:
    listed = await api.get("/apis/conformance.example.com/v1/unicorns")
    watched = await api.get("/apis/conformance.example.com/v1/unicorns", watch="true")

    assert (listed.status, watched.status) == (404, 404)
