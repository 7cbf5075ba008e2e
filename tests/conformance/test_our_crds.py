"""Claims: the definitions in deploy/crds hold on the server: they take the published sample and refuse nonsense."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conformance.client import Access, Obj
from tests.conformance.custom import CRDS, Custom, installed, read_ours
from tests.conformance.namespace import Namespace, condition

SAMPLE = Path(__file__).parents[2] / "samples" / "redis-cluster-rat.yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture(scope="module")
def clusters(access: Access) -> Iterator[Custom]:
    [definition] = [crd for crd in read_ours() if crd["spec"]["names"]["kind"] == "RedisCluster"]
    with installed(access, definition) as custom:
        yield custom


def build_sample(clusters: Custom, **changes: object) -> Obj:
    """The published sample, with the group under which this suite installs it; None leaves a field out."""
    spec = yaml.safe_load(SAMPLE.read_text())["spec"] | changes
    # Older servers take "" for null when they validate; absent means the same to us.
    return clusters.build("redis-cluster-rat", spec={k: v for k, v in spec.items() if v not in {None, ""}})


async def test_our_definitions_are_structural(clusters: Custom) -> None:
    assert not condition(clusters.crd, "NonStructuralSchema")
    assert condition(clusters.crd, "NamesAccepted")["status"] == "True"


@pytest.mark.needs_version("1.25")  # older ones leave out rules that they do not know
async def test_what_we_publish_is_what_is_stored_so_that_two_may_apply_it(ns: Namespace, clusters: Custom) -> None:
    [ours] = [crd for crd in read_ours() if crd["spec"]["names"]["kind"] == "RedisCluster"]
    spec = ours["spec"] | {name: clusters.crd["spec"][name] for name in ("group", "names")}
    path = f"{CRDS}/{clusters.crd['metadata']['name']}"
    body = {"apiVersion": ours["apiVersion"], "kind": ours["kind"], "spec": spec}

    applied = [(await ns.api.apply(path, body, manager=each)).accepted() for each in ("kubectl", "another")]

    assert [each["metadata"]["generation"] for each in applied] == [clusters.crd["metadata"]["generation"]] * 2
    assert applied[-1]["spec"]["versions"] == spec["versions"]


async def test_the_published_sample_is_taken_and_kept(ns: Namespace, clusters: Custom) -> None:
    body = build_sample(clusters)

    made = await ns.api.create(clusters.path(ns.name), body)

    assert {k: made["spec"][k] for k in body["spec"]} == body["spec"]


async def test_the_sample_can_be_applied_twice(ns: Namespace, clusters: Custom) -> None:
    path = clusters.path(ns.name, "redis-cluster-rat")
    first = (await ns.api.apply(path, build_sample(clusters))).accepted()

    again = (await ns.api.apply(path, build_sample(clusters))).accepted()

    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"size": 2}, "spec.size"),
        ({"size": "3"}, "spec.size"),
        ({"size": None}, "spec.size"),
        ({"env": "test"}, "spec.env"),
        ({"netmode": "HostNetwork"}, "spec.netmode"),
        ({"capacity": -1}, "spec.capacity"),
        ({"image": None}, "spec.image"),
    ],
)
async def test_nonsense_is_refused_with_the_field_it_is_in(
    ns: Namespace, clusters: Custom, changes: Obj, field: str
) -> None:
    answer = await ns.api.post(clusters.path(ns.name), build_sample(clusters, **changes))

    assert answer.refused() == (422, "Invalid")
    assert field in {cause["field"] for cause in answer.body["details"]["causes"]}


@pytest.mark.needs_version("1.25")
async def test_an_unknown_field_is_refused_by_its_name(ns: Namespace, clusters: Custom) -> None:
    answer = await ns.api.post(clusters.path(ns.name), build_sample(clusters, sise=3), fieldValidation="Strict")

    assert answer.refused() == (400, "BadRequest")
    assert 'unknown field "spec.sise"' in answer.message


@pytest.mark.needs_version("1.25")
async def test_too_little_capacity_is_refused_with_what_to_write(ns: Namespace, clusters: Custom) -> None:
    answer = await ns.api.post(clusters.path(ns.name), build_sample(clusters, capacity=16))

    assert answer.refused() == (422, "Invalid")
    assert "write 16 (MiB) times size or more" in answer.message


@pytest.mark.needs_version("1.25")
async def test_a_name_too_long_for_its_children_is_refused(ns: Namespace, clusters: Custom) -> None:
    body = build_sample(clusters)
    body["metadata"]["name"] = "x" * 60

    answer = await ns.api.post(clusters.path(ns.name), body)

    assert answer.refused() == (422, "Invalid")
    assert "metadata.name is too long" in answer.message


async def test_our_columns_are_shown(ns: Namespace, clusters: Custom) -> None:
    await ns.api.create(clusters.path(ns.name), build_sample(clusters))
    status = {"status": {"phase": "Ready", "clusterIP": "10.0.0.1:6379", "size": 3, "capacity": 32768}}
    (await ns.api.patch(clusters.path(ns.name, "redis-cluster-rat") + "/status", status)).accepted()

    table = (await ns.api.request("GET", clusters.path(ns.name), accept=TABLE)).accepted()

    columns = [c["name"].upper() for c in table["columnDefinitions"]]
    assert columns == ["NAME", "PHASE", "SIZE", "CAPACITY", "ADDRESS", "AGE"]
    assert table["rows"][0]["cells"][:5] == ["redis-cluster-rat", "Ready", 3, 32768, "10.0.0.1:6379"]
