"""The CRD: made of the models, committed as made, and saying the same as the validation for old servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tdredis.api.crd import build_crds, render_crds
from tdredis.api.kinds import KINDS, parse
from tdredis.api.reference import render_references
from tdredis.api.rules import LONGEST_NAME
from tdredis.api.validation import problems
from tests.kit.builders import sample

ROOT = Path(__file__).parents[3]


CRDS: dict[str, Any] = {crd["metadata"]["name"]: crd["spec"] for crd in build_crds()}  # type: ignore[index, call-overload, misc]
SCHEMAS = {spec["names"]["kind"]: spec["versions"][0]["schema"]["openAPIV3Schema"] for spec in CRDS.values()}


def test_the_committed_crd_is_the_one_that_the_models_make() -> None:
    assert (ROOT / "deploy/crds/cache.tongdun.net.yaml").read_text() == render_crds()


def test_the_committed_references_are_those_that_the_models_make() -> None:
    made = render_references()

    assert {name: (ROOT / "docs/reference" / name).read_text() for name in made} == made


def test_every_field_is_described() -> None:
    def undescribed(node: Any, path: str) -> list[str]:
        found = []
        for name, part in node.get("properties", {}).items():
            if "description" not in part and path + name != "metadata":
                found.append(path + name)
            found += undescribed(part, f"{path}{name}.")
        for name in ("items", "additionalProperties"):  # what is within lists and maps, too
            if isinstance(node.get(name), dict):
                found += undescribed(node[name], path)
        return found

    assert {kind: undescribed(root, "") for kind, root in SCHEMAS.items()} == {kind: [] for kind in KINDS}


def test_nothing_is_written_that_a_server_leaves_out() -> None:
    """It writes no empty word, list or map of a schema: who applies one asks for a change, and a second who applies the
    same is told of a conflict.
    """

    def empty(node: Any, path: str) -> list[str]:
        if isinstance(node, dict):
            return [each for name, part in node.items() for each in empty(part, f"{path}.{name}")] if node else [path]
        if isinstance(node, list):
            return [each for number, part in enumerate(node) for each in empty(part, f"{path}[{number}]")] or (
                [] if node else [path]
            )
        return [path] if node in {"", None} else []

    assert {kind: empty(root, "") for kind, root in SCHEMAS.items()} == {kind: [] for kind in KINDS}


@pytest.mark.parametrize("name", ["redis-cluster-rat", "redis-standby-tom"])
def test_manifests_of_old_have_every_field_they_know(name: str) -> None:
    manifest = yaml.safe_load((ROOT / f"samples/{name}.yaml").read_text())
    known = set(SCHEMAS[manifest["kind"]]["properties"]["spec"]["properties"])

    assert set(manifest["spec"]) <= known
    assert problems(parse(KINDS[manifest["kind"]], manifest)) == ()


def test_kubectl_shows_what_people_ask_for() -> None:
    spec = CRDS["redisclusters.cache.tongdun.net"]

    assert [column["name"] for column in spec["versions"][0]["additionalPrinterColumns"]] == [
        "Phase",
        "Size",
        "Capacity",
        "Address",
        "Age",
    ]
    assert spec["names"]["categories"] == ["redis"]
    assert spec["names"]["shortNames"] == ["rdc"]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"size": 2}, "spec.size: 2 is too small: write 3 or more"),
        ({"env": "prod"}, "spec.env: 'prod' is not known: write production, staging, demo"),
        ({"netmode": "HostPort"}, "spec.netmode: 'HostPort' is not known: write ClusterIP, NodePort, LoadBalancer"),
        ({"capacity": -1}, "spec.capacity: -1 is too small: write 0 or more"),
        ({"capacity": 47}, "spec: capacity is too small for its shards: write 16 (MiB) times size or more"),
        ({"image": "a b"}, "spec.image: write an image such as redis:7.0"),
        ({"app": "-x"}, "spec.app: write letters, digits"),
        ({"proxy": {"replicas": 0}}, "spec.proxy.replicas: 0 is too small: write 1 or more"),
        ({"proxyimage": ""}, "spec: proxyimage is empty: write the image of the proxy, or proxy.enabled: false"),
        ({"proxysecret": "two\nlines"}, "spec: a password has a line break in it: write it on one line"),
        ({"app": "rat\n"}, "spec.app: write letters, digits"),
        ({"storage": {"size": "lots"}}, "spec.storage.size: write an amount with its unit, such as 64Gi"),
    ],
)
def test_bad_values_are_answered_with_what_to_write(spec: dict[str, object], says: str) -> None:
    (found,) = problems(sample(**spec))  # type: ignore[arg-type]

    assert found.startswith(says)


def test_a_name_too_long_for_its_children_is_refused() -> None:
    assert problems(sample(name="r" * LONGEST_NAME)) == ()
    (found,) = problems(sample(name="r" * (LONGEST_NAME + 1)))
    assert f"write at most {LONGEST_NAME}" in found


@pytest.mark.parametrize("name", ["1abc", "a.b", "-a", "a-", "A"])
def test_a_name_that_no_service_can_have_is_refused(name: str) -> None:
    (found,) = problems(sample(name=name))

    assert "a letter first" in found


@pytest.mark.parametrize("capacity", [0, 48, 32768])
def test_capacities_that_fit_are_accepted(capacity: int) -> None:
    assert problems(sample(capacity=capacity)) == ()


def test_passwords_are_not_in_the_printed_form_of_a_resource() -> None:
    assert "vault" not in repr(sample())
    assert "door" not in repr(sample())
