"""What a command asks of the operator arrives as an edit that it understands; and what cannot be meant is said."""

from __future__ import annotations

import re

import pytest

from tdredis.kube.resources import STATEFULSETS
from tdredis.manifests.made_of import RESTART
from tdredis.planning.handover import HANDOVER
from tests.e2e.world import standby
from tests.unit.cli.conftest import NAMESPACE, Obj, Shell

RAT, TOM = "redis-cluster-rat", "redis-standby-tom"


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


async def test_a_restart_of_one_statefulset_is_what_kubectl_rollout_restart_writes(shell: Shell, tom: Obj) -> None:
    labels = {"a": "b"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "redis", "image": "redis:7.0"}]}}
    await shell.client.create(
        STATEFULSETS,
        {
            "metadata": {"name": "sentinel-x", "namespace": NAMESPACE},
            "spec": {"serviceName": "x", "selector": {"matchLabels": labels}, "template": template},  # type: ignore[dict-item]
        },
    )

    done = await shell.type("restart", TOM, "sentinel-x")

    written: Obj = await shell.client.get(STATEFULSETS, NAMESPACE, "sentinel-x")
    assert done.code == 0
    assert written["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"]
    assert written["spec"]["template"]["spec"]["containers"][0]["image"] == "redis:7.0"
    assert RESTART not in await annotations_of(shell, "RedisStandby", TOM)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pause", "nothing-here"), "`kubectl get redis -A` lists what there is"),
        (("pause", "rediscluster/nothing-here"), "`kubectl get redis -A` lists what there is"),
        (("status", "deployment/x"), "write KIND/NAME, for example rediscluster/redis-cluster-rat"),
        (("pause", "rediscluster/"), "write KIND/NAME"),
        (("explain", "rediscluster/nothing-here"), "`kubectl get redis -A` lists what there is"),
        (("restart", RAT, "no-such-set"), "not found"),
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
