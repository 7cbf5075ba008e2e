"""What status shows is what the resource and its pods say, as text and as data; and no password is in it."""

from __future__ import annotations

import json

import pytest
import yaml

from tdredis.cli.commands.status import describe, render
from tdredis.cli.pods import read_pod
from tdredis.kube.resources import PODS
from tests.unit.cli.conftest import NAMESPACE, Obj, Shell

RAT = "redis-cluster-rat"
LABELS = {
    "app.kubernetes.io/managed-by": "td-redis-operator",
    "app.kubernetes.io/instance": RAT,
    "app.kubernetes.io/component": "redis",
    "cache.tongdun.net/kind": "RedisCluster",
    "cache.tongdun.net/role": "primary",
    "RESOURCE_ID": f"{RAT}-0",
}
CONDITION = {
    "type": "Ready",
    "status": "False",
    "reason": "NoAnswer",
    "message": "the process in pod x does not answer: timeout",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def pod(name: str = f"{RAT}-0-0", **parts: object) -> Obj:
    status: Obj = {
        "podIP": "10.0.0.1",
        "containerStatuses": [
            {"name": "redis", "ready": True, "restartCount": 2, "state": {"running": {}}},
            {
                "name": "exporter",
                "ready": False,
                "restartCount": 1,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            },
        ],
    }
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": LABELS},
        "spec": {"nodeName": "node-1", "containers": [{"name": "redis"}, {"name": "exporter"}]},
        "status": {**status, **parts},
    }


def resource(**status: object) -> Obj:
    return {
        "kind": "RedisCluster",
        "metadata": {"name": RAT, "namespace": NAMESPACE, "generation": 3},
        "spec": {"image": "redis:7.0", "secret": "hunter2"},
        "status": status,
    }


def test_a_pod_is_read_with_what_keeps_it_from_running() -> None:
    found = read_pod(pod())

    assert (found.role, found.shard, found.ready, found.restarts) == ("primary", f"{RAT}-0", "1/2", 3)
    assert (found.node, found.ip, found.running) == ("node-1", "10.0.0.1", True)
    assert found.trouble == "exporter: CrashLoopBackOff"


def test_a_pod_that_has_no_place_says_why() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}

    found = read_pod({**pod(), "status": {"conditions": [condition]}})

    assert (found.trouble, found.running, found.ready) == ("Unschedulable: 0/3 nodes", False, "0/2")


def test_the_text_has_what_a_person_looks_for() -> None:
    shards = [
        {"name": f"{RAT}-0", "primary": f"{RAT}-0-0", "replicasReady": 1, "replicasWanted": 1, "slots": 5461, "keys": 9}
    ]
    found = describe(
        resource(
            phase="NodeNotReady",
            conditions=[CONDITION],
            shards=shards,
            observedGeneration=3,
            addresses={"redis": "1.2.3.4:6379"},
        ),
        (read_pod(pod()),),
    )

    text = render(found)

    assert text.startswith(f"rediscluster/{RAT} in namespace redis: NodeNotReady, redis:7.0")
    for words in ("NoAnswer: the process in pod x does not answer", "1.2.3.4:6379", "5461", "~9", "1/1", "10.0.0.1"):
        assert words in text
    assert "hunter2" not in text + json.dumps(found)


def test_an_edit_that_nobody_has_seen_yet_is_told() -> None:
    text = render(describe(resource(phase="Ready", conditions=[CONDITION], observedGeneration=2), ()))

    assert "spec is of generation 3, and this speaks of 2" in text


def test_a_resource_that_no_operator_looks_at_says_so() -> None:
    assert "does one run, and for this namespace?" in render(describe(resource(), ()))


@pytest.mark.parametrize("output", ["json", "yaml"])
async def test_programs_get_the_same_as_data(shell: Shell, rat: Obj, output: str) -> None:
    await shell.client.create(
        PODS,
        {name: part for name, part in pod().items() if name != "status"}
        | {"spec": {"containers": [{"name": "redis", "image": "redis:7.0"}]}},
    )

    done = await shell.type("status", RAT, "-o", output)

    found = yaml.safe_load(done.out)
    assert done.code == 0
    assert (found["resource"], found["namespace"], found["phase"]) == (f"rediscluster/{RAT}", NAMESPACE, "Unknown")
    assert [each["name"] for each in found["pods"]] == [f"{RAT}-0-0"]
    if output == "json":
        json.loads(done.out)
