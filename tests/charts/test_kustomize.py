"""Claims: the base is what deploy/ has, each overlay changes what its first line says, and a server takes all of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import jsonschema
import pytest

from tests.charts.generated import ROOT
from tests.charts.helm import BIN, DEADLINE_S, Obj, deployed, has_restricted_pods, of_kind, read, rights, the, validate

BASE = ROOT / "deploy"
OVERLAYS = {path.parent.name: path.parent for path in sorted((ROOT / "kustomize").glob("*/kustomization.yaml"))}
IN_DEPLOY = ("crds/cache.tongdun.net.yaml", "operator.yaml", "operator-budget.yaml")


def build(folder: Path) -> list[Obj]:
    done = subprocess.run(
        [str(BIN / "kubectl"), "kustomize", str(folder)], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    return read(done.stdout)


def identities(objects: list[Obj]) -> set[tuple[str, str]]:
    return {(each["kind"], each["metadata"]["name"]) for each in objects}


def operator(objects: list[Obj]) -> Obj:
    pod: Obj = the(objects, "Deployment")["spec"]["template"]["spec"]
    return pod


def test_the_base_is_all_of_deploy() -> None:
    expected = [each for name in IN_DEPLOY for each in read((BASE / name).read_text())]
    found = build(BASE)

    assert sorted(found, key=str) == sorted(expected, key=str)
    others = {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"}
    assert others == {name for name in IN_DEPLOY if "/" not in name}


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_server_takes_what_an_overlay_makes_and_pods_are_restricted(name: str) -> None:
    objects = build(OVERLAYS[name])

    for version in ("1.25", "1.37"):
        validate(objects, version)
    assert has_restricted_pods(objects) == []


def test_for_namespaces_there_are_roles_and_no_right_elsewhere() -> None:
    objects = build(OVERLAYS["namespaces"])

    assert of_kind(objects, "ClusterRole", "ClusterRoleBinding") == []
    roles = {each["metadata"]["namespace"]: each for each in of_kind(objects, "Role")}
    assert rights(roles.pop("td-redis-operator")["rules"]) == rights(deployed("Role")["rules"])
    assert {namespace: rights(role["rules"]) for namespace, role in roles.items()} == {
        namespace: rights(deployed("ClusterRole")["rules"]) for namespace in ("a", "b")
    }
    for binding in of_kind(objects, "RoleBinding"):
        assert binding["subjects"] == deployed("RoleBinding")["subjects"]
        assert binding["roleRef"]["kind"] == "Role"
    assert operator(objects)["containers"][0]["args"][-1] == "--namespaces=a,b"


def test_an_image_of_ones_own_is_in_one_place() -> None:
    pod = operator(build(OVERLAYS["image"]))

    assert pod["containers"][0]["image"] == "registry.example/td-redis-operator:0.1.0"
    assert pod["containers"][0]["args"][-1] == "--image-map=docker.io/=registry.example/"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]


def test_on_openshift_the_server_chooses_the_user() -> None:
    assert operator(build(OVERLAYS["openshift"]))["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_before_1_21_all_but_the_disruption_budget_is_there() -> None:
    without = identities(build(OVERLAYS["kubernetes-1.20"]))

    assert identities(build(BASE)) - without == {("PodDisruptionBudget", "td-redis-operator")}


def test_no_overlay_is_left_untested() -> None:
    assert set(OVERLAYS) == {"namespaces", "image", "openshift", "kubernetes-1.20"}


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [("Deployment", ("spec", "replica"), 2), ("Deployment", ("spec", "replicas"), "2"), ("Role", ("rules",), {})],
)
def test_who_judges_knows_what_is_wrong(kind: str, path: tuple[str, ...], value: object) -> None:
    wrong = the(build(BASE), kind)
    part = wrong
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value

    with pytest.raises(jsonschema.ValidationError, match=path[-1] if path[-1] == "replica" else "is not of type"):
        validate([wrong], "1.37")
