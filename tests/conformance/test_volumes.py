"""Claims: what a container finds under its mounts, who may write there, and how changes arrive in a running pod."""

from __future__ import annotations

import base64
from typing import Any

from tests.conformance.client import Obj
from tests.conformance.namespace import Namespace, build_configmap, build_container, container_status, is_ready

SYNC_S = 100  # a real kubelet looks at a changed ConfigMap once in a minute or so


def secret(name: str, **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


async def run_to_end(ns: Namespace, script: str, volumes: list[Obj], mounts: list[Obj], **pod: Any) -> list[str]:
    """The lines that *script* prints in a container with these mounts."""
    await ns.run(
        "p", containers=[build_container(script, volumeMounts=mounts)], volumes=volumes, restartPolicy="Never", **pod
    )
    await ns.until("pods", "p", lambda p: p["status"]["phase"] in {"Succeeded", "Failed"})
    return (await ns.log("p")).splitlines()


async def test_a_config_map_is_a_directory_of_files(ns: Namespace) -> None:
    await ns.create("configmaps", build_configmap("m", **{"a.conf": "one", "b.conf": "two"}))

    lines = await run_to_end(
        ns,
        "ls /etc/m; cat /etc/m/a.conf",
        [{"name": "m", "configMap": {"name": "m"}}],
        [{"name": "m", "mountPath": "/etc/m"}],
    )

    assert lines == ["a.conf", "b.conf", "one"]


async def test_binary_data_arrives_byte_for_byte(ns: Namespace) -> None:
    body = build_configmap("m") | {"binaryData": {"blob": base64.b64encode(bytes(range(256))).decode()}}
    await ns.create("configmaps", body)

    lines = await run_to_end(
        ns,
        "wc -c < /etc/m/blob; md5sum < /etc/m/blob",
        [{"name": "m", "configMap": {"name": "m"}}],
        [{"name": "m", "mountPath": "/etc/m"}],
    )

    assert lines == ["256", "e2c865db4162bed963bfaa9ef6ac18f0  -"]


async def test_items_choose_keys_paths_and_modes(ns: Namespace) -> None:
    await ns.create("secrets", secret("s", password="abc", other="x"))
    volume = {"secretName": "s", "items": [{"key": "password", "path": "deep/word", "mode": 0o400}]}

    lines = await run_to_end(
        ns,
        "cd /etc/s; find -L . -type f -not -path '*/..*'; stat -Lc %a deep/word; cat deep/word",
        [{"name": "s", "secret": volume}],
        [{"name": "s", "mountPath": "/etc/s"}],
    )

    assert lines == ["./deep/word", "400", "abc"]


async def test_one_file_can_be_mounted_alone(ns: Namespace) -> None:
    await ns.create("configmaps", build_configmap("m", **{"a.conf": "one"}))

    lines = await run_to_end(
        ns,
        "cat /tmp/only.conf; test -f /tmp/only.conf && echo file",
        [{"name": "m", "configMap": {"name": "m"}}],
        [{"name": "m", "mountPath": "/tmp/only.conf", "subPath": "a.conf"}],
    )

    assert "".join(lines) == "onefile"


async def test_config_maps_and_secrets_cannot_be_written(ns: Namespace) -> None:
    await ns.create("configmaps", build_configmap("m", a="one"))
    await ns.create("secrets", secret("s", b="two"))

    lines = await run_to_end(
        ns,
        "for f in /etc/m/a /etc/s/b; do (echo x > $f) 2>/dev/null && echo wrote || echo refused; done",
        [{"name": "m", "configMap": {"name": "m"}}, {"name": "s", "secret": {"secretName": "s"}}],
        [{"name": "m", "mountPath": "/etc/m"}, {"name": "s", "mountPath": "/etc/s"}],
    )

    assert lines == ["refused", "refused"]


async def test_an_empty_dir_is_shared_by_the_containers_and_outlives_a_restart(ns: Namespace) -> None:
    mounts = [{"name": "scratch", "mountPath": "/scratch"}]
    dies_once = (
        "test -e /scratch/mark && { trap 'exit 0' TERM; while :; do sleep 0.1; done; }; touch /scratch/mark; exit 1"
    )
    reads = "until test -e /scratch/mark; do sleep 0.1; done; echo seen; sleep 60"
    containers = [
        build_container(dies_once, volumeMounts=mounts),
        build_container(reads, name="other", volumeMounts=mounts),
    ]
    await ns.run("p", containers=containers, volumes=[{"name": "scratch", "emptyDir": {}}])

    pod = await ns.until("pods", "p", lambda p: is_ready(p) and container_status(p)["restartCount"] == 1)
    await ns.until_log("p", "seen", container="other")

    assert container_status(pod, "other")["restartCount"] == 0


async def test_an_empty_dir_is_empty_in_the_next_pod(ns: Namespace) -> None:
    script = "ls -A /scratch | wc -l; touch /scratch/mark; trap 'exit 0' TERM; while :; do sleep 0.1; done"
    container = build_container(script, volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}])
    spec: Obj = {"containers": [container], "volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory"}}]}
    await ns.run("p", **spec)
    await ns.until_log("p", "0")
    await ns.api.delete(ns.path("pods", "p"))
    await ns.api.until_gone(ns.path("pods", "p"))

    await ns.run("p", **spec)

    assert (await ns.until_log("p", "0")).split() == ["0"]


async def test_the_downward_api_writes_labels_and_names_and_follows_changes(ns: Namespace) -> None:
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
    ]
    script = (
        "cat /info/name; echo; cat /info/labels; echo; "
        "until grep -q new /info/labels; do sleep 0.2; done; echo changed; sleep 60"
    )
    container = build_container(script, volumeMounts=[{"name": "info", "mountPath": "/info"}])
    await ns.run(
        "p",
        labels={"tier": "old"},
        containers=[container],
        volumes=[{"name": "info", "downwardAPI": {"items": items}}],
    )
    first = await ns.until_log("p", "tier")

    await ns.api.patch(ns.path("pods", "p"), {"metadata": {"labels": {"tier": "new"}}})
    await ns.until_log("p", "changed", SYNC_S)

    assert first.split() == ["p", 'tier="old"']


async def test_a_changed_config_map_arrives_whole_in_a_running_pod(ns: Namespace) -> None:
    """Two keys changed in one write are never seen half changed through one look at the directory."""
    await ns.create("configmaps", build_configmap("m", a="old", b="old"))
    script = (
        "while :; do d=$(readlink -f /etc/m/..data 2>/dev/null || echo /etc/m); "
        "set -- $(cat $d/a) $(cat $d/b); "
        'if [ $# = 2 ]; then [ "$1" = "$2" ] || echo torn; [ "$1$2" = newnew ] && { echo arrived; sleep 60; }; fi; '
        "sleep 0.05; done"
    )
    container = build_container(script, volumeMounts=[{"name": "m", "mountPath": "/etc/m"}])
    await ns.run("p", containers=[container], volumes=[{"name": "m", "configMap": {"name": "m"}}])
    await ns.until("pods", "p", is_ready)

    (await ns.api.patch(ns.path("configmaps", "m"), {"data": {"a": "new", "b": "new"}})).accepted()
    log = await ns.until_log("p", "arrived", SYNC_S)

    assert "torn" not in log


async def test_several_sources_are_projected_into_one_directory(ns: Namespace) -> None:
    await ns.create("configmaps", build_configmap("m", a="one"))
    await ns.create("secrets", secret("s", b="two"))
    sources = [
        {"configMap": {"name": "m"}},
        {"secret": {"name": "s"}},
        {"downwardAPI": {"items": [{"path": "c", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]

    lines = await run_to_end(
        ns,
        "for f in a b c; do echo $(cat /all/$f); done",
        [{"name": "all", "projected": {"sources": sources}}],
        [{"name": "all", "mountPath": "/all"}],
    )

    assert lines == ["one", "two", "p"]


async def test_a_pod_waits_for_its_config_map(ns: Namespace) -> None:
    container = build_container(volumeMounts=[{"name": "m", "mountPath": "/etc/m"}])
    made = await ns.run("p", containers=[container], volumes=[{"name": "m", "configMap": {"name": "late"}}])

    event, *_ = await ns.until_list(
        "events",
        lambda found: found,
        fieldSelector=f"involvedObject.uid={made['metadata']['uid']},reason=FailedMount",
    )
    waiting = await ns.until("pods", "p", lambda p: container_status(p).get("state"))
    await ns.create("configmaps", build_configmap("late", a="one"))
    await ns.until("pods", "p", is_ready, SYNC_S)

    assert (waiting["status"]["phase"], container_status(waiting)["state"]["waiting"]["reason"]) == (
        "Pending",
        "ContainerCreating",
    )
    assert 'configmap "late" not found' in event["message"]


async def test_an_optional_config_map_may_be_absent(ns: Namespace) -> None:
    lines = await run_to_end(
        ns,
        "ls -A /etc/m | wc -l",
        [{"name": "m", "configMap": {"name": "absent", "optional": True}}],
        [{"name": "m", "mountPath": "/etc/m"}],
    )

    assert lines[0] in {"0", "2"}  # 2: `..data` and the directory it leads to
