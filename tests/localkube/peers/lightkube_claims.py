"""Claims about lightkube against the cluster of KUBECONFIG: its published sources hold no test that talks to one."""

# mypy: disable-error-code="import-not-found"
# lightkube is installed by run.py, beside this project and not in it.
from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from lightkube import Client
from lightkube.core.exceptions import ApiError, ConditionError, ObjectDeleted
from lightkube.generic_resource import create_namespaced_resource, load_in_cluster_generic_resources
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod
from lightkube.types import PatchType

TALKER = "i=0; while [ $i -lt 3 ]; do echo line $i; i=$((i+1)); done; trap 'exit 0' TERM; sleep 600 & wait"


@pytest.fixture(name="client")
def _client() -> Iterator[Client]:
    name = f"lightkube-{uuid.uuid4().hex[:6]}"
    client = Client(namespace=name, field_manager="lightkube-claims")
    client.create(Namespace(metadata=ObjectMeta(name=name)))
    yield client
    client.delete(Namespace, name)


def config_map(name: str, **data: str) -> ConfigMap:
    return ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name=name, labels={"app": name}), data=data)


def pod(name: str) -> Pod:
    containers = [Container(name="c", image="busybox", command=["sh", "-c", TALKER])]
    return Pod(metadata=ObjectMeta(name=name, labels={"app": name}), spec=PodSpec(containers=containers))


def deployment(name: str, replicas: int) -> Deployment:
    labels = {"app": name}
    made = pod(name)
    template = PodTemplateSpec(metadata=ObjectMeta(labels=labels), spec=made.spec)
    return Deployment(
        metadata=ObjectMeta(name=name),
        spec=DeploymentSpec(replicas=replicas, selector=LabelSelector(matchLabels=labels), template=template),
    )


def test_what_was_created_is_got_listed_and_deleted(client: Client) -> None:
    client.create(config_map("a", key="1"))
    client.create(config_map("b", key="2"))

    assert client.get(ConfigMap, "a").data == {"key": "1"}
    assert [one.metadata.name for one in client.list(ConfigMap, labels={"app": "b"})] == ["b"]
    client.delete(ConfigMap, "a")
    with pytest.raises(ApiError) as refused:
        client.get(ConfigMap, "a")
    assert refused.value.status.code == 404


def test_lists_come_whole_though_in_chunks(client: Client) -> None:
    for number in range(7):
        client.create(config_map(f"c{number}", app="x"))

    assert {f"c{number}" for number in range(7)} <= {one.metadata.name for one in client.list(ConfigMap, chunk_size=2)}


def test_a_stale_replace_is_refused(client: Client) -> None:
    old = client.create(config_map("a", key="1"))
    client.replace(config_map("a", key="2"))

    with pytest.raises(ApiError) as refused:
        client.replace(old)

    assert refused.value.status.code == 409


@pytest.mark.parametrize("kind", [PatchType.MERGE, PatchType.STRATEGIC])
def test_a_patch_changes_what_it_names(client: Client, kind: PatchType) -> None:
    client.create(config_map("a", key="1", other="1"))

    client.patch(ConfigMap, "a", {"data": {"key": "2"}}, patch_type=kind)

    assert client.get(ConfigMap, "a").data == {"key": "2", "other": "1"}


def test_a_json_patch_is_done(client: Client) -> None:
    client.create(config_map("a", key="1"))

    steps = [{"op": "replace", "path": "/data/key", "value": "2"}]
    client.patch(ConfigMap, "a", steps, patch_type=PatchType.JSON)

    assert client.get(ConfigMap, "a").data == {"key": "2"}


def test_apply_owns_what_it_set_and_takes_it_back(client: Client) -> None:
    client.apply(config_map("a", key="1", other="1"))
    client.apply(config_map("a", key="1"))

    assert client.get(ConfigMap, "a").data == {"key": "1"}
    with pytest.raises(ApiError) as refused:
        client.apply(config_map("a", key="2"), field_manager="someone-else")
    assert refused.value.status.code == 409
    client.apply(config_map("a", key="2"), field_manager="someone-else", force=True)
    assert client.get(ConfigMap, "a").data == {"key": "2"}


def test_a_watch_tells_each_change_in_order(client: Client) -> None:
    since = client.create(config_map("a", key="1")).metadata.resourceVersion
    client.patch(ConfigMap, "a", {"data": {"key": "2"}})
    client.delete(ConfigMap, "a")

    seen = []
    for change, obj in client.watch(ConfigMap, fields={"metadata.name": "a"}, resource_version=since):
        seen.append((change, obj.data["key"]))
        if change == "DELETED":
            break

    assert seen == [("MODIFIED", "2"), ("DELETED", "2")]


def test_a_pod_is_waited_for_and_its_log_read(client: Client) -> None:
    client.create(pod("p"))

    client.wait(Pod, "p", for_conditions=["Ready"])

    assert client.get(Pod, "p").status.phase == "Running"
    assert [line.rstrip("\n") for line in client.log("p", tail_lines=2)] == ["line 1", "line 2"]


def test_waiting_for_what_goes_away_is_an_error(client: Client) -> None:
    client.create(pod("p"))
    client.wait(Pod, "p", for_conditions=["Ready"])
    client.delete(Pod, "p", grace_period=1)

    with pytest.raises((ConditionError, ObjectDeleted)):
        client.wait(Pod, "p", for_conditions=["NeverSo"])


def test_a_deployment_is_scaled_through_its_subresource(client: Client) -> None:
    client.create(deployment("d", 1))
    client.wait(Deployment, "d", for_conditions=["Available"])

    scale = client.get(Deployment.Scale, "d")
    scale.spec = ScaleSpec(replicas=2)
    client.replace(scale, "d")

    for _, obj in client.watch(Deployment, fields={"metadata.name": "d"}):
        if obj.status is not None and obj.status.readyReplicas == 2:
            break
    assert client.get(Deployment, "d").spec.replicas == 2


def test_a_collection_is_deleted_at_once(client: Client) -> None:
    client.create(config_map("a", key="1"))
    client.create(config_map("b", key="1"))

    client.deletecollection(ConfigMap)

    assert "a" not in {one.metadata.name for one in client.list(ConfigMap)}


def test_a_custom_resource_is_kept_with_its_status(client: Client) -> None:
    group = f"g{uuid.uuid4().hex[:6]}.example.com"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    names = {"plural": "shirts", "singular": "shirt", "kind": "Shirt"}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    definition = CustomResourceDefinition.from_dict({"metadata": {"name": f"shirts.{group}"}, "spec": spec})
    client.create(definition)
    client.wait(CustomResourceDefinition, f"shirts.{group}", for_conditions=["Established"])
    try:
        load_in_cluster_generic_resources(client)
        shirt = create_namespaced_resource(group, "v1", "Shirt", "shirts")
        client.create(shirt(metadata=ObjectMeta(name="s"), spec={"size": 3}, status={"worn": True}))
        client.patch(shirt.Status, "s", {"status": {"worn": False}}, patch_type=PatchType.MERGE)

        assert client.get(shirt, "s")["status"] == {"worn": False}
        assert client.get(shirt, "s")["spec"] == {"size": 3}
    finally:
        client.delete(CustomResourceDefinition, f"shirts.{group}")
