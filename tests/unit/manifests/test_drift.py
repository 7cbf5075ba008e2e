"""Drift: what the server adds is none, what somebody changed is."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdredis.manifests.children import build_children
from tdredis.manifests.drift import difference, parse_quantity
from tests.kit.builders import PASSWORDS, SITE, sample

MANIFESTS = build_children(sample(), SITE, PASSWORDS)


def leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(node, dict):
        return [found for key, value in node.items() for found in leaves(value, (*path, key))]
    if isinstance(node, list):
        return [found for index, value in enumerate(node) for found in leaves(value, (*path, index))]
    return [path]


def dicts(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        return [node, *(found for value in node.values() for found in dicts(value))]
    if isinstance(node, list):
        return [found for value in node for found in dicts(value)]
    return []


@given(st.data())
def test_what_the_server_adds_is_no_drift(data: st.DataObject) -> None:
    desired = data.draw(st.sampled_from(MANIFESTS))
    live = copy.deepcopy(desired)
    for place in data.draw(st.lists(st.sampled_from(range(len(dicts(live)))), max_size=5)):
        dicts(live)[place]["addedByTheServer"] = data.draw(st.sampled_from([True, "text", 7, {"a": 1}]))

    assert difference(desired, live) is None


@given(st.data())
def test_a_wanted_leaf_that_somebody_changed_is_drift(data: st.DataObject) -> None:
    desired = data.draw(st.sampled_from(MANIFESTS))
    paths = [path for path in leaves(desired) if path[0] not in ("apiVersion", "kind")]
    path = data.draw(st.sampled_from(paths))
    live: Any = copy.deepcopy(desired)
    node = live
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = "somebody else's"

    assert difference(desired, live) is not None


@given(st.data())
def test_a_list_that_grew_is_drift(data: st.DataObject) -> None:
    desired: Any = {"spec": {"ports": data.draw(st.lists(st.integers(), max_size=3))}}
    live: Any = {"spec": {"ports": [*desired["spec"]["ports"], 7]}}

    assert difference(desired, live) == "spec.ports"


@pytest.mark.parametrize(
    ("desired", "live", "expected"),
    [
        ({"spec": {"a": [{"b": 1}]}}, {"spec": {"a": [{"b": 2}]}}, "spec.a[0].b"),
        ({"spec": {"limits": {"cpu": "1000m"}}}, {"spec": {"limits": {"cpu": "1"}}}, None),
        ({"spec": {"limits": {"cpu": "1000m"}}}, {"spec": {"limits": {"cpu": "1001m"}}}, "spec.limits.cpu"),
        ({"data": {"size": "1000m"}}, {"data": {"size": "1"}}, "data.size"),
        ({"spec": {"emptyDir": {}}}, {"spec": {}}, None),
        ({"spec": {"paused": False}}, {"spec": {}}, "spec.paused"),
        ({"spec": {"paused": True}}, {"spec": {}}, "spec.paused"),
        ({"spec": {"paused": True}}, {"spec": {"paused": 1}}, "spec.paused"),
        ({"spec": {"tty": False, "hostPort": 0}}, {"spec": {}}, None),
        ({"spec": {"tty": True}}, {"spec": {}}, "spec.tty"),
        ({"apiVersion": "v1", "kind": "X"}, {}, None),
    ],
)
def test_differences_are_named_by_their_path(desired: Any, live: Any, expected: str | None) -> None:
    assert difference(desired, live) == expected


@pytest.mark.parametrize(("text", "number"), [("64Gi", 64 * 2**30), ("2", 2), ("1e3", 1000), ("x", None)])
def test_quantities_are_numbers(text: str, number: int | None) -> None:
    assert parse_quantity(text) == number
