"""A quick yes is never wrong: where it is given, the long way round finds nothing either."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localkube.registry import Registry, copy_of
from localkube.schema.builtin import kind_schema
from localkube.schema.quick import certainly_fits, certainly_known
from localkube.schema.structural import unknown_fields, validate

NAMES = st.sampled_from(["a", "b", "metadata", "kind"])
LEAVES = st.one_of(
    st.sampled_from(
        [
            {"type": "string"},
            {"type": "string", "nullable": True},
            {"type": "string", "enum": ["a", "b"]},
            {"type": "string", "format": "date-time"},
            {"type": "string", "minLength": 2},
            {"type": "integer"},
            {"type": "integer", "minimum": 1},
            {"type": "number"},
            {"type": "boolean", "default": False},
            {"x-kubernetes-int-or-string": True},
            {"x-kubernetes-preserve-unknown-fields": True},
            {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
        ]
    )
)


def _with_parts(parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    nullable = st.sampled_from([{}, {"nullable": True}, {"x-kubernetes-preserve-unknown-fields": True}])
    objects = st.builds(
        lambda properties, required, more: {"type": "object", "properties": properties, "required": required, **more},
        st.dictionaries(NAMES, parts, max_size=3),
        st.lists(NAMES, max_size=1),
        nullable,
    )
    maps = st.builds(lambda part: {"type": "object", "additionalProperties": part}, parts | st.just(True))
    lists = st.builds(
        lambda part, kind: {"type": "array", "items": part, "x-kubernetes-list-type": kind, "maxItems": 3},
        parts,
        st.sampled_from(["atomic", "set"]),
    )
    plain_lists = st.builds(lambda part: {"type": "array", "items": part}, parts)
    return objects | maps | lists | plain_lists


SCHEMAS = st.recursive(LEAVES, _with_parts, max_leaves=6)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2)
    | st.sampled_from([0.5, 1.0])
    | st.sampled_from(["", "a", "2026-01-02T03:04:05Z", "2026-01-02"]),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(NAMES, parts, max_size=3),
    max_leaves=6,
)


@given(schema=SCHEMAS, value=VALUES)
def test_what_certainly_fits_has_no_fault(schema: dict[str, Any], value: Any) -> None:
    if certainly_fits(schema)(value):
        assert validate(schema, value) == []


@given(schema=SCHEMAS, value=VALUES)
def test_what_is_certainly_known_has_no_unknown_field(schema: dict[str, Any], value: Any) -> None:
    if certainly_known(schema)(value):
        assert unknown_fields(schema, value) == []


@pytest.mark.parametrize("resource", ["configmaps", "pods", "services", "leases.coordination.k8s.io"])
def test_the_yes_is_given_to_what_is_stored(resource: str) -> None:
    """Without it, the quick way would be one more thing to do."""
    registry = Registry()
    registry.create("namespaces", {"metadata": {"name": "default"}})
    container = {"name": "c", "image": "busybox", "readinessProbe": {"tcpSocket": {"port": 1}}}
    specs = {"pods": {"containers": [container]}, "services": {"ports": [{"port": 1}], "selector": {"a": "b"}}}
    content = {"spec": specs[resource]} if resource in specs else {}
    meta = {"name": "x", "namespace": "default", "labels": {"a": "b"}}
    stored = copy_of(registry.create(resource, {"metadata": meta, **content}))
    schema = kind_schema(registry.types.get(resource).kind)

    assert certainly_fits(schema)(stored)
    assert certainly_known(schema)(stored)


def test_neither_is_said_of_what_is_wrong() -> None:
    schema = kind_schema("ConfigMap")

    assert not certainly_fits(schema)({"data": {"a": 1}})
    assert not certainly_fits(schema)({"immutable": "true"})
    assert not certainly_known(schema)({"dta": {}})
    assert not certainly_known(schema)({"metadata": {"managedFields": [{"manger": "a"}]}})
