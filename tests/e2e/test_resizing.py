"""Containers that follow capacity: in place, without a restart, their limit never below what Redis may use."""

from __future__ import annotations

import pytest

from tdredis.kube.client import Client
from tdredis.kube.resources import STATEFULSETS
from tests.e2e.faults import fault
from tests.e2e.needs import LOCALKUBE, RESIZING, ROOM_IS_ASKED_FOR
from tests.e2e.test_day_two import MIB, Manifest, settings_of, shards, starts
from tests.e2e.test_faults import A_CLUSTER
from tests.e2e.world import Kube, Operator, Subject, condition, eventually, standby


async def memory_limits(subject: Subject) -> set[str]:
    """Of the Redis containers, as the pods' specs have them."""
    containers = [each for pod in (await subject.pods()).values() for each in pod["spec"]["containers"]]
    return {each["resources"]["limits"]["memory"] for each in containers if each["name"] == "redis"}


@pytest.mark.needs(RESIZING)
@A_CLUSTER
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


@pytest.mark.needs(LOCALKUBE)
@pytest.mark.parametrize("stage", ["deferred", pytest.param("error", marks=pytest.mark.long)])
async def test_maxmemory_waits_for_a_container_that_does_not_grow_and_says_so(
    kube: Kube, client: Client, namespace: str, stage: str
) -> None:
    made = standby(namespace, memoryOverheadPercent=50)
    capacity = made["spec"]["capacity"]
    async with Operator(kube, namespace):
        subject = await Subject.create(client, made)
        await subject.until_ready()
        async with fault(kube, "hold-resize", f"{namespace}/*", "--at", stage):
            await subject.change(capacity=2 * capacity)

            async def told() -> bool:
                accepted = condition(await subject.get(), "Accepted")
                return accepted.get("reason") == "memory_limit_follows" and stage.title() in accepted["message"]

            await eventually(told, "the condition says in the node's words why")
            assert await settings_of(subject, "maxmemory") == {capacity * MIB}
            template = (await client.get(STATEFULSETS, namespace, subject.name))["spec"]["template"]  # type: ignore[index, call-overload]
            assert template["spec"]["containers"][0]["resources"]["limits"]["memory"] == f"{capacity * 3 // 2}Mi"  # type: ignore[index, call-overload]

        assert (await subject.until_ready())["status"]["capacity"] == 2 * capacity
        assert await settings_of(subject, "maxmemory") == {2 * capacity * MIB}


@pytest.mark.needs(ROOM_IS_ASKED_FOR)
async def test_what_no_node_has_is_refused_in_the_server_s_words_and_new_pods_do_not_ask_for_it(
    kube: Kube, client: Client, namespace: str
) -> None:
    made = standby(namespace, memoryOverheadPercent=50)
    async with Operator(kube, namespace):
        subject = await Subject.create(client, made)
        await subject.until_ready()

        await subject.change(capacity=10_000_000)

        async def refused() -> bool:
            accepted = condition(await subject.get(), "Accepted")
            return accepted.get("reason") == "resize_is_accepted" and "403" in accepted["message"]

        await eventually(refused, "the condition has the server's words")
        template = (await client.get(STATEFULSETS, namespace, subject.name))["spec"]["template"]  # type: ignore[index, call-overload]
        limit = template["spec"]["containers"][0]["resources"]["limits"]["memory"]  # type: ignore[index, call-overload]
        assert limit == f"{made['spec']['capacity'] * 3 // 2}Mi"
        await subject.change(capacity=made["spec"]["capacity"])
        await subject.until_ready()
