"""Claims: a release of the chart td-redis-instance is one resource that the API server takes, of each kind."""

from __future__ import annotations

import json

import pytest
import yaml

from tdredis.api.kinds import KINDS, parse
from tdredis.api.validation import problems
from tests.charts.generated import INSTANCE, ROOT
from tests.charts.helm import (
    HAS_CHECKER,
    HELMS,
    Obj,
    RefusedError,
    refused_by_a_server,
    template,
)

TABLE: dict[str, Obj] = {
    **{kind: {"kind": kind} for kind in KINDS},
    "with all that a sample says": {
        "kind": "RedisCluster",
        "name": "redis-cluster-rat",
        "labels": {"team": "data"},
        "annotations": {"a": "b"},
        "keep": True,
        "spec": yaml.safe_load((ROOT / "samples/redis-cluster-rat.yaml").read_text())["spec"],
    },
    "on volumes, much memory": {"spec": {"capacity": 16777216, "storage": {"size": "20Gi", "retain": True}}},
}
pytestmark = pytest.mark.parametrize("program", HELMS)


@pytest.mark.parametrize("name", TABLE)
def test_a_release_is_one_resource_that_is_valid(program: str, name: str) -> None:
    values = TABLE[name]
    (made,) = template(program, INSTANCE, values, release="redis-tom", namespace="redis")

    assert made["kind"] == values.get("kind", "RedisStandby")
    assert made["metadata"]["name"] == values.get("name", "redis-tom")
    assert made["metadata"]["namespace"] == "redis"
    resource = parse(KINDS[made["kind"]], json.dumps(made).encode())
    assert problems(resource) == ()
    for field, value in values.get("spec", {}).items():
        assert made["spec"][field] == value
    assert made["metadata"].get("annotations", {}) == (
        {"helm.sh/resource-policy": "keep", "a": "b"} if "keep" in values else {}
    )


@pytest.mark.skipif(not HAS_CHECKER, reason="the checker is not here")
def test_a_modern_server_takes_each(program: str) -> None:
    definitions = list(yaml.safe_load_all((ROOT / "deploy/crds/cache.tongdun.net.yaml").read_text()))
    made = [
        each
        for number, values in enumerate(TABLE.values())
        for each in template(program, INSTANCE, {**values, "name": f"redis-{number}"}, release="redis-tom")
    ]

    assert refused_by_a_server([*definitions, *made]) == []


WRONG: dict[str, tuple[Obj, str]] = {
    "a kind that is none": ({"kind": "Redis"}, "kind.*(must be one of|one of)"),
    "a field that is none": ({"spec": {"capasity": 1}}, r"capasity\b.*not allowed"),
    "a field of another kind": ({"kind": "RedisStandalone", "spec": {"size": 3}}, r"size\b.*not allowed"),
    "a size in words": ({"kind": "RedisCluster", "spec": {"size": "three"}}, "size.*(expected: integer|want integer)"),
    "a netmode": ({"spec": {"netmode": "Ingress"}}, "netmode.*(must be one of|one of)"),
    "a value that is none": ({"specs": {}}, r"specs\b.*not allowed"),
    "within a field": ({"spec": {"storage": {"sise": "1Gi"}}}, r"sise\b.*not allowed"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_no_server_would_take_is_refused_before_it_is_asked(program: str, name: str) -> None:
    values, words = WRONG[name]

    with pytest.raises(RefusedError, match=f"(?is){words}"):
        template(program, INSTANCE, values, release="redis-tom")
