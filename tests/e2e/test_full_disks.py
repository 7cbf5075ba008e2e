"""Disks that take nothing more: named within seconds, handed over once, whole again when there is room."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

import pytest

from tdredis.kube.client import Client
from tdredis.kube.resources import Resource
from tests.e2e.faults import fault
from tests.e2e.needs import LOCALKUBE
from tests.e2e.reach import linked
from tests.e2e.test_day_two import Manifest, client_password
from tests.e2e.test_faults import A_CLUSTER, A_STANDBY
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, standalone

STORAGECLASSES = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
CLASS: Obj = {
    "apiVersion": STORAGECLASSES.api_version,
    "kind": STORAGECLASSES.kind,
    "metadata": {"name": "in-memory"},
    "provisioner": "localkube.io/directory",
    "parameters": {"medium": "Memory"},
}
ON_VOLUMES: dict[str, object] = {"storageclass": "in-memory", "storage": {"size": "64Mi", "retain": False}}


async def write(subject: Subject, count: int = 200) -> set[str]:
    """What clients are answered by the door: OK, or the first word of an error."""
    resource = await subject.get()
    async with linked(resource["status"]["clusterIP"], client_password(resource)) as link:
        replies = await link.call_all([("SET", f"key:{number}", "x") for number in range(count)], timeout_s=10)
    return {reply.decode() if isinstance(reply, bytes) else str(reply).split(" ", 1)[0] for reply in replies}


async def until_named(subject: Subject, pod: str) -> float:
    """Seconds until the condition names *pod* and its disk, while clients write."""
    began = time.monotonic()

    async def named() -> bool:
        await write(subject)
        ready = condition(await subject.get(), "Ready")
        return ready.get("status") == "False" and f"{pod} cannot write to its disk" in ready["message"]

    await eventually(named, f"the condition names {pod}")
    return time.monotonic() - began


@pytest.mark.needs(LOCALKUBE)
@A_STANDBY
async def test_a_primary_whose_disk_is_full_hands_over_once_to_one_that_has_room(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    await client.apply(STORAGECLASSES, CLASS)
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace, **ON_VOLUMES))
        await subject.until_ready()
        primary = await subject.primary()
        async with fault(kube, "fill-volume", f"{namespace}/{primary}", "redis-data"):
            assert await until_named(subject, primary) < 15

            async def moved() -> bool:
                return await subject.primary() not in ("", primary) and await write(subject) == {"OK"}

            await eventually(moved, "another is the primary, and writes are taken", deadline_s=30)
            heir = await subject.primary()
        await subject.until_ready()
        assert await subject.primary() == heir
        told = [event for event in await subject.events() if event["reason"] in ("HandedOver", "SentinelFailover")]
        assert sum(event.get("count") or 1 for event in told) == 1


@pytest.mark.needs(LOCALKUBE)
@A_CLUSTER
async def test_where_every_disk_is_full_nobody_changes_place_and_room_heals(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    await client.apply(STORAGECLASSES, CLASS)
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace, **ON_VOLUMES))
        await subject.until_ready()
        primary = await subject.primary()
        async with AsyncExitStack() as stack:
            for pod in await subject.pods():
                await stack.enter_async_context(fault(kube, "fill-volume", f"{namespace}/{pod}", "redis-data"))
            await until_named(subject, primary)
        await subject.until_ready()
        assert await write(subject) == {"OK"}


@pytest.mark.needs(LOCALKUBE)
async def test_a_standalone_s_full_disk_is_named_and_room_heals(kube: Kube, client: Client, namespace: str) -> None:
    await client.apply(STORAGECLASSES, CLASS)
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standalone(namespace, **ON_VOLUMES))
        await subject.until_ready()
        async with fault(kube, "fill-volume", f"{namespace}/{subject.name}-0", "redis-data"):
            assert await until_named(subject, f"{subject.name}-0") < 15
        await subject.until_ready()
        assert await write(subject) == {"OK"}
