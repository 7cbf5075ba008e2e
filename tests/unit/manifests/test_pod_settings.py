"""What an owner may say of pods reaches the pods, of every component; by default these run as Kubernetes wants it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tdredis.manifests.children import build_children
from tdredis.manifests.made_of import MADE_OF
from tdredis.manifests.proxy import build_proxy_deployment
from tdredis.manifests.replication import build_replication_children
from tdredis.manifests.site import Site
from tests.kit.builders import PASSWORDS, SITE, sample, standalone, standby

SETTINGS: dict[str, Any] = {
    "annotations": {"team": "a", "prometheus.io/port": "1"},
    "labels": {"team": "a", "APP": "another"},
    "affinity": {
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]},
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]},
    },
    "tolerations": [{"key": "redis", "operator": "Exists"}],
    "nodeSelector": {"disk": "ssd"},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
        {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}},
    ],
    "priorityClassName": "high",
    "securityContext": {"fsGroup": 1000},
    "containers": [{"name": "shipper", "image": "shipper:1"}],
    "volumes": [{"name": "logs", "emptyDir": {}}],
}
COMPONENTS = ("redis", "proxy", "sentinel")


def template(component: str, settings: dict[str, Any] | None = None, *, site: Site = SITE, **spec: Any) -> Any:
    """The pod template of *component*, with *settings* of its pods."""
    chosen = settings or {}
    if component == "proxy":
        cluster = sample(proxy={"pod": chosen}, **spec)
        made: Any = build_proxy_deployment(cluster, site, PASSWORDS, "10.96.0.1", secret_version="1")
    elif component == "sentinel":
        made = build_replication_children(standby(sentinel={"pod": chosen}, **spec), site, PASSWORDS)[-1]
    else:
        made = build_children(sample(pod=chosen, **spec), site, PASSWORDS)[-1]
    return made["spec"]["template"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_by_default_pods_are_such_as_a_namespace_of_level_restricted_admits(component: str) -> None:
    """Source: kubernetes.io, "Pod Security Standards"."""
    spec = template(component)["spec"]

    pod = spec["securityContext"]
    assert (pod["runAsNonRoot"], pod["runAsUser"], pod["fsGroup"]) == (True, 999, 999)
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert {volume for each in spec["volumes"] for volume in each} <= {"name", "configMap", "secret", "emptyDir"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_security_image_leaves_the_image_as_it_is(component: str) -> None:
    spec = template(component, {"security": "image"})["spec"]

    assert "securityContext" not in spec
    assert not [container for container in spec["containers"] if "securityContext" in container]


@pytest.mark.parametrize("component", COMPONENTS)
def test_settings_are_added_to_ours_and_ours_win(component: str) -> None:
    plain, made = template(component), template(component, SETTINGS)

    assert made["metadata"]["labels"] == {"team": "a", **plain["metadata"]["labels"]} | (
        {} if "APP" in plain["metadata"]["labels"] else {"APP": "another"}
    )
    ours = plain["metadata"].get("annotations", {})
    assert {**made["metadata"]["annotations"], MADE_OF: ""} == {**SETTINGS["annotations"], **ours, MADE_OF: ""}
    spec = made["spec"]
    assert spec["tolerations"] == SETTINGS["tolerations"]
    assert spec["nodeSelector"] == {"disk": "ssd"}
    assert spec["priorityClassName"] == "high"
    assert spec["containers"][len(plain["spec"]["containers"]) :] == SETTINGS["containers"]
    assert spec["volumes"][len(plain["spec"]["volumes"]) :] == SETTINGS["volumes"]
    assert (spec["securityContext"]["fsGroup"], spec["securityContext"]["runAsUser"]) == (1000, 999)


@pytest.mark.parametrize("component", COMPONENTS)
def test_affinity_terms_are_met_beside_those_of_env(component: str) -> None:
    made = template(component, SETTINGS, env="production")["spec"]["affinity"]
    ours = template(component, env="production")["spec"]["affinity"]["podAntiAffinity"]

    required = "requiredDuringSchedulingIgnoredDuringExecution"
    assert made["podAntiAffinity"][required] == [*ours.get(required, []), {"topologyKey": "zone"}]
    assert made["nodeAffinity"] == SETTINGS["affinity"]["nodeAffinity"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_spread_constraint_without_selector_is_about_the_pods_of_the_component(component: str) -> None:
    made = template(component, SETTINGS)
    first, second = made["spec"]["topologySpreadConstraints"]

    assert first["labelSelector"]["matchLabels"].items() <= made["metadata"]["labels"].items()
    assert first["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == component
    assert second["labelSelector"] == {}


def test_each_component_has_resources_of_its_own() -> None:
    quantities = {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    proxied, watched = sample(proxy={"resources": quantities}), standby(sentinel={"resources": quantities})
    proxy: Any = build_proxy_deployment(proxied, SITE, PASSWORDS, "10.96.0.1", secret_version="1")
    sentinel: Any = build_replication_children(watched, SITE, PASSWORDS)[-1]
    made = [
        template("redis", env="demo", resources=quantities),
        *(each["spec"]["template"] for each in (proxy, sentinel)),
    ]

    assert [each["spec"]["containers"][0]["resources"] for each in made] == [quantities] * 3


@pytest.mark.parametrize("component", COMPONENTS)
def test_pull_secrets_are_added_to_that_of_old(component: str) -> None:
    spec = template(component, imagePullSecrets=["mirror", "harbor-secret"])["spec"]

    assert spec["imagePullSecrets"] == [{"name": "harbor-secret"}, {"name": "mirror"}]


@pytest.mark.parametrize("component", COMPONENTS)
def test_an_empty_list_of_pull_secrets_means_none(component: str) -> None:
    assert "imagePullSecrets" not in template(component, imagePullSecrets=[])["spec"]
    assert template(component)["spec"]["imagePullSecrets"] == [{"name": "harbor-secret"}]


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_pull_secret_that_nobody_asked_for_is_named_only_where_it_is(component: str) -> None:
    without = replace(SITE, pull_secret=False)

    assert "imagePullSecrets" not in template(component, site=without)["spec"]
    assert "imagePullSecrets" not in template(component, site=without, imagePullSecrets=[])["spec"]
    mirror = template(component, site=without, imagePullSecrets=["mirror"])["spec"]
    assert mirror["imagePullSecrets"] == [{"name": "mirror"}]
    asked = template(component, site=without, imagePullSecrets=["harbor-secret"])["spec"]
    assert asked["imagePullSecrets"] == [{"name": "harbor-secret"}]


def test_sentinels_and_proxies_are_promised_a_little_unless_their_owner_says_otherwise() -> None:
    said: tuple[dict[str, Any], ...] = ({}, {"resources": {}}, {"resources": {"limits": {"memory": "1Gi"}}})
    proxies = [
        build_proxy_deployment(sample(proxy=each), SITE, PASSWORDS, "10.96.0.1", secret_version="1") for each in said
    ]
    sentinels = [build_replication_children(standby(sentinel=each), SITE, PASSWORDS)[-1] for each in said]

    def resources(made: Any) -> object:
        return made["spec"]["template"]["spec"]["containers"][0].get("resources")

    limited = {"limits": {"memory": "1Gi"}}
    assert [*map(resources, proxies)] == [{"requests": {"cpu": "100m", "memory": "64Mi"}}, None, limited]
    assert [*map(resources, sentinels)] == [{"requests": {"cpu": "50m", "memory": "32Mi"}}, None, limited]


def test_a_standalone_s_pod_has_settings_too() -> None:
    made: Any = build_replication_children(standalone(pod=SETTINGS), SITE, PASSWORDS)[-1]

    assert made["spec"]["template"]["spec"]["priorityClassName"] == "high"
