"""Claims: the chart installs what deploy/ does, in the ways that its values say, and refuses what nobody can mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.generated import INSTANCE, OPERATOR, ROOT, render, walk
from tests.charts.helm import (
    CHARTS,
    HAS_CHECKER,
    HELMS,
    PROMETHEUS,
    Obj,
    RefusedError,
    deployed,
    has_restricted_pods,
    helm,
    of_kind,
    refused_by_a_server,
    rights,
    template,
    the,
    validate,
)

CLUSTER_WIDE = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "PriorityClass", "Namespace"}
EVERYTHING: Obj = {
    "namespaces": ["a", "b"],
    "replicas": 3,
    "image": {"repository": "registry.example/td-redis-operator", "digest": f"sha256:{'0' * 64}"},
    "imagePullSecrets": [{"name": "pull"}],
    "imageMap": {"docker.io/": "registry.example/", "tongduncloud/predixy:1.0": "envoyproxy/envoy:v1.40-latest"},
    "commonLabels": {"team": "data"},
    "extraArgs": ["--image-map=a=b"],
    "port": 9090,
    "logLevel": "debug",
    "workers": 8,
    "maxConcurrentRolls": 2,
    "serviceAccount": {"annotations": {"a": "b"}},
    "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {"matchLabels": {"m": "1"}}}]},
    "monitoring": {
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "rules": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboards": {"enabled": True, "annotations": {"folder": "Redis"}},
    },
    "podLabels": {"p": "l"},
    "podAnnotations": {"p": "a"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "k", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
    ],
}
NOTHING_WIDE: Obj = {"namespaces": ["a", "b"], "crds": {"install": False}, "priorityClass": {"create": False}}
TABLE: dict[str, Obj] = {
    "defaults": {},
    "namespaces": {"namespaces": ["a", "b"]},
    "everything": EVERYTHING,
    "nothing of the cluster": NOTHING_WIDE,
    "nothing beside it": {
        "crds": {"install": False},
        "rbac": {"create": False},
        "serviceAccount": {"create": False},
        "priorityClass": {"create": False},
        "podDisruptionBudget": {"enabled": False},
    },
    "the server chooses users": {"runAsUser": None},
}
pytestmark = pytest.mark.parametrize("program", HELMS)


def test_what_is_made_of_deploy_is_as_deploy_is(program: str) -> None:
    made = render()

    assert {path: path.read_text() for path in made} == made


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_helm_has_nothing_against_it(program: str, chart: Path) -> None:
    helm(program, "lint", "--strict", str(chart))


@pytest.mark.parametrize("name", TABLE)
def test_a_server_takes_what_is_rendered_and_pods_are_restricted(program: str, name: str) -> None:
    objects = template(program, OPERATOR, TABLE[name], *PROMETHEUS)

    for version in ("1.25", "1.37"):
        validate(objects, version)
    assert has_restricted_pods(objects) == []
    identities = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(set(identities)) == len(identities)
    for kind, namespace, _ in identities:
        assert (namespace is None) == (kind in CLUSTER_WIDE)


@pytest.mark.skipif(not HAS_CHECKER, reason="the checker is not here")
def test_a_modern_server_takes_the_definitions_as_the_chart_has_them(program: str) -> None:
    assert refused_by_a_server(of_kind(template(program, OPERATOR), "CustomResourceDefinition")) == []


def test_by_default_it_is_what_deploy_installs(program: str) -> None:
    objects = template(program, OPERATOR)

    for kind in ("ClusterRole", "Role"):
        mine, theirs = the(objects, kind), deployed(kind)
        assert rights(mine["rules"]) == rights(theirs["rules"])
        assert mine["metadata"]["name"] == theirs["metadata"]["name"]
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        for part in ("roleRef", "subjects"):
            assert the(objects, kind)[part] == deployed(kind)[part]
    mine, theirs = the(objects, "PriorityClass"), deployed("PriorityClass")
    assert {**mine, "metadata": theirs["metadata"]} == theirs
    # A Deployment that is there can be taken over: its name and its selector are the same.
    mine, theirs = the(objects, "Deployment"), deployed("Deployment")
    assert mine["metadata"]["name"] == theirs["metadata"]["name"]
    mine["spec"]["template"]["spec"]["containers"][0].pop("imagePullPolicy")
    assert mine["spec"] == theirs["spec"]
    budget = yaml.safe_load((ROOT / "deploy/operator-budget.yaml").read_text())
    assert the(objects, "PodDisruptionBudget")["spec"] == budget["spec"]
    assert of_kind(objects, "NetworkPolicy", "PodMonitor", "PrometheusRule", "ConfigMap") == []


def test_the_definitions_are_those_of_deploy_and_stay(program: str) -> None:
    expected = list(yaml.safe_load_all((ROOT / "deploy/crds/cache.tongdun.net.yaml").read_text()))
    for keep, noted in ((True, {"helm.sh/resource-policy": "keep"}), (False, None)):
        found = of_kind(template(program, OPERATOR, {"crds": {"keep": keep}}), "CustomResourceDefinition")

        assert [each["metadata"].pop("annotations", None) for each in found] == [noted] * 3
        by_name = {each["metadata"]["name"]: each for each in expected}
        assert [by_name.pop(each["metadata"]["name"]) for each in found] == found
        assert by_name == {}


def test_for_namespaces_it_has_roles_there_and_no_right_elsewhere(program: str) -> None:
    objects = template(program, OPERATOR, NOTHING_WIDE)

    assert {each["kind"] for each in objects} & CLUSTER_WIDE == set()
    roles = {each["metadata"]["namespace"]: each for each in of_kind(objects, "Role")}
    assert sorted(roles) == ["a", "b", "td-redis-operator"]
    for namespace in ("a", "b"):
        assert rights(roles[namespace]["rules"]) == rights(deployed("ClusterRole")["rules"])
    assert rights(roles["td-redis-operator"]["rules"]) == rights(deployed("Role")["rules"])
    bindings = {each["metadata"]["namespace"]: each for each in of_kind(objects, "RoleBinding")}
    for namespace, binding in bindings.items():
        assert binding["roleRef"]["name"] == roles[namespace]["metadata"]["name"]
        assert binding["roleRef"]["kind"] == "Role"
        assert binding["subjects"] == deployed("RoleBinding")["subjects"]
    assert "--namespaces=a,b" in the(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]


def test_its_own_namespace_may_be_among_them(program: str) -> None:
    objects = template(program, OPERATOR, {"namespaces": ["redis"]}, release="redis", namespace="redis")
    names = [(each["kind"], each["metadata"]["name"]) for each in of_kind(objects, "Role", "RoleBinding")]

    assert len(set(names)) == len(names) == 4


def test_what_values_say_is_in_what_is_rendered(program: str) -> None:
    objects = template(program, OPERATOR, EVERYTHING, *PROMETHEUS)

    deployment = the(objects, "Deployment")
    assert deployment["spec"]["replicas"] == 3
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == f"registry.example/td-redis-operator@sha256:{'0' * 64}"
    assert container["args"] == [
        *("--log-format", "json", "--log-level=debug", "run"),
        *("--listen=:9090", "--workers=8", "--max-concurrent-rolls=2", "--namespaces=a,b"),
        "--image-map=docker.io/=registry.example/",
        "--image-map=tongduncloud/predixy:1.0=envoyproxy/envoy:v1.40-latest",
        "--image-map=a=b",
    ]
    assert container["ports"] == [{"name": "status", "containerPort": 9090}]
    assert pod["metadata"]["labels"]["p"] == "l"
    assert pod["metadata"]["annotations"] == {"p": "a"}
    for name in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints"):
        assert pod["spec"][name] == EVERYTHING[name]
    assert the(objects, "ServiceAccount")["metadata"]["annotations"] == {"a": "b"}
    assert the(objects, "NetworkPolicy")["spec"]["ingress"] == [
        {"ports": [{"protocol": "TCP", "port": 9090}], "from": EVERYTHING["networkPolicy"]["from"]}
    ]
    selector = deployment["spec"]["selector"]
    assert the(objects, "NetworkPolicy")["spec"]["podSelector"] == selector
    assert the(objects, "PodMonitor")["spec"]["selector"] == selector
    assert the(objects, "PodMonitor")["metadata"]["labels"]["release"] == "prometheus"
    for each in objects:
        if each["kind"] != "CustomResourceDefinition":
            assert each["metadata"]["labels"]["team"] == "data"


def test_each_file_of_rules_and_each_dashboard_becomes_an_object(program: str) -> None:
    objects = template(program, OPERATOR, EVERYTHING, *PROMETHEUS)

    rules = sorted((OPERATOR / "rules").glob("*.yaml"))
    expected = [yaml.safe_load(path.read_text()) for path in rules if not path.name.endswith("_test.yaml")]
    assert [each["spec"] for each in of_kind(objects, "PrometheusRule")] == expected
    dashboards = {path.name: path.read_text() for path in (OPERATOR / "dashboards").glob("*.json")}
    maps = of_kind(objects, "ConfigMap")
    assert {name: text for each in maps for name, text in each["data"].items()} == dashboards
    for each in maps:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["annotations"] == {"folder": "Redis"}


def test_runbooks_are_where_whoever_installs_publishes_them(program: str) -> None:
    where = "https://docs.example/redis/"
    values = {"monitoring": {"rules": {"enabled": True, "runbooks": where}}}
    objects = template(program, OPERATOR, values, *PROMETHEUS)

    groups = [group for each in of_kind(objects, "PrometheusRule") for group in each["spec"]["groups"]]
    rules = [rule for group in groups for rule in group["rules"]]
    urls = [rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule]
    assert len(urls) >= 20
    assert [url for url in urls if not url.startswith(f"{where}docs/runbooks/")] == []


def test_where_the_kinds_of_the_prometheus_operator_are_not_served_none_is_made(program: str) -> None:
    objects = template(program, OPERATOR, EVERYTHING)

    assert of_kind(objects, "PodMonitor", "PrometheusRule") == []


def test_before_1_21_there_is_no_disruption_budget(program: str) -> None:
    def budgets(version: str) -> int:
        return len(of_kind(template(program, OPERATOR, {}, "--kube-version", version), "PodDisruptionBudget"))

    assert [budgets(version) for version in ("1.20.2", "1.21.0", "1.37.0")] == [0, 1, 1]
    with pytest.raises(RefusedError, match=r"incompatible with Kubernetes v1\.19\.0"):
        template(program, OPERATOR, {}, "--kube-version", "1.19.0")


def test_two_releases_do_not_share_an_object_or_the_lease(program: str) -> None:
    one = template(program, OPERATOR, {"namespaces": ["a"]}, release="one")
    two = template(program, OPERATOR, {"namespaces": ["b"]}, release="two")
    keys = [
        {(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects}
        for objects in (one, two)
    ]

    assert {kind for kind, _, _ in keys[0] & keys[1]} == {"CustomResourceDefinition"}
    leases = [
        [
            arg
            for arg in the(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
            if "lease" in arg
        ]
        for objects in (one, two)
    ]
    assert leases == [["--lease-name=one-td-redis-operator"], ["--lease-name=two-td-redis-operator"]]


WRONG: dict[str, tuple[Obj, str]] = {
    "an unknown value": ({"replica": 1}, r"replica\b.*not allowed"),
    "an unknown value within": ({"crds": {"instal": True}}, r"instal\b.*not allowed"),
    "a number in words": ({"replicas": "two"}, r"replicas.*(expected: integer|want integer)"),
    "no replicas": ({"replicas": 0}, r"replicas.*(greater than or equal to 1|minimum: got 0, want 1)"),
    "namespaces as one word": ({"namespaces": "a,b"}, r"namespaces.*(expected: array|want array)"),
    "a namespace that is none": ({"namespaces": ["A"]}, r"namespaces.*pattern"),
    "a namespace twice": ({"namespaces": ["a", "a"]}, r"namespaces.*(unique|equal)"),
    "a log level": ({"logLevel": "loud"}, r"logLevel.*(must be one of|one of)"),
    "a digest without its kind": ({"image": {"digest": "0" * 64}}, r"digest.*pattern"),
    "an image map as a list": ({"imageMap": ["a=b"]}, r"imageMap.*(expected: object|want object)"),
    "a port of root's": ({"port": 80}, r"port.*1,?024"),
    "root": ({"runAsUser": 0}, r"runAsUser.*1\b"),
    "an interval": ({"monitoring": {"podMonitor": {"interval": "often"}}}, r"interval.*pattern"),
    "pull secrets by name alone": ({"imagePullSecrets": ["pull"]}, r"imagePullSecrets.*(expected: object|want object)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_nobody_can_mean_is_refused_and_named(program: str, name: str) -> None:
    values, words = WRONG[name]

    with pytest.raises(RefusedError, match=f"(?is){words}"):
        template(program, OPERATOR, values)


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_every_value_is_described_and_no_other_is_there(program: str, chart: Path) -> None:
    schema = json.loads((chart / "values.schema.json").read_text())
    described = dict(walk(schema))
    for kind in schema.get("allOf", ()):
        described |= {f"{kind['if']['properties']['kind']['const']}.{path}": part for path, part in walk(kind["then"])}
    described = {path: part for path, part in described.items() if not path.endswith(".spec")}

    for path, part in described.items():
        assert str(part.get("description", "")).endswith((".", ")")), path

    def paths(values: Any, prefix: str = "") -> set[str]:
        found = set()
        for name, value in values.items():
            found.add(f"{prefix}{name}")
            if (
                isinstance(value, dict)
                and f"{prefix}{name}" in described
                and "properties" in described[f"{prefix}{name}"]
            ):
                found |= paths(value, f"{prefix}{name}.")
        return found

    values = yaml.safe_load((chart / "values.yaml").read_text())
    named = {path for path in described if "[]" not in path and not path.startswith("Redis") and path != "global"}
    assert paths(values) == named
    assert INSTANCE.name != OPERATOR.name
