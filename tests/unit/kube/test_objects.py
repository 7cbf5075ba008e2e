"""Claims about what we keep of an object, and what we let go."""

import json
import sys

import msgspec
import pytest

from tdredis.kube.client import ListPage
from tdredis.kube.objects import parse_child, parse_custom, parse_pod, parse_time, render_time
from tdredis.kube.resources import CONFIGMAPS, REDISCLUSTERS, SECRETS

POD = {
    "metadata": {
        "name": "p",
        "namespace": "n",
        "uid": "u",
        "resourceVersion": "7",
        "labels": {"a": "b"},
        "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": "su", "controller": True}
        ],
        "managedFields": [{"manager": "x", "fieldsV1": {"f:spec": {}}}],
    },
    "spec": {"nodeName": "node-1", "containers": [{"name": "redis", "image": "redis:7", "resources": {}}]},
    "status": {
        "phase": "Running",
        "podIP": "127.64.1.2",
        "hostIP": "10.0.0.1",
        "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastProbeTime": None}],
        "containerStatuses": [
            {
                "name": "redis",
                "ready": False,
                "started": True,
                "restartCount": 2,
                "image": "redis:7",
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {
                    "terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2024-05-01T10:00:00Z"}
                },
            }
        ],
    },
}


def test_a_pod_holds_what_healing_asks_about() -> None:
    pod = parse_pod(json.dumps(POD).encode())

    owner = pod.metadata.controller
    assert owner is not None
    assert (owner.kind, owner.name) == ("StatefulSet", "s")
    assert (pod.spec.node_name, pod.status.pod_ip, pod.status.host_ip) == ("node-1", "127.64.1.2", "10.0.0.1")
    assert not pod.is_ready
    redis = pod.status.container_statuses[0]
    assert redis.restart_count == 2
    assert redis.state.waiting is not None
    assert redis.state.waiting.reason == "CrashLoopBackOff"
    assert redis.last_state.terminated is not None
    assert redis.last_state.terminated.exit_code == 137


def test_a_pod_that_nobody_has_looked_at_is_not_ready_and_nowhere() -> None:
    pod = parse_pod(b'{"metadata":{"name":"p"},"spec":{"containers":[]},"status":{}}')

    assert (pod.is_ready, pod.spec.node_name, pod.status.pod_ip) == (False, "", "")


CHILD = {
    "metadata": {
        "name": "c",
        "namespace": "n",
        "uid": "u",
        "resourceVersion": "7",
        "generation": 3,
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "K", "name": "o", "uid": "ou", "controller": True, "blockOwnerDeletion": True}
        ],
    },
    "data": {"k": "v"},
    "immutable": True,
}


def test_a_child_gives_back_everything_that_drift_compares() -> None:
    child = parse_child(CONFIGMAPS)(json.dumps(CHILD).encode())

    assert child.to_json() == {"apiVersion": "v1", "kind": "ConfigMap", **CHILD}
    assert child.part("data") == {"k": "v"}
    assert child.part("spec") is None


def test_managed_fields_are_not_kept() -> None:
    with_fields = {**CHILD, "metadata": {**CHILD["metadata"], "managedFields": [{"manager": "x"}]}}  # type: ignore[dict-item]

    child = parse_child(CONFIGMAPS)(json.dumps(with_fields).encode())

    assert child.to_json() == {"apiVersion": "v1", "kind": "ConfigMap", **CHILD}


def test_a_secret_does_not_print_its_data() -> None:
    secret = parse_child(SECRETS)(b'{"metadata":{"name":"s"},"data":{"password":"aHVudGVyMg=="}}')

    assert "aHVudGVyMg==" not in repr(secret)


def test_a_child_does_not_keep_the_page_that_it_came_in() -> None:
    body = json.dumps({"metadata": {"resourceVersion": "1"}, "items": [CHILD] * 3}).encode()
    before = sys.getrefcount(body)

    page = msgspec.json.decode(body, type=ListPage)
    children = [parse_child(CONFIGMAPS)(item) for item in page.items or ()]
    del page

    assert len(children) == 3
    assert sys.getrefcount(body) == before


def test_a_custom_object_is_handed_on_as_text_with_its_kind() -> None:
    text = b'{"metadata":{"name":"c","namespace":"n"},"spec":{"size":3},"status":{"phase":"Ready"}}'

    custom = parse_custom(REDISCLUSTERS)(text)

    assert json.loads(custom.to_bytes()) == custom.to_json()
    assert custom.to_json()["kind"] == "RedisCluster"
    assert custom.to_json()["spec"] == {"size": 3}


@pytest.mark.parametrize(("text", "epoch_s"), [("1970-01-01T00:01:00Z", 60.0), ("1970-01-01T00:01:00.250000Z", 60.25)])
def test_times_are_read_with_and_without_a_fraction(text: str, epoch_s: float) -> None:
    assert parse_time(text) == epoch_s
    assert render_time(epoch_s, micro="." in text) == text
