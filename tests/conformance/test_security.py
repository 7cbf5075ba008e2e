"""Claims: a container has the user, the rights and the root that its security contexts say; Redis lives with them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.client import Obj
from tests.conformance.namespace import Namespace, build_container, container_status, is_ready
from tests.conformance.test_storage import build_claim

# What the restricted pod security standard asks for, and what our Redis pods say.
POD = {
    "runAsNonRoot": True,
    "runAsUser": 999,
    "runAsGroup": 999,
    "fsGroup": 999,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER = {
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
EMPTY_DIR = {"name": "data", "emptyDir": {}}
CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "c"}}
MOUNT = [{"name": "data", "mountPath": "/data"}]


async def run_to_end(ns: Namespace, script: str, *, pod: Obj, container: Obj, **fields: Any) -> list[str]:
    """What *script* says, line by line."""
    main = build_container(f"{{ {script}; }} 2>&1; echo over", securityContext=container, **fields)
    volumes = [EMPTY_DIR] if "volumeMounts" in fields else []
    await ns.run("p", containers=[main], securityContext=pod, volumes=volumes, restartPolicy="Never")
    return (await ns.until_log("p", "over\n")).splitlines()[:-1]


async def test_a_container_runs_as_the_user_and_group_it_says(ns: Namespace) -> None:
    said = await run_to_end(ns, "id -u; id -g", pod={"runAsUser": 1234, "runAsGroup": 2345}, container={})

    assert said == ["1234", "2345"]


async def test_a_container_says_it_before_its_pod(ns: Namespace) -> None:
    said = await run_to_end(
        ns, "id -u; id -g", pod={"runAsUser": 1234, "runAsGroup": 2345}, container={"runAsUser": 999}
    )

    assert said == ["999", "2345"]


async def test_a_read_only_root_cannot_be_written_and_its_volumes_can(ns: Namespace) -> None:
    script = "touch /tmp/x /etc/x /x; touch /data/x && ls /data"

    said = await run_to_end(ns, script, pod={}, container={"readOnlyRootFilesystem": True}, volumeMounts=MOUNT)

    assert len([line for line in said if "Read-only file system" in line]) == 3
    assert said[-1] == "x"


@pytest.mark.needs_users
async def test_a_writable_root_is_written_where_its_rights_allow(ns: Namespace) -> None:
    said = await run_to_end(ns, "touch /tmp/x && ls /tmp/x; touch /x", pod={"runAsUser": 1234}, container={})

    assert said[0] == "/tmp/x"
    assert "Permission denied" in said[1]


async def test_without_capabilities_and_escalation_there_are_none(ns: Namespace) -> None:
    script = "grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs)' /proc/self/status | tr '\\t' ' '"

    said = await run_to_end(ns, script, pod={"runAsUser": 999}, container=CONTAINER)

    none = "0000000000000000"
    assert sorted(said) == [f"CapBnd: {none}", f"CapEff: {none}", f"CapPrm: {none}", "NoNewPrivs: 1"]


@pytest.mark.needs_users
async def test_root_without_capabilities_is_not_let_past_the_rights_of_files(ns: Namespace) -> None:
    script = "touch /data/x && chmod 000 /data/x && cat /data/x; chown 1 /data/x"

    said = await run_to_end(ns, script, pod={}, container={"capabilities": {"drop": ["ALL"]}}, volumeMounts=MOUNT)

    assert len(said) == 2
    assert "Permission denied" in said[0]
    assert "Operation not permitted" in said[1]


async def test_who_must_not_be_root_and_says_no_user_does_not_run(ns: Namespace) -> None:
    def waits(pod: Obj) -> Obj:
        found: Obj = container_status(pod).get("state", {}).get("waiting", {})
        return found

    await ns.run("p", securityContext={"runAsNonRoot": True})
    pod = await ns.until("pods", "p", lambda p: waits(p).get("reason") == "CreateContainerConfigError")

    assert "container has runAsNonRoot and image will run as root" in waits(pod)["message"]


@pytest.mark.needs_users
async def test_files_of_a_volume_belong_to_its_group(ns: Namespace) -> None:
    script = "touch /data/x && stat -c '%u %g' /data/x; stat -c '%g %A' /data; id -G"

    said = await run_to_end(ns, script, pod={"runAsUser": 1234, "fsGroup": 4321}, container={}, volumeMounts=MOUNT)

    assert said[0] == "1234 4321"
    assert said[1].split()[0] == "4321"
    assert said[1].split()[1][5] == "w"
    assert "4321" in said[2].split()


def build_redis(volume: Obj) -> Obj:
    """A Redis that saves into *volume*, under all that the restricted standard asks for."""
    command = ["redis-server", "--dir", "/data", "--appendonly", "yes", "--bind", "127.0.0.1", "--save", ""]
    probe = {"exec": {"command": ["redis-cli", "-h", "127.0.0.1", "ping"]}, "periodSeconds": 1}
    main = build_container(command=command, securityContext=CONTAINER, volumeMounts=MOUNT, readinessProbe=probe)
    return {"containers": [main], "volumes": [volume], "securityContext": POD}


async def saved(ns: Namespace, volume: Obj) -> list[str]:
    """What a second container of the same user finds after the Redis has saved."""
    spec = build_redis(volume)
    saved = "until grep -q redis-ver /data/dump.rdb 2> /dev/null; do sleep 0.1; done"
    script = f"{saved}; id -u; stat -c %u /data/dump.rdb; ls /data"
    spec["containers"].append(
        build_container(f"{script}; echo over; sleep 60", name="eye", securityContext=CONTAINER, volumeMounts=MOUNT)
    )
    spec["containers"][0]["lifecycle"] = {
        "postStart": {"exec": {"command": ["sh", "-c", "until redis-cli -h 127.0.0.1 save; do sleep 0.1; done"]}}
    }
    await ns.run("p", **spec)
    said = (await ns.until_log("p", "over\n", container="eye")).splitlines()
    await ns.until("pods", "p", is_ready)
    return said


async def test_a_restricted_redis_saves_into_an_empty_dir(ns: Namespace) -> None:
    said = await saved(ns, EMPTY_DIR)

    assert said[:2] == ["999", "999"]
    assert {"dump.rdb", "appendonlydir"} <= set(said)


async def test_a_restricted_redis_saves_into_a_claim(ns: Namespace) -> None:
    await ns.create("persistentvolumeclaims", build_claim("c"))

    said = await saved(ns, CLAIM)

    assert said[:2] == ["999", "999"]
    assert {"dump.rdb", "appendonlydir"} <= set(said)


async def test_a_pod_that_wants_no_token_has_none(ns: Namespace) -> None:
    said = await run_to_end(ns, "ls /var/run/secrets /run/secrets", pod=POD, container=CONTAINER)

    assert all("No such file or directory" in line for line in said)
    pod = await ns.read("pods", "p")
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"].get("volumes", []) == []
