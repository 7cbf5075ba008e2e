"""Objects of a RedisCluster: names and labels that users depend on, and where secrets are and are not."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tdredis.manifests.asked import ASKED
from tdredis.manifests.children import build_children
from tdredis.manifests.endpoints import Target, build_endpoints
from tdredis.manifests.made_of import MADE_OF
from tdredis.manifests.proxy import build_proxy_access, build_proxy_deployment
from tdredis.manifests.redis_config import build_auth_conf, build_redis_conf, quote
from tdredis.manifests.site import Passwords, Site
from tests.kit.builders import PASSWORDS, SITE, sample


def children(**spec: object) -> dict[tuple[str, str], Any]:
    cluster = sample(**spec)  # type: ignore[arg-type]
    deployment = build_proxy_deployment(cluster, SITE, PASSWORDS, "10.96.0.1", secret_version="7")
    everything: tuple[Any, ...] = (
        *build_children(cluster, SITE, PASSWORDS),
        *build_proxy_access(cluster, SITE, PASSWORDS, "10.96.0.1", secret_version="1"),
        deployment,
        build_endpoints(cluster, SITE, ()),
    )
    return {(each["kind"], each["metadata"]["name"]): each for each in everything}


def test_children_are_called_what_users_know_them_by() -> None:
    assert sorted(children()) == [
        ("ConfigMap", "predixy-redis-cluster-rat"),
        ("ConfigMap", "redis-cluster-rat"),
        ("Deployment", "predixy-redis-cluster-rat"),
        ("EndpointSlice", "redis-cluster-rat-slots"),
        ("PodDisruptionBudget", "redis-cluster-rat-0"),
        ("PodDisruptionBudget", "redis-cluster-rat-1"),
        ("PodDisruptionBudget", "redis-cluster-rat-2"),
        ("Secret", "predixy-redis-cluster-rat"),
        ("Secret", "redis-cluster-rat-auth"),
        ("Service", "predixy-redis-cluster-rat"),
        ("Service", "redis-cluster-rat"),
        ("Service", "redis-cluster-rat-nodes"),
        ("StatefulSet", "redis-cluster-rat-0"),
        ("StatefulSet", "redis-cluster-rat-1"),
        ("StatefulSet", "redis-cluster-rat-2"),
    ]


def test_every_child_leads_back_to_its_resource_and_goes_with_it() -> None:
    for child in children().values():
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("RedisCluster", "uid-rat", True)
        labels = child["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "td-redis-operator"
        assert labels["app.kubernetes.io/instance"] == "redis-cluster-rat"


def test_redis_pods_carry_the_labels_and_annotations_of_old() -> None:
    template = children()["StatefulSet", "redis-cluster-rat-1"]["spec"]["template"]

    labels = {
        name: template["metadata"]["labels"][name] for name in ("APPNAME", "APP", "CLUSTER", "DC", "ENV", "RESOURCE_ID")
    }
    assert labels == {
        "APPNAME": "redis",
        "APP": "cluster-rat",
        "CLUSTER": "redis-cluster-rat",
        "DC": "hz",
        "ENV": "production",
        "RESOURCE_ID": "redis-cluster-rat-1",
    }
    told = {"prometheus.io/scrape": "true", "prometheus.io/port": "9121"}
    assert {
        name: value for name, value in template["metadata"]["annotations"].items() if name not in (MADE_OF, ASKED)
    } == told


def test_a_value_that_is_no_label_is_left_out_and_stops_nothing() -> None:
    for dc in ("Hang Zhou, 2nd floor", "hz\n"):
        labels = children(dc=dc)["ConfigMap", "redis-cluster-rat"]["metadata"]["labels"]

        assert "DC" not in labels
        assert labels["APP"] == "cluster-rat"


def test_the_client_service_has_no_selector_and_the_proxy_s_has_the_net_mode() -> None:
    found = children(netmode="NodePort")

    assert "selector" not in found["Service", "redis-cluster-rat"]["spec"]
    assert found["Service", "redis-cluster-rat"]["spec"]["type"] == "ClusterIP"
    assert found["Service", "predixy-redis-cluster-rat"]["spec"]["type"] == "NodePort"


@pytest.mark.parametrize(
    ("env", "required", "preferred", "cpu"),
    [("production", "APP", None, "2"), ("staging", "RESOURCE_ID", "APP", None), ("demo", None, None, None)],
)
def test_env_decides_how_pods_are_spread_and_what_they_ask_for(
    env: str, required: str | None, preferred: str | None, cpu: str | None
) -> None:
    spec = children(env=env)["StatefulSet", "redis-cluster-rat-0"]["spec"]["template"]["spec"]

    anti = spec.get("affinity", {}).get("podAntiAffinity", {})
    hard = [
        term["labelSelector"]["matchLabels"] for term in anti.get("requiredDuringSchedulingIgnoredDuringExecution", [])
    ]
    soft = [
        term["podAffinityTerm"]["labelSelector"]["matchLabels"]
        for term in anti.get("preferredDuringSchedulingIgnoredDuringExecution", [])
    ]
    assert [required in term for term in hard] == [True] * bool(required)
    assert [preferred in term for term in soft] == [True] * bool(preferred)
    redis = next(each for each in spec["containers"] if each["name"] == "redis")
    assert redis.get("resources", {}).get("limits", {}).get("cpu") == cpu


def empty_dirs(statefulset_spec: Any) -> list[str]:
    volumes = statefulset_spec["template"]["spec"]["volumes"]
    return [volume["name"] for volume in volumes if "emptyDir" in volume]


def test_a_storage_class_asks_for_volumes_and_none_for_an_empty_dir() -> None:
    on_disk = children(storageclass="fast")["StatefulSet", "redis-cluster-rat-0"]["spec"]
    in_pod = children()["StatefulSet", "redis-cluster-rat-0"]["spec"]

    (claim,) = on_disk["volumeClaimTemplates"]
    assert (claim["spec"]["storageClassName"], claim["spec"]["resources"]["requests"]["storage"]) == ("fast", "64Gi")
    assert not [volume for volume in on_disk["template"]["spec"]["volumes"] if "emptyDir" in volume]
    assert "volumeClaimTemplates" not in in_pod
    assert [volume["name"] for volume in in_pod["template"]["spec"]["volumes"] if "emptyDir" in volume] == [
        "redis-data"
    ]


def test_passwords_are_in_secrets_alone() -> None:
    encoded = {base64.b64encode(word.encode()).decode() for word in ("vault", "door")}
    for (kind, _), child in children().items():
        text = json.dumps(child)
        if kind == "Secret":
            assert any(word in text for word in encoded)
        else:
            assert not [word for word in ("vault", "door", *encoded) if word in text]


def test_equal_input_gives_equal_output() -> None:
    assert json.dumps(list(children().values())) == json.dumps(list(children().values()))


def test_the_proxy_rolls_when_its_configuration_or_its_secret_changes() -> None:
    def annotations(seed: str, version: str) -> object:
        made = build_proxy_deployment(sample(), SITE, PASSWORDS, seed, secret_version=version)
        return made["spec"]["template"]["metadata"]["annotations"]  # type: ignore[index, call-overload]

    assert annotations("10.96.0.1", "7") == annotations("10.96.0.1", "7")
    assert annotations("10.96.0.1", "7") != annotations("10.96.0.2", "7")
    assert annotations("10.96.0.1", "7") != annotations("10.96.0.1", "8")


def test_endpoints_stand_in_where_slices_are_not_served() -> None:
    targets = [Target(pod=f"pod-{n}", ip=f"10.0.0.{n}", node=None, uid=f"u{n}") for n in (2, 1)]
    old: Any = build_endpoints(sample(), Site(endpoint_slices=False), targets)
    new: Any = build_endpoints(sample(), SITE, targets)

    assert [each["ip"] for each in old["subsets"][0]["addresses"]] == ["10.0.0.1", "10.0.0.2"]
    assert [each["addresses"] for each in new["endpoints"]] == [["10.0.0.1"], ["10.0.0.2"]]
    assert old["metadata"]["name"] == new["metadata"]["labels"]["kubernetes.io/service-name"] == "redis-cluster-rat"


def test_each_shard_gets_its_share_of_the_capacity() -> None:
    assert "maxmemory 10922mb\n" in build_redis_conf(sample())
    assert "maxmemory 0mb\n" in build_redis_conf(sample(capacity=0))


@pytest.mark.parametrize(
    ("password", "quoted"),
    [
        ("abc", '"abc"'),
        ('a"b\\c', '"a\\x22b\\x5cc"'),
        ("p w#1", '"p w#1"'),
        ("é", '"\\xc3\\xa9"'),
        ("a\nb", '"a\\x0ab"'),
    ],
)
def test_any_password_is_one_word_of_redis_conf(password: str, quoted: str) -> None:
    assert quote(password) == quoted
    assert build_auth_conf(password) == f"requirepass {quoted}\nmasterauth {quoted}\n"


def test_no_password_is_no_line() -> None:
    assert build_auth_conf("") == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tongduncloud/predixy:1.0", "mirror/envoy:1"),
        ("tongduncloud/other:2", "mirror/td/other:2"),
        ("redis:7", "redis:7"),
    ],
)
def test_images_are_mapped_exactly_or_by_prefix(name: str, expected: str) -> None:
    site = Site(images={"tongduncloud/predixy:1.0": "mirror/envoy:1", "tongduncloud/": "mirror/td/"})

    assert site.image(name) == expected


def test_predixy_is_given_its_configuration_with_the_passwords_in_the_secret() -> None:
    cluster = sample()
    passwords = Passwords(redis='v"t', proxy="door")
    _, secret, config = build_proxy_access(cluster, Site(), passwords, "10.96.0.1", secret_version="1")
    data: Any = secret["data"]

    assert (
        base64.b64decode(data["auth.conf"]).decode() == 'Authority {\n    Auth "door" {\n        Mode admin\n    }\n}\n'
    )
    assert base64.b64decode(data["cluster.conf"]).decode().splitlines()[-5:] == [
        '    Password "v\\"t" ',
        "    Servers {",
        "        + 10.96.0.1:6379",
        "    }",
        "}",
    ]
    assert str(config["data"]["predixy.conf"]).splitlines()[-2:] == [  # type: ignore[index, call-overload]
        "Include /etc/proxy-secret/auth.conf",
        "Include /etc/proxy-secret/cluster.conf",
    ]


def test_a_slice_holds_no_more_endpoints_than_kubernetes_takes() -> None:
    targets = [Target(pod=f"p-{number:04}", ip="10.0.0.1", node=None, uid="u") for number in range(1200)]

    made = build_endpoints(sample(), SITE, targets)

    assert [len(each) for each in (made["endpoints"],) if isinstance(each, list)] == [1000]
