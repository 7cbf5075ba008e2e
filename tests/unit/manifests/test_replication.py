"""Objects of a RedisStandby and a RedisStandalone: names, labels, who is behind which Service, where secrets are."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from tdredis.api.instance import Instance
from tdredis.api.metadata import ObjectMeta
from tdredis.api.redisstandalone import RedisStandalone
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.asked import ASKED
from tdredis.manifests.claims import build_claim_owner
from tdredis.manifests.config_map import build_config_map
from tdredis.manifests.endpoints import Target, build_standby_endpoints
from tdredis.manifests.made_of import MADE_OF
from tdredis.manifests.names import statefulset_names
from tdredis.manifests.peers import peer_user
from tdredis.manifests.redis_config import build_redis_conf
from tdredis.manifests.redis_pods import build_redis_statefulset, container_resources
from tdredis.manifests.replication import build_replication_children
from tdredis.manifests.sentinel_config import build_sentinel_ids
from tdredis.manifests.services import build_external_services, is_external_service
from tdredis.manifests.site import Site
from tests.kit.builders import PASSWORDS, SITE, sample, standalone, standby


def children(instance: RedisStandby | RedisStandalone) -> dict[tuple[str, str], Any]:
    everything: tuple[Any, ...] = (
        *build_replication_children(instance, SITE, PASSWORDS),
        *build_external_services(instance),
    )
    return {(each["kind"], each["metadata"]["name"]): each for each in everything}


def test_a_standby_s_children_are_called_what_users_know_them_by() -> None:
    assert sorted(children(standby())) == [
        ("ConfigMap", "redis-standby-tom"),
        ("PodDisruptionBudget", "redis-standby-tom"),
        ("PodDisruptionBudget", "sentinel-standby-tom"),
        ("Secret", "redis-standby-tom-auth"),
        ("Service", "redis-standby-tom"),
        ("Service", "redis-standby-tom-nodes"),
        ("Service", "redis-standby-tom-ro"),
        ("Service", "sentinel-standby-tom"),
        ("Service", "sentinel-standby-tom-nodes"),
        ("StatefulSet", "redis-standby-tom"),
        ("StatefulSet", "sentinel-standby-tom"),
    ]


def test_a_standalone_is_one_pod_behind_one_service_without_an_exporter_unless_it_has_an_image() -> None:
    found = children(standalone(netmode="NodePort"))

    assert sorted(found) == [
        ("ConfigMap", "redis-one"),
        ("Secret", "redis-one-auth"),
        ("Service", "redis-one"),
        ("Service", "redis-one-nodes"),
        ("StatefulSet", "redis-one"),
    ]
    spec = found["StatefulSet", "redis-one"]["spec"]
    assert spec["replicas"] == 1
    assert [each["name"] for each in spec["template"]["spec"]["containers"]] == ["redis"]
    assert set(spec["template"]["metadata"]["annotations"]) == {MADE_OF, ASKED}
    service = found["Service", "redis-one"]["spec"]
    assert service["type"] == "NodePort"
    labels = {**spec["template"]["metadata"]["labels"], "statefulset.kubernetes.io/pod-name": "redis-one-0"}
    assert service["selector"].items() <= labels.items()
    assert "exporter" in json.dumps(children(standalone(monitorimage="exporter:1"))["StatefulSet", "redis-one"])


def test_only_redis_can_say_who_is_behind_a_standby_s_services_and_the_sentinels_are_behind_theirs() -> None:
    found = children(standby(netmode="NodePort"))

    services = {name: child["spec"] for (kind, name), child in found.items() if kind == "Service"}
    assert {name: spec["type"] for name, spec in services.items()} == {
        "redis-standby-tom": "NodePort",
        "redis-standby-tom-ro": "ClusterIP",
        "redis-standby-tom-nodes": "ClusterIP",
        "sentinel-standby-tom": "ClusterIP",
        "sentinel-standby-tom-nodes": "ClusterIP",
    }
    assert [name for name, spec in services.items() if "selector" not in spec] == [
        "redis-standby-tom",
        "redis-standby-tom-ro",
    ]
    sentinels = found["StatefulSet", "sentinel-standby-tom"]["spec"]["template"]["metadata"]["labels"]
    assert services["sentinel-standby-tom"]["selector"].items() <= sentinels.items()


def test_redis_and_sentinel_pods_carry_the_labels_of_old() -> None:
    found = children(standby())

    old = ("APPNAME", "APP", "CLUSTER", "DC", "ENV", "RESOURCE_ID")
    labels = {
        name: found["StatefulSet", name]["spec"]["template"]["metadata"]["labels"]
        for name in ("redis-standby-tom", "sentinel-standby-tom")
    }
    assert {name: [each[label] for label in old] for name, each in labels.items()} == {
        "redis-standby-tom": ["redis", "standby-tom", "redis-standby-tom", "hz", "demo", "redis-standby-tom"],
        "sentinel-standby-tom": [
            "sentinel",
            "standby-tom",
            "sentinel-standby-tom",
            "hz",
            "demo",
            "sentinel-standby-tom",
        ],
    }


@pytest.mark.parametrize(("env", "required"), [("production", "APP"), ("staging", "RESOURCE_ID"), ("demo", None)])
def test_env_decides_how_a_standby_s_pods_are_spread(env: str, required: str | None) -> None:
    spec = children(standby(env=env))["StatefulSet", "redis-standby-tom"]["spec"]["template"]["spec"]

    terms = spec.get("affinity", {}).get("podAntiAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    assert [required in term["labelSelector"]["matchLabels"] for term in terms or ()] == [True] * bool(required)


@pytest.mark.parametrize("instance", [standby(sentinel={"auth": True}), standalone()], ids=["standby", "standalone"])
def test_passwords_are_in_secrets_alone(instance: RedisStandby | RedisStandalone) -> None:
    encoded = base64.b64encode(b"vault").decode()
    for (kind, _), child in children(instance).items():
        text = json.dumps(child)
        assert (encoded in text) is (kind == "Secret")
        assert "vault" not in text


def test_sentinels_ask_for_the_password_only_where_spec_says_so_and_always_know_redis_own() -> None:
    for auth in (True, False):
        data = children(standby(sentinel={"auth": auth}))["Secret", "redis-standby-tom-auth"]["data"]

        assert base64.b64decode(data["sentinel-auth.conf"]).decode() == ('requirepass "vault"\n' if auth else "")
        assert base64.b64decode(data["sentinel-auth-pass.conf"]).decode() == (
            f'sentinel auth-pass mymaster "vault"\nsentinel auth-user mymaster {peer_user(standby())}\n'
        )


def test_each_sentinel_has_an_id_of_its_own_that_another_resource_of_the_name_has_not() -> None:
    ids = build_sentinel_ids(standby(sentinel={"replicas": 5}))

    assert len(set(ids.values())) == 5
    assert {len(each) for each in ids.values()} == {40}
    assert ids.items() >= build_sentinel_ids(standby()).items()
    namesake = msgspec.structs.replace(standby(), metadata=ObjectMeta(name="redis-standby-tom", uid="another"))
    assert not set(build_sentinel_ids(namesake).values()) & set(ids.values())
    assert set(ids) == {f"sentinel-id.sentinel-standby-tom-{ordinal}" for ordinal in range(5)}


def test_clients_and_readers_are_led_by_a_slice_each() -> None:
    target = Target(pod="p", ip="10.0.0.1", node=None, uid="u")
    for service, name in (
        ("redis-standby-tom", "redis-standby-tom-primary"),
        ("redis-standby-tom-ro", "redis-standby-tom-ro-replicas"),
    ):
        new: Any = build_standby_endpoints(standby(), SITE, service, [target])
        old: Any = build_standby_endpoints(standby(), Site(endpoint_slices=False), service, [target])

        assert new["metadata"]["name"] == name
        assert new["metadata"]["labels"]["kubernetes.io/service-name"] == old["metadata"]["name"] == service


def test_redis_is_configured_as_its_kind_needs_it() -> None:
    assert "cluster-enabled" in build_redis_conf(sample())
    assert "databases 1\n" in build_redis_conf(sample())
    assert "databases" not in build_redis_conf(standby()) + build_redis_conf(standalone())
    assert "min-replicas-to-write 0\n" in build_redis_conf(standby())
    assert "maxmemory 2048mb\n" in build_redis_conf(standby())
    assert "cluster" not in build_redis_conf(standby()) + build_redis_conf(standalone())


@pytest.mark.parametrize(
    ("instance", "names"),
    [
        (sample(netmode="NodePort"), 0),
        (sample(netmode="ClusterIP", proxy={"enabled": False}), 0),
        (sample(netmode="LoadBalancer", proxy={"enabled": False}), 6),
        (standby(netmode="NodePort"), 0),
        (standby(netmode="ClusterIP", sentinel={"external": True}), 0),
        (standby(netmode="NodePort", sentinel={"external": True}), 5),
        (standalone(netmode="NodePort"), 0),
    ],
)
def test_pods_have_services_where_clients_from_outside_are_sent_from_pod_to_pod(instance: Any, names: int) -> None:
    found: Any = build_external_services(instance)

    assert len(found) == names
    for service in found:
        assert is_external_service(service)
        assert service["spec"]["type"] == instance.spec.net_mode
        assert service["spec"]["selector"] == {"statefulset.kubernetes.io/pod-name": service["metadata"]["name"]}


def test_the_ports_of_a_pod_s_own_service_are_those_its_process_opens() -> None:
    outside: dict[str, Any] = {"netmode": "NodePort", "sentinel": {"external": True}}
    found: Any = build_external_services(standby(**outside))
    of_cluster: Any = build_external_services(sample(netmode="NodePort", proxy={"enabled": False}))

    ports = {service["metadata"]["name"]: [port["port"] for port in service["spec"]["ports"]] for service in found}
    assert ports["redis-standby-tom-1"] == [6379]
    assert ports["sentinel-standby-tom-2"] == [26379]
    assert [port["name"] for port in of_cluster[0]["spec"]["ports"]] == ["redis", "bus"]
    assert not is_external_service(children(standby(**outside))["Service", "sentinel-standby-tom"])


@pytest.mark.parametrize(
    ("spec", "requests", "limits"),
    [
        ({}, {}, {}),
        ({"env": "production"}, {"cpu": "2"}, {"cpu": "2"}),
        ({"env": "production", "resources": {"requests": {"cpu": 4}}}, {"cpu": "4"}, {}),
        ({"memoryOverheadPercent": 25}, {"memory": "2560Mi"}, {"memory": "2560Mi"}),
        (
            {"memoryOverheadPercent": 25, "resources": {"limits": {"cpu": "1", "memory": "9Gi"}}},
            {"memory": "2560Mi"},
            {"cpu": "1", "memory": "2560Mi"},
        ),
        (
            {"memoryOverheadPercent": 25, "capacity": 0, "resources": {"limits": {"memory": "9Gi"}}},
            {},
            {"memory": "9Gi"},
        ),
        ({"memoryOverheadPercent": 10, "capacity": 17}, {"memory": "19Mi"}, {"memory": "19Mi"}),
    ],
)
def test_what_a_redis_container_may_use_follows_resources_env_and_capacity(
    spec: dict[str, Any], requests: dict[str, str], limits: dict[str, str]
) -> None:
    assert container_resources(standby(**spec)) == (requests, limits)


def test_a_volume_goes_with_its_resource_only_where_it_is_not_to_be_retained() -> None:
    kept: Any = build_claim_owner(standby(), "redis-data-redis-standby-tom-1")
    going: Any = build_claim_owner(standby(storage={"retain": False}), "redis-data-redis-standby-tom-1")

    assert kept["metadata"]["ownerReferences"] == []
    (owner,) = going["metadata"]["ownerReferences"]
    assert (owner["uid"], "controller" in owner) == ("uid-tom", False)
    made: Any = children(standby(storageclass="fast"))["StatefulSet", "redis-standby-tom"]
    (template,) = made["spec"]["volumeClaimTemplates"]
    assert template["metadata"]["labels"] == kept["metadata"]["labels"] == going["metadata"]["labels"]


def test_a_claim_says_that_no_tool_is_to_prune_it() -> None:
    """It has the label by which some know their own objects, and is in nobody's manifests."""
    kept: Any = build_claim_owner(standby(), "redis-data-redis-standby-tom-1")
    made: Any = children(standby(storageclass="fast"))["StatefulSet", "redis-standby-tom"]
    (template,) = made["spec"]["volumeClaimTemplates"]

    assert template["metadata"]["annotations"] == kept["metadata"]["annotations"]
    assert kept["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"


@pytest.mark.parametrize("instance", [sample(), standby(), standalone()], ids=["cluster", "standby", "standalone"])
def test_what_a_configuration_says_rolls_no_redis(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is for the next start of a pod; what must be so at once is set while Redis runs."""
    shard = statefulset_names(instance)[0]
    before = build_redis_statefulset(instance, SITE, shard), build_config_map(instance)
    monkeypatch.setattr("tdredis.manifests.config_map.build_redis_conf", lambda _: "databases 2\n")
    after = build_redis_statefulset(instance, SITE, shard), build_config_map(instance)

    assert (before[0] == after[0], before[1] == after[1]) == (True, False)
