"""Containers that follow capacity: in place, without a restart, their limit never below what Redis may use."""

from __future__ import annotations

import pytest

from tdredis.kube.client import Client
from tests.e2e.needs import RESIZING
from tests.e2e.test_day_two import MIB, Manifest, settings_of, shards, starts
from tests.e2e.world import Kube, Operator, Subject, eventually, sample, standby


async def memory_limits(subject: Subject) -> set[str]:
    """Of the Redis containers, as the pods' specs have them."""
    containers = [each for pod in (await subject.pods()).values() for each in pod["spec"]["containers"]]
    return {each["resources"]["limits"]["memory"] for each in containers if each["name"] == "redis"}


@pytest.mark.needs(RESIZING)
@pytest.mark.parametrize("manifest", [sample, standby], ids=["cluster", "standby"])
async def test_a_container_follows_capacity_up_and_down_without_a_restart(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    made = manifest(namespace, memoryOverheadPercent=50)
    capacity = made["spec"]["capacity"]
    async with Operator(kube, namespace):
        subject = await Subject.create(client, made)
        await subject.until_ready()
        before = await starts(subject)
        for wanted in (2 * capacity, capacity):
            each = wanted // shards(made)

            await subject.change(capacity=wanted)

            async def follows(each: int = each) -> bool:
                return await memory_limits(subject) == {f"{each * 3 // 2}Mi"}

            await eventually(follows, f"containers have {each * 3 // 2} MiB")
            assert (await subject.until_ready())["status"]["capacity"] == wanted
            assert await settings_of(subject, "maxmemory") == {each * MIB}
        assert await starts(subject) == before
