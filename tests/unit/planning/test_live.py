"""How objects that the API server has are read, and when they are read again."""

from __future__ import annotations

from typing import Any

import pytest

from tdredis.api.json_object import JSONObject
from tdredis.manifests.drift import stamp
from tdredis.planning.live import Live


def counted(found: JSONObject) -> tuple[Live, list[int]]:
    """And how often it was decoded."""
    times: list[int] = []

    def decode() -> JSONObject:
        times.append(1)
        return found

    return Live(decode), times


def config_map(data: str) -> JSONObject:
    return stamp(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}, "data": {"k": data}}
    )


def test_what_was_found_to_be_as_wanted_is_not_read_again() -> None:
    live, times = counted(config_map("x"))

    assert [live.lacks(config_map("x")) for _ in range(3)] == [None, None, None]
    assert len(times) == 1


def test_what_is_wanted_anew_is_compared_anew() -> None:
    live = Live.of(config_map("x"))

    assert live.lacks(config_map("x")) is None
    assert live.lacks(config_map("y")) is not None
    assert live.lacks(config_map("x")) is None


def test_a_secret_is_always_read_for_its_values_are_not_in_its_digest() -> None:
    def secret(value: str) -> JSONObject:
        return stamp({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"password": value}})

    live = Live.of(secret("old"))

    assert live.lacks(secret("old")) is None
    assert live.lacks(secret("new")) == "data.password"


@pytest.mark.parametrize(
    ("status", "generation", "expected"),
    [
        ({"observedGeneration": 3, "updateRevision": "r2"}, 3, "r2"),
        ({"observedGeneration": 2, "updateRevision": "r2"}, 3, None),
        ({}, 3, None),
    ],
)
def test_a_template_has_a_revision_once_its_controller_has_seen_it(
    status: dict[str, Any], generation: int, expected: str | None
) -> None:
    assert Live.of({"metadata": {"generation": generation}, "status": status}).revision == expected


@pytest.mark.parametrize(("address", "expected"), [("10.0.0.1", "10.0.0.1"), ("None", None), ("", None)])
def test_a_headless_service_has_no_address(address: str, expected: str | None) -> None:
    assert Live.of({"metadata": {}, "spec": {"clusterIP": address}}).cluster_ip == expected


def test_parts_that_are_not_there_yet_are_empty() -> None:
    live = Live.of({"metadata": {"name": "a"}})

    assert (live.service.ports, live.balancer_address, live.available_replicas, live.claim_templates) == (
        (),
        None,
        0,
        [],
    )
    assert (live.statefulset.replicas, live.target_pods, live.meta.labels) == (None, (), {})
