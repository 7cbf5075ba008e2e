"""Claims about claims: how they get a volume, grow, are protected, and what becomes of their data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from localkube.controllers.pvc import PROVISIONER, VolumeController
from localkube.errors import ApiError
from localkube.registry import Event, Obj
from tests.localkube.controllers.world import World, bare_pod, world_of

CLAIMS = "persistentvolumeclaims"
VOLUMES = "persistentvolumes"
CLASSES = "storageclasses.storage.k8s.io"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(tmp_path, VolumeController) as made:
        yield made


def claim(name: str = "data", size: str = "1Gi", **spec: Any) -> Obj:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    return {"metadata": {"name": name}, "spec": wanted}


def volume(name: str, size: str = "1Gi", **spec: Any) -> Obj:
    offered = {
        "capacity": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": f"/nowhere/{name}"},
        **spec,
    }
    return {"metadata": {"name": name}, "spec": offered}


def user_of(name: str) -> Obj:
    mounted = {"name": "data", "persistentVolumeClaim": {"claimName": name}}
    return bare_pod(f"uses-{name}", volumes=[mounted], nodeName="node-1")


def phase(world: World, name: str = "data") -> str:
    return str(world.status(CLAIMS, name)["phase"])


def volume_phase(world: World, name: str) -> str:
    return str(world.registry.get(VOLUMES, None, name)["status"]["phase"])


async def bound(world: World, **spec: Any) -> tuple[Obj, Obj]:
    world.create(CLAIMS, claim(**spec))
    await world.until(lambda: phase(world) == "Bound")
    await world.settle()
    made = world.registry.get(CLAIMS, "default", "data")
    return made, world.registry.get(VOLUMES, None, made["spec"]["volumeName"])


def write_dump(disk: Obj) -> Path:
    folder = Path(disk["spec"]["hostPath"]["path"])
    folder.mkdir(parents=True)
    dump = folder / "dump.rdb"
    dump.write_bytes(b"data")
    return dump


def resize(world: World, size: str) -> None:
    world.change(CLAIMS, "data", resources={"requests": {"storage": size}})


async def test_a_claim_without_a_class_gets_a_directory_of_the_standard_class(world: World, tmp_path: Path) -> None:
    made, disk = await bound(world)

    assert made["spec"]["storageClassName"] == "standard"
    assert made["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}
    assert disk["spec"]["hostPath"]["path"] == str(tmp_path / "volumes" / disk["metadata"]["name"])
    assert disk["spec"]["claimRef"]["uid"] == made["metadata"]["uid"]
    assert disk["status"]["phase"] == "Bound"


async def test_a_claim_grows(world: World) -> None:
    _, disk = await bound(world)

    resize(world, "2Gi")

    await world.until(lambda: world.status(CLAIMS, "data")["capacity"] == {"storage": "2Gi"})
    grown = world.registry.get(VOLUMES, None, disk["metadata"]["name"])
    assert grown["spec"]["capacity"] == {"storage": "2Gi"}


async def test_a_claim_that_grows_says_so_until_it_has(world: World) -> None:
    await bound(world)
    told: list[list[str]] = []

    def note(event: Event) -> None:
        told.append([each["type"] for each in (event.object.get("status") or {}).get("conditions") or ()])

    world.registry.subscribe(CLAIMS, note, replay=False)
    resize(world, "2Gi")
    await world.until(lambda: world.status(CLAIMS, "data")["capacity"] == {"storage": "2Gi"})

    assert ["Resizing"] in told
    assert told[-1] == []


async def test_what_was_asked_for_and_not_given_may_be_asked_for_no_more(world: World) -> None:
    world.registry.create(CLASSES, {"metadata": {"name": "far"}, "provisioner": "x/y", "allowVolumeExpansion": True})
    annotations = {"pv.kubernetes.io/provisioned-by": "x/y"}
    made = volume("far-1", storageClassName="far")
    world.registry.create(VOLUMES, {**made, "metadata": {**made["metadata"], "annotations": annotations}})
    await bound(world, storageClassName="far")
    resize(world, "4Gi")
    await world.settle()

    resize(world, "2Gi")

    assert world.status(CLAIMS, "data")["capacity"] == {"storage": "1Gi"}
    with pytest.raises(ApiError, match=r"field can not be less than status\.capacity"):
        resize(world, "1Gi")


async def test_a_class_that_does_not_allow_it_forbids_growth(world: World) -> None:
    world.registry.create(CLASSES, {"metadata": {"name": "fixed"}, "provisioner": PROVISIONER})
    await bound(world, storageClassName="fixed")

    with pytest.raises(ApiError) as refused:
        resize(world, "2Gi")

    assert refused.value.code == 403
    assert "only dynamically provisioned pvc can be resized" in refused.value.message


async def test_the_data_goes_with_its_claim(world: World) -> None:
    _, disk = await bound(world)
    dump = write_dump(disk)

    world.registry.delete(CLAIMS, "default", "data")

    await world.until(lambda: not world.registry.list(VOLUMES))
    assert not dump.parent.exists()


async def test_a_retained_volume_keeps_its_data_and_is_released(world: World) -> None:
    keep = {"metadata": {"name": "keep"}, "provisioner": PROVISIONER, "reclaimPolicy": "Retain"}
    world.registry.create(CLASSES, keep)
    _, disk = await bound(world, storageClassName="keep")
    dump = write_dump(disk)

    world.registry.delete(CLAIMS, "default", "data")

    await world.until(lambda: volume_phase(world, disk["metadata"]["name"]) == "Released")
    assert dump.read_bytes() == b"data"


async def test_a_claim_in_use_goes_only_after_its_pod(world: World) -> None:
    await bound(world)
    world.create("pods", user_of("data"))

    world.registry.delete(CLAIMS, "default", "data")
    await world.settle()
    assert "deletionTimestamp" in world.registry.get(CLAIMS, "default", "data")["metadata"]

    world.end("uses-data")

    await world.until(lambda: not world.registry.list(CLAIMS) and not world.registry.list(VOLUMES))


async def test_a_finished_pod_does_not_hold_its_claim(world: World) -> None:
    await bound(world)
    world.create("pods", user_of("data"))
    world.registry.delete(CLAIMS, "default", "data")
    await world.settle()

    world.report("uses-data", phase="Succeeded", ready=False)

    await world.until(lambda: not world.registry.list(CLAIMS))


async def test_a_new_claim_of_the_same_name_gets_a_new_volume(world: World) -> None:
    _, first = await bound(world)
    world.registry.delete(CLAIMS, "default", "data")
    await world.until(lambda: not world.registry.list(CLAIMS))

    _, second = await bound(world)

    assert first["metadata"]["name"] != second["metadata"]["name"]
    await world.until(lambda: len(world.registry.list(VOLUMES)) == 1)
    assert volume_phase(world, second["metadata"]["name"]) == "Bound"


async def test_an_unknown_class_is_told_and_its_arrival_helps(world: World) -> None:
    world.create(CLAIMS, claim(storageClassName="fast"))
    await world.until(lambda: world.told("ProvisioningFailed"))
    assert world.told("ProvisioningFailed") == ['storageclass.storage.k8s.io "fast" not found']
    assert phase(world) == "Pending"

    world.registry.create(CLASSES, {"metadata": {"name": "fast"}, "provisioner": PROVISIONER})

    await world.until(lambda: phase(world) == "Bound")


async def test_the_smallest_volume_made_by_hand_that_fits_is_taken(world: World) -> None:
    for name, size in (("small", "1Gi"), ("large", "9Gi"), ("right", "5Gi")):
        world.registry.create(VOLUMES, volume(name, size))
    await world.until(lambda: volume_phase(world, "small") == "Available")

    made, _ = await bound(world, size="4Gi", storageClassName="")

    assert made["spec"]["volumeName"] == "right"
    assert made["status"]["capacity"] == {"storage": "5Gi"}
    assert volume_phase(world, "right") == "Bound"


async def test_without_class_and_volume_a_claim_waits_and_says_for_what(world: World) -> None:
    world.create(CLAIMS, claim(storageClassName=""))
    await world.until(lambda: world.told("FailedBinding"))

    world.registry.create(VOLUMES, volume("late"))

    await world.until(lambda: phase(world) == "Bound")


async def test_two_claims_never_share_a_volume(world: World) -> None:
    world.registry.create(VOLUMES, volume("only"))
    for name in ("a", "b"):
        world.create(CLAIMS, claim(name, storageClassName=""))

    await world.until(lambda: phase(world, "a") == "Bound")
    await world.settle()

    assert phase(world, "b") == "Pending"


async def test_a_class_may_wait_for_the_first_pod(world: World) -> None:
    late = {"metadata": {"name": "late"}, "provisioner": PROVISIONER, "volumeBindingMode": "WaitForFirstConsumer"}
    world.registry.create(CLASSES, late)
    world.create(CLAIMS, claim(storageClassName="late"))
    await world.until(lambda: world.told("WaitForFirstConsumer"))
    assert phase(world) == "Pending"

    world.create("pods", user_of("data"))

    await world.until(lambda: phase(world) == "Bound")


async def test_a_block_device_is_refused_by_name(world: World) -> None:
    world.create(CLAIMS, claim(volumeMode="Block"))

    await world.until(lambda: world.told("ProvisioningFailed"))

    assert world.told("ProvisioningFailed") == [
        "localkube has directories only: volumeMode Block cannot be provisioned"
    ]


async def test_a_claim_that_lost_its_volume_says_so(world: World) -> None:
    _, disk = await bound(world)
    name = disk["metadata"]["name"]

    bare = {**disk, "metadata": {**disk["metadata"], "finalizers": []}}
    world.registry.update(VOLUMES, bare)
    world.registry.delete(VOLUMES, None, name)

    await world.until(lambda: phase(world) == "Lost")


async def test_a_volume_in_use_is_protected(world: World) -> None:
    _, disk = await bound(world)
    name = disk["metadata"]["name"]

    world.registry.delete(VOLUMES, None, name)
    await world.settle()
    assert "deletionTimestamp" in world.registry.get(VOLUMES, None, name)["metadata"]

    world.registry.delete(CLAIMS, "default", "data")
    await world.until(lambda: not world.registry.list(VOLUMES))


async def test_claims_that_have_settled_are_not_written_again(world: World) -> None:
    made, _ = await bound(world)
    version = world.registry.version

    marked = {**made, "metadata": {**made["metadata"], "labels": {"touched": "yes"}}}
    world.registry.update(CLAIMS, marked)
    await world.settle()

    assert world.registry.version == version + 1
