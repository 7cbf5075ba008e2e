"""What a command asks of the operator arrives as an edit that it understands; and what cannot be meant is said."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tdredis.kube.resources import PODS, STATEFULSETS
from tdredis.manifests.made_of import RESTART
from tdredis.planning.handover import HANDOVER
from tests.e2e.world import standalone, standby
from tests.unit.cli.conftest import NAMESPACE, Obj, Shell

RAT, TOM = "redis-cluster-rat", "redis-standby-tom"


def labels_of(kind: str, name: str, shard: str = "") -> dict[str, Any]:
    """As the operator labels what it makes for a resource."""
    return {
        "app.kubernetes.io/managed-by": "td-redis-operator",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": "redis",
        "cache.tongdun.net/kind": kind,
        "RESOURCE_ID": shard or name,
    }


async def create_pods(shell: Shell, kind: str, name: str, *pods: str) -> None:
    """In the shard that each pod's name says."""
    for pod in pods:
        labels = labels_of(kind, name, pod.rpartition("-")[0])
        container: Obj = {"name": "redis", "image": "redis:7.0"}
        metadata: Obj = {"name": pod, "namespace": NAMESPACE, "labels": labels}
        await shell.client.create(PODS, {"metadata": metadata, "spec": {"containers": [container]}})


async def create_statefulset(shell: Shell, name: str, labels: Obj, owner: Obj | None = None) -> None:
    metadata: Obj = {"name": name, "namespace": NAMESPACE, "labels": labels}
    if owner is not None:
        uid = owner["metadata"]["uid"]
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
        metadata["ownerReferences"] = [{**reference, "uid": uid, "controller": True}]
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "redis", "image": "redis:7.0"}]}}
    spec: Obj = {"serviceName": "x", "selector": {"matchLabels": {"a": "b"}}, "template": template}
    await shell.client.create(STATEFULSETS, {"metadata": metadata, "spec": spec})


async def annotations_of(shell: Shell, kind: str, name: str) -> Obj:
    found: Obj = (await shell.get(kind, name))["metadata"].get("annotations", {})
    return found


@pytest.mark.parametrize("written", [f"rediscluster/{RAT}", f"rdc/{RAT}", f"redisclusters/{RAT}", RAT])
async def test_a_resource_is_named_as_kubectl_does_or_by_its_name_alone(shell: Shell, rat: Obj, written: str) -> None:
    done = await shell.type("pause", written)

    assert (done.code, done.err) == (0, "")
    assert (await shell.get("RedisCluster", RAT))["spec"]["paused"] is True


async def test_what_kubectl_prints_as_a_name_is_a_name(shell: Shell, rat: Obj) -> None:
    assert (await shell.type("pause", f"rediscluster.cache.tongdun.net/{RAT}")).code == 0


async def test_resume_takes_a_pause_back(shell: Shell, tom: Obj) -> None:
    await shell.type("pause", TOM)
    await shell.type("resume", TOM)

    assert (await shell.get("RedisStandby", TOM))["spec"]["paused"] is False


async def test_a_handover_to_a_pod_is_its_annotation(shell: Shell, rat: Obj) -> None:
    await create_pods(shell, "RedisCluster", RAT, f"{RAT}-0-0", f"{RAT}-0-1")

    done = await shell.type("handover", RAT, f"{RAT}-0-1")

    assert (await annotations_of(shell, "RedisCluster", RAT))[HANDOVER] == f"{RAT}-0-1"
    assert f"{HANDOVER}={RAT}-0-1" in done.out


async def test_a_handover_is_asked_for_anew_each_time(shell: Shell, tom: Obj) -> None:
    await shell.type("handover", TOM)
    first = (await annotations_of(shell, "RedisStandby", TOM))[HANDOVER]
    await shell.type("handover", TOM)

    assert (await annotations_of(shell, "RedisStandby", TOM))[HANDOVER] != first


async def test_a_restart_is_asked_for_anew_each_time(shell: Shell, tom: Obj) -> None:
    await shell.type("restart", TOM)
    first = (await annotations_of(shell, "RedisStandby", TOM))[RESTART]
    await shell.type("restart", TOM)

    assert (await annotations_of(shell, "RedisStandby", TOM))[RESTART] != first


@pytest.mark.parametrize(
    ("pods", "words", "says"),
    [
        (("0-0", "1-0"), (), f"write `handover rediscluster/{RAT} POD`"),
        ((), (), f"write `handover rediscluster/{RAT} POD`"),
        (("0-0", "1-0"), (f"{RAT}-2-0",), f"is no Redis pod of rediscluster/{RAT}: it has {RAT}-0-0, {RAT}-1-0"),
        ((), (f"{RAT}-0-0",), "it has none at the moment"),
    ],
)
async def test_a_handover_of_a_cluster_names_one_of_its_pods(
    shell: Shell, rat: Obj, pods: tuple[str, ...], words: tuple[str, ...], says: str
) -> None:
    await create_pods(shell, "RedisCluster", RAT, *(f"{RAT}-{pod}" for pod in pods))

    done = await shell.type("handover", f"rdc/{RAT}", *words)

    assert done.code == 2
    assert says in done.err
    assert HANDOVER not in await annotations_of(shell, "RedisCluster", RAT)


async def test_a_standalone_has_nobody_to_hand_over_to(shell: Shell) -> None:
    made = await shell.create(standalone(NAMESPACE))
    name = made["metadata"]["name"]
    await create_pods(shell, "RedisStandalone", name, f"{name}-0")

    done = await shell.type("handover", name)

    assert done.code == 2
    assert f"`restart redisstandalone/{name}` recreates it" in done.err
    assert HANDOVER not in await annotations_of(shell, "RedisStandalone", name)


@pytest.mark.parametrize(("replicas", "code"), [(2, 2), (1, 0)])
async def test_where_sentinels_choose_no_pod_is_named(shell: Shell, replicas: int, code: int) -> None:
    """Of one replica a third pod is there while pods are recreated, and goes again."""
    await shell.create(standby(NAMESPACE, replicas=replicas))
    await create_pods(shell, "RedisStandby", TOM, f"{TOM}-0", f"{TOM}-1", f"{TOM}-2")

    done = await shell.type("handover", TOM, f"{TOM}-1")

    assert done.code == code
    assert ("Sentinels choose among 2 replicas" in done.err) == (code == 2)
    assert (await shell.type("handover", TOM)).code == 0


@pytest.mark.parametrize("by", ["labels", "owner"])
async def test_a_restart_of_one_statefulset_is_what_kubectl_rollout_restart_writes(
    shell: Shell, tom: Obj, by: str
) -> None:
    owner = tom if by == "owner" else None
    await create_statefulset(shell, "sentinel-x", labels_of("RedisStandby", TOM) if owner is None else {}, owner)

    done = await shell.type("restart", TOM, "sentinel-x")

    written: Obj = await shell.client.get(STATEFULSETS, NAMESPACE, "sentinel-x")
    assert done.code == 0
    assert written["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"]
    assert written["spec"]["template"]["spec"]["containers"][0]["image"] == "redis:7.0"
    assert RESTART not in await annotations_of(shell, "RedisStandby", TOM)


async def test_a_statefulset_of_somebody_else_is_left_alone(shell: Shell, rat: Obj, tom: Obj) -> None:
    """One of nobody's, one of another instance, and one with our labels that another instance owns."""
    await create_statefulset(shell, "database", {})
    await create_statefulset(shell, f"{RAT}-0", labels_of("RedisCluster", RAT), rat)
    await create_statefulset(shell, "taken", labels_of("RedisStandby", TOM), rat)
    await create_statefulset(shell, TOM, labels_of("RedisStandby", TOM), tom)

    for name in ("database", f"{RAT}-0", "taken", "no-such-set"):
        done = await shell.type("restart", TOM, name)

        assert done.code == 2
        assert f"{name} is no StatefulSet of redisstandby/{TOM}: it has {TOM}" in done.err
    for each in await shell.client.list(STATEFULSETS, NAMESPACE):
        assert "annotations" not in each["spec"]["template"]["metadata"]  # type: ignore[index, call-overload, operator]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pause", "nothing-here"), "`kubectl get redis -A` lists what there is"),
        (("pause", "rediscluster/nothing-here"), "`kubectl get redis -A` lists what there is"),
        (("status", "deployment/x"), "write KIND/NAME, for example rediscluster/redis-cluster-rat"),
        (("pause", "rediscluster/"), "write KIND/NAME"),
        (("explain", "rediscluster/nothing-here"), "`kubectl get redis -A` lists what there is"),
        (("restart", RAT, "no-such-set"), f"is no StatefulSet of rediscluster/{RAT}: it has none"),
        (("handover", RAT), f"write `handover rediscluster/{RAT} POD`"),
        (("explain", f"rdc/{RAT}", "--image-map", "nothing"), "write FROM=TO"),
        (("fix", RAT), "write --dry-run"),
        (("diagnose",), "write RESOURCE, or --reason NAME"),
        (("diagnose", "--reason", "Nonsense"), "`diagnose --catalogue` has all"),
        (("config", "set", RAT, "maxmemory-policy"), "write NAME=VALUE"),
        (("config", "set", RAT, "maxmemory-polcy=x"), "do you mean maxmemory-policy?"),
        (("config", "set", RAT, "requirepass=x"), "write spec.secretRef"),
        (("config", "get", RAT), "write which to show"),
        (("config", "get", RAT, "save"), f"`diagnose rediscluster/{RAT}` says why"),
        (("top", RAT), f"`diagnose rediscluster/{RAT}` says why"),
        (("slots", RAT), f"`diagnose rediscluster/{RAT}` says why"),
        (("slowlog", RAT, "--pod", "x"), "is no Redis pod of"),
        (("cli", "--pod", "x", RAT), "is no Redis pod of"),
        (("forward", "--pod", "x", RAT), "is no Redis pod of"),
    ],
)
async def test_what_cannot_be_done_is_said_with_what_to_do(
    shell: Shell, rat: Obj, words: tuple[str, ...], says: str
) -> None:
    where = ("--kubeconfig", str(shell.kubeconfig), "-n", NAMESPACE)
    command = 2 if words[0] == "config" else 1
    # Before what the command is about: WORDS of `cli` take everything behind it.
    done = await shell.type(*words[:command], *where, *words[command:], server=False)

    assert done.code == 2
    assert says in done.err
    assert done.err.startswith("tdredis: ")
    assert "Traceback" not in done.err


async def test_a_standby_has_no_slots_and_is_said_so(shell: Shell, tom: Obj) -> None:
    done = await shell.type("slots", TOM)

    assert (done.code, done.out) == (2, "")
    assert "has no slots" in done.err


async def test_a_name_of_several_kinds_is_asked_back(shell: Shell, rat: Obj, tom: Obj) -> None:
    other = standby(NAMESPACE, app="other")
    other["metadata"]["name"] = RAT
    await shell.create(other)

    done = await shell.type("pause", RAT)

    assert f"write one of rediscluster/{RAT}, redisstandby/{RAT}" in done.err


async def test_an_edit_that_the_server_refuses_is_told_in_its_words(shell: Shell, rat: Obj) -> None:
    done = await shell.type("config", "set", RAT, "maxmemory=1gb")

    assert done.code == 2
    assert "write capacity" in done.err


async def test_without_a_kubeconfig_it_says_how_to_name_one(shell: Shell) -> None:
    done = await shell.type("status", RAT, "--kubeconfig", "/nowhere/config", server=False)

    assert done.code == 2
    assert "--kubeconfig" in done.err


async def test_a_server_that_is_gone_is_said_to_be(shell: Shell) -> None:
    text = shell.kubeconfig.read_text()
    shell.kubeconfig.write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", text))

    done = await shell.type("status", RAT)

    assert done.code == 2
    assert "kubectl version" in done.err


async def test_a_parameter_is_written_into_spec_and_taken_out_again(shell: Shell, tom: Obj) -> None:
    written = await shell.type("config", "set", TOM, "maxmemory-policy=allkeys-lru", "databases=32")
    spec = (await shell.get("RedisStandby", TOM))["spec"]["config"]
    done = await shell.type("config", "set", TOM, "maxmemory-policy-")

    assert written.err == ""
    assert spec == {"maxmemory-policy": "allkeys-lru", "databases": "32"}
    assert (await shell.get("RedisStandby", TOM))["spec"]["config"] == {"databases": "32"}
    assert "named no more" in done.out


async def test_it_says_whether_pods_are_recreated_for_a_parameter(shell: Shell, tom: Obj) -> None:
    done = await shell.type("config", "set", TOM, "maxmemory-policy=allkeys-lru", "databases=32")

    assert "maxmemory-policy=allkeys-lru: set on every process at once" in done.out
    assert "databases=32: engines read it when they start" in done.out
