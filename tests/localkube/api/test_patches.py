"""Claims about patches: JSON, merge and strategic, each by its own rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localkube.apply.fields import compare, fields_of, meet, minus, union
from localkube.apply.managed import merge
from localkube.apply.patches import json_patch, merge_patch
from localkube.apply.strategic import strategic_patch
from localkube.errors import ApiError
from localkube.schema.builtin import kind_schema

POD = kind_schema("Pod")


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), **spec}}


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "add", "path": "/a/-", "value": 3}], {"a": [1, 2, 3], "b~/": 0}),
        ([{"op": "add", "path": "/a/0", "value": 3}], {"a": [3, 1, 2], "b~/": 0}),
        ([{"op": "remove", "path": "/b~0~1"}], {"a": [1, 2]}),
        ([{"op": "replace", "path": "/a/1", "value": 9}], {"a": [1, 9], "b~/": 0}),
        (
            [{"op": "test", "path": "/a/0", "value": 1}, {"op": "move", "from": "/a/0", "path": "/c"}],
            {"a": [2], "b~/": 0, "c": 1},
        ),
        ([{"op": "copy", "from": "/a", "path": "/c"}], {"a": [1, 2], "b~/": 0, "c": [1, 2]}),
    ],
)
def test_json_patch_operations(operations: list[Any], expected: dict[str, Any]) -> None:
    assert json_patch({"a": [1, 2], "b~/": 0}, operations) == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/c"},
        {"op": "replace", "path": "/a/5", "value": 1},
        {"op": "test", "path": "/a/0", "value": 2},
        {"op": "add", "path": "/c/d", "value": 1},
    ],
)
def test_a_json_patch_that_does_not_apply_is_422(operation: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as refused:
        json_patch({"a": [1, 2]}, [operation])

    assert refused.value.code == 422


def test_merge_patch_removes_by_null_and_replaces_lists() -> None:
    patched = merge_patch({"a": {"b": 1, "c": 2}, "l": [1]}, {"a": {"b": None, "d": {"e": None, "f": 1}}, "l": [2]})

    assert patched == {"a": {"c": 2, "d": {"f": 1}}, "l": [2]}


def test_a_strategic_patch_merges_containers_by_name() -> None:
    before = pod({"name": "a", "image": "1"}, {"name": "b", "image": "1"})

    patched = strategic_patch(POD, before, pod({"name": "b", "image": "2"}, {"name": "c"}))

    assert patched == pod({"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c"})


def test_a_strategic_patch_deletes_and_orders_by_directive() -> None:
    before = pod({"name": "a"}, {"name": "b"}, {"name": "c"})
    patch = pod({"$patch": "delete", "name": "b"}, {"name": "d"})
    patch["spec"]["$setElementOrder/containers"] = [{"name": "d"}, {"name": "c"}, {"name": "a"}]

    assert strategic_patch(POD, before, patch) == pod({"name": "d"}, {"name": "c"}, {"name": "a"})


def test_a_strategic_patch_replaces_a_volume_source() -> None:
    before = pod(volumes=[{"name": "v", "emptyDir": {}}])
    patch = pod(volumes=[{"name": "v", "secret": {"secretName": "s"}, "$retainKeys": ["name", "secret"]}])
    del patch["spec"]["containers"]

    patched = strategic_patch(POD, before, patch)

    assert patched["spec"]["volumes"] == [{"name": "v", "secret": {"secretName": "s"}}]


def test_a_strategic_patch_replaces_lists_without_a_key() -> None:
    before = pod({"name": "a", "args": ["1", "2"]})

    assert strategic_patch(POD, before, pod({"name": "a", "args": ["3"]})) == pod({"name": "a", "args": ["3"]})


values = st.recursive(
    st.integers(0, 2), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6
)
maps = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
named = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("xyz")}, optional={"v": st.integers(0, 2)}),
    max_size=3,
    unique_by=lambda one: one["name"],
)
LIST_MAP = {
    "properties": {
        "l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {}}
    }
}


@given(maps, maps)
def test_what_is_taken_away_and_what_is_common_are_the_whole(one: dict[str, Any], other: dict[str, Any]) -> None:
    mine, theirs = fields_of({}, one) or None, fields_of({}, other) or None

    assert union(minus(mine, theirs), meet(mine, theirs)) == mine


@given(maps)
def test_nothing_is_left_of_a_set_without_itself(one: dict[str, Any]) -> None:
    mine = fields_of({}, one) or None

    assert minus(mine, mine) is None


@given(named, named)
def test_merging_keyed_lists_keeps_both_and_the_applied_order(live: list[Any], wanted: list[Any]) -> None:
    merged = merge(LIST_MAP, {"l": live}, {"l": wanted})["l"]

    names = [one["name"] for one in merged]
    assert sorted(names) == sorted({one["name"] for one in (*live, *wanted)})
    assert [name for name in names if name in {one["name"] for one in wanted}] == [one["name"] for one in wanted]


@given(maps, maps)
def test_applying_what_is_already_there_changes_no_field(live: dict[str, Any], wanted: dict[str, Any]) -> None:
    once = merge({}, live, wanted)

    assert compare({}, once, merge({}, once, wanted)) == (None, None)
