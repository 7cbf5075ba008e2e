"""Claims about volumes that have a size, and are full for a while."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localkube.cluster import Cluster
from localkube.kubelet.backoff import Pace
from tests.localkube.faults.conftest import House, Obj

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")

IDLE = "exec sleep 1000"
MIB = 1024 * 1024


def on_claim() -> Obj:
    container = {
        "name": "c",
        "image": "busybox",
        "command": ["sh", "-c", IDLE],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    return {"containers": [container], "volumes": volumes}


def claim(cluster: Cluster, size: str = "4Mi") -> None:
    storage = {
        "metadata": {"name": "sized"},
        "provisioner": "localkube.io/directory",
        "parameters": {"medium": "Memory"},
        "reclaimPolicy": "Delete",
        "allowVolumeExpansion": True,
    }
    cluster.registry.create("storageclasses.storage.k8s.io", storage)
    spec = {
        "storageClassName": "sized",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    }
    cluster.registry.create(
        "persistentvolumeclaims", {"metadata": {"name": "data", "namespace": "default"}, "spec": spec}
    )


async def write(house: House, kibibytes: int) -> int:
    """Exit code of writing so much to the volume, inside the pod."""
    command = ["dd", "if=/dev/zero", "of=/data/file", "bs=1024", f"count={kibibytes}", "status=none"]
    running = house.cluster.kubelet_for("node-1").exec("default", "p", "c", command)
    async for _ in running.output():
        pass
    return await running.wait()


async def test_a_full_volume_takes_nothing_more_and_is_as_before_afterwards(house: House) -> None:
    claim(house.cluster)
    await house.run("p", IDLE, **on_claim())

    async with house.faults.volume_filled("p", "data"):
        full = await write(house, 1)
    async with house.faults.volume_filled("p", "data", leave_bytes=2 * MIB):
        fits, does_not = await write(house, 1024), await write(house, 3072)

    assert (full, fits, does_not) == (1, 0, 1)
    assert await write(house, 3072) == 0


async def test_a_volume_is_as_large_as_its_claim_and_grows_with_it(house: House) -> None:
    claim(house.cluster, "1Mi")
    await house.run("p", IDLE, **on_claim())
    too_large = await write(house, 2048)

    known = house.cluster.registry.get("persistentvolumeclaims", "default", "data")
    spec = {**known["spec"], "resources": {"requests": {"storage": "4Mi"}}}
    house.cluster.registry.update("persistentvolumeclaims", {**known, "spec": spec})
    await house.until(lambda: house.events("VolumeResizeSuccessful"))

    assert too_large == 1
    assert await write(house, 2048) == 0


async def test_an_empty_dir_can_have_a_size_and_be_full() -> None:
    async with Cluster(nodes=1, empty_dir_size="4Mi", pace=Pace(first_s=0.3, longest_s=2.0)) as cluster:
        house = House(cluster, None)  # type: ignore[arg-type] # nothing is asked over HTTP
        pod = on_claim() | {"volumes": [{"name": "data", "emptyDir": {}}]}
        await house.run("p", IDLE, **pod)

        assert await write(house, 1024) == 0
        async with house.faults.volume_filled("p", "data"):
            assert await write(house, 2048) == 1
        assert await write(house, 2048) == 0
        house.faults.kill("p")
        await house.until(lambda: house.restarts("p") == 1 and house.is_ready("p"))
        kept = cluster.kubelet_for("node-1").volume_path("default", "p", "data") / "file"
        assert kept.stat().st_size == 2048 * 1024

        cluster.registry.delete("pods", "default", "p", grace_s=0)
        await house.until(lambda: cluster.registry.find("pods", "default", "p") is None)
        await cluster.nodes.addresses.until_freed()
        assert mounts_below(cluster.state) == []


async def test_no_mount_is_left_behind(house: House) -> None:
    claim(house.cluster)
    await house.run("p", IDLE, **on_claim())
    during = mounts_below(house.cluster.state)

    await house.cluster.stop()

    assert len(during) == 1
    assert mounts_below(house.cluster.state) == []
    assert not house.cluster.state.exists()


def mounts_below(folder: Path) -> list[str]:
    targets = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [target for target in targets if target.startswith(f"{folder}/")]
