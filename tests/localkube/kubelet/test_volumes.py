"""Claims about what a pod finds at its mount paths, and how it hears of changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from localkube.kubelet.volumes import File, MountProblem, sub_path, write_payload

from .conftest import House, Obj, shell

# From within the dated directory, where there is one: all files of one moment.
READ = "$(cd /v/..data 2>/dev/null || cd /v; cat * 2>/dev/null)"
# A directory that is replaced while it is read says nothing.
FOLLOW = f'while :; do new={READ}; case $new in ""|"$old") ;; *) echo "$new"; old=$new ;; esac; sleep 0.02; done'


def watcher(**container: object) -> Obj:
    """Says the files of /v whenever they change."""
    return shell(FOLLOW, volumeMounts=[{"name": "v", "mountPath": "/v"}], **container)


async def test_a_changed_config_map_reaches_the_running_pod(house: House) -> None:
    stored = house.create("configmaps", {"metadata": {"name": "conf"}, "data": {"a": "one"}})
    house.run(watcher(), volumes=[{"name": "v", "configMap": {"name": "conf"}}])
    await house.until_said("one")

    house.registry.update("configmaps", {**stored, "data": {"a": "two", "b": "three"}})

    assert await house.until_said("three") == "one\ntwothree\n"


async def test_a_changed_secret_reaches_the_running_pod(house: House) -> None:
    stored = house.create("secrets", {"metadata": {"name": "sec"}, "data": {"a": "b25l"}})
    house.run(watcher(), volumes=[{"name": "v", "secret": {"secretName": "sec", "defaultMode": 0o400}}])
    await house.until_said("one")

    house.registry.update("secrets", {**stored, "data": {"a": "dHdv"}})

    await house.until_said("two")
    assert await house.exec("sh", "-c", "stat -L -c %a /v/a") == (0, "400\n")


async def test_a_changed_label_reaches_the_downward_volume(house: House) -> None:
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    house.run(
        watcher(), metadata={"labels": {"role": "replica"}}, volumes=[{"name": "v", "downwardAPI": {"items": items}}]
    )
    await house.until_said('role="replica"')

    pod = house.pod()
    house.registry.update("pods", {**pod, "metadata": {**pod["metadata"], "labels": {"role": "primary"}}})

    await house.until_said('role="primary"')


async def test_a_pod_waits_for_its_config_map_and_starts_when_it_appears(house: House) -> None:
    house.run(watcher(), volumes=[{"name": "v", "configMap": {"name": "conf"}}])
    await house.until(lambda: house.events("FailedMount"))
    message = house.events("FailedMount")[0]["message"]
    assert message == 'MountVolume.SetUp failed for volume "v" : configmap "conf" not found'
    await house.until(lambda: house.container()["state"] == {"waiting": {"reason": "ContainerCreating"}})

    house.create("configmaps", {"metadata": {"name": "conf"}, "data": {"a": "here"}})

    await house.until_said("here")


async def test_an_optional_config_map_may_be_missing(house: House) -> None:
    house.run(watcher(), volumes=[{"name": "v", "configMap": {"name": "conf", "optional": True}}])
    await house.until_ready()

    house.create("configmaps", {"metadata": {"name": "conf"}, "data": {"a": "late"}})

    await house.until_said("late")


async def test_items_choose_names_and_modes(house: House) -> None:
    house.create("configmaps", {"metadata": {"name": "conf"}, "data": {"run": "#!/bin/sh\necho hi", "other": "x"}})
    items = [{"key": "run", "path": "bin/run.sh", "mode": 0o755}]
    script = "cd /v; bin/run.sh; ls; ls bin"
    house.run(
        shell(script, volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        volumes=[{"name": "v", "configMap": {"name": "conf", "items": items}}],
        restartPolicy="Never",
    )

    await house.until_ended()

    assert await house.said() == "hi\nbin\nrun.sh\n"


async def test_projected_sources_share_one_directory(house: House) -> None:
    house.create("configmaps", {"metadata": {"name": "conf"}, "data": {"a": "A\n"}})
    house.create("secrets", {"metadata": {"name": "sec"}, "data": {"b": "Qgo="}})
    downward = {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}
    sources = [{"configMap": {"name": "conf"}}, {"secret": {"name": "sec"}}, {"downwardAPI": downward}]
    house.run(
        shell("cat /v/a /v/b /v/name", volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        volumes=[{"name": "v", "projected": {"sources": sources}}],
        restartPolicy="Never",
    )

    await house.until_ended()

    assert await house.said() == "A\nB\np"


async def test_a_sub_path_is_one_file_among_the_machines_own(house: House) -> None:
    house.create("configmaps", {"metadata": {"name": "conf"}, "data": {"redis.conf": "mine\n"}})
    mounts = [
        {"name": "v", "mountPath": "/etc/redis.conf", "subPath": "redis.conf"},
        {"name": "v", "mountPath": "/usr/local/etc/redis/redis.conf", "subPath": "redis.conf"},
    ]
    house.run(
        shell("cat /etc/redis.conf /usr/local/etc/redis/redis.conf", volumeMounts=mounts),
        volumes=[{"name": "v", "configMap": {"name": "conf"}}],
        restartPolicy="Never",
    )

    await house.until_ended()

    assert await house.said() == "mine\nmine\n"


@pytest.mark.parametrize("medium", ["", "Memory"])
async def test_two_containers_share_an_empty_dir_that_survives_a_restart(house: House, medium: str) -> None:
    mounts = [{"name": "v", "mountPath": "/v"}]
    writer = shell("[ -e /v/once ] || { echo kept > /v/file; touch /v/once; exit 1; }; sleep 1000", volumeMounts=mounts)
    house.run(
        writer,
        watcher() | {"name": "reader"},
        volumes=[{"name": "v", "emptyDir": {"medium": medium}}],
    )

    await house.until_said("kept", "reader")
    await house.until(lambda: house.container()["restartCount"] == 1 and house.is_ready())
    assert await house.exec("cat", "/v/file") == (0, "kept\n")


async def test_a_claim_outlives_its_pods(house: House) -> None:
    folder = house.folder / "volumes" / "pv-1"
    volume = {"metadata": {"name": "pv-1"}, "spec": {
        "hostPath": {"path": str(folder)}, "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
    }}  # fmt: skip
    house.registry.create("persistentvolumes", volume)
    resources = {"requests": {"storage": "1Gi"}}
    claim = house.create(
        "persistentvolumeclaims",
        {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": resources}},
    )
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    house.run(shell("echo kept > /v/file", volumeMounts=[{"name": "v", "mountPath": "/v"}]), volumes=volumes,
              restartPolicy="Never")  # fmt: skip
    await house.until(lambda: house.events("FailedMount"))

    bound = house.registry.update("persistentvolumeclaims", {**claim, "spec": {**claim["spec"], "volumeName": "pv-1"}})
    house.registry.update("persistentvolumeclaims", {**bound, "status": {"phase": "Bound"}}, subresource="status")
    await house.until_ended()
    house.registry.delete("pods", "default", "p")
    await house.until_gone()
    house.run(watcher(), volumes=volumes)

    await house.until_said("kept")


async def test_a_config_map_mount_cannot_be_written(house: House) -> None:
    house.create("configmaps", {"metadata": {"name": "conf"}, "data": {"a": "x"}})
    house.run(watcher(), volumes=[{"name": "v", "configMap": {"name": "conf"}}])
    await house.until_ready()

    assert "Read-only file system" in (await house.exec("sh", "-c", "touch /v/b 2>&1"))[1]


async def test_a_removed_pod_leaves_no_files(house: House) -> None:
    house.run(watcher(), volumes=[{"name": "v", "emptyDir": {}}])
    await house.until_ready()

    house.registry.delete("pods", "default", "p")
    await house.until_gone()

    assert not list((house.folder / "pods").iterdir())
    assert not list((house.folder / "logs").iterdir())


def test_a_payload_changes_in_one_step_and_only_when_it_differs(tmp_path: Path) -> None:
    folder = tmp_path / "v"

    assert write_payload(folder, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)})
    assert not write_payload(folder, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)})
    assert write_payload(folder, {"a": File(b"3", 0o644)})

    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith("..2")) == ["..data", "a"]
    assert (folder / "a").read_bytes() == b"3"
    assert len([path for path in folder.iterdir() if path.name.startswith("..2")]) == 1


@pytest.mark.parametrize("path", ["../x", "/etc", "a/../../b"])
def test_a_sub_path_cannot_leave_its_volume(tmp_path: Path, path: str) -> None:
    with pytest.raises(MountProblem):
        sub_path(tmp_path, path, create=True)


def test_a_sub_path_does_not_follow_a_link_out_of_its_volume(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")

    with pytest.raises(MountProblem, match="leads out of the volume"):
        sub_path(tmp_path, "link/passwd", create=True)
