"""Shards that come and go while clients write: no write is lost, none waits for longer than a second."""

from __future__ import annotations

import signal
import time

import pytest

from tdredis.kube.client import Client
from tests.e2e.faults import ALONE_NOISE_S, NOISE_S, crash, lost
from tests.e2e.reach import linked
from tests.e2e.scaling import (
    assert_nothing_lost,
    fill,
    filled,
    holds_all,
    out_and_in,
    scaled,
    until_moved,
    way,
    wide_load,
)
from tests.e2e.world import Kube, Operator, Subject, is_gone, sample
from tests.kit.waiting import eventually

GAP_S = 1.0
MIB = 2**20
KEYS = 30_000
ADDED = "redis-cluster-rat-3"


@pytest.mark.alone
async def test_a_shard_comes_and_goes_while_clients_write(kube: Kube, client: Client, namespace: str) -> None:
    """By the cluster's own protocol, and through the proxy."""
    async with Operator(kube, namespace) as operator:
        subject, made = await filled(client, sample(namespace), KEYS)
        async with wide_load(subject) as ledgers:
            await out_and_in(subject, made)
        await assert_nothing_lost(subject, ledgers, made, gap_s=GAP_S + ALONE_NOISE_S)
        assert (await operator.metrics("tdredis_keys_moved_total"))["tdredis_keys_moved_total"] > KEYS / 3


async def test_an_operator_that_is_killed_half_way_goes_on_and_an_edit_back_takes_it_back(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace) as operator:
        subject, made = await filled(client, sample(namespace), KEYS)
        async with wide_load(subject) as ledgers:
            await subject.change(size=4)
            await until_moved(subject, ADDED, at_least=100)
            await operator.end(signal.SIGKILL)
            await operator.start()
            await until_moved(subject, ADDED, at_least=500)
            await subject.change(size=3)
            await scaled(subject, 3)
        await assert_nothing_lost(subject, ledgers, made, gap_s=GAP_S + NOISE_S)


@pytest.mark.long
async def test_an_operator_that_is_killed_again_and_again_gets_there_and_loses_nothing(
    kube: Kube, client: Client, namespace: str
) -> None:
    """The new shard ends with a quarter of the bytes, which may be some hundred slots less than a quarter of them."""
    async with Operator(kube, namespace) as operator:
        subject, made = await filled(client, sample(namespace), KEYS)
        async with wide_load(subject) as ledgers:
            await subject.change(size=4)
            for count in range(200, 3200, 600):
                await until_moved(subject, ADDED, at_least=count)
                await operator.end(signal.SIGKILL)
                await operator.start()
            await scaled(subject, 4)
            await subject.change(size=3)
            for count in range(2600, 0, -600):
                await until_moved(subject, ADDED, at_most=count)
                await operator.end(signal.SIGKILL)
                await operator.start()
            await scaled(subject, 3)
        assert await holds_all(subject, made)
        assert await lost(subject, ledgers) == {}


@pytest.mark.long
@pytest.mark.parametrize("shard", [0, 3], ids=["source", "target"])
async def test_a_primary_that_dies_in_the_middle_is_replaced_and_the_change_goes_on(
    kube: Kube, client: Client, namespace: str, shard: int
) -> None:
    """A crash may lose what the engine had not sent to a replica, as always, and nothing that is older."""
    async with Operator(kube, namespace):
        subject, made = await filled(client, sample(namespace), KEYS)
        async with wide_load(subject) as ledgers:
            await subject.change(size=4)
            await until_moved(subject, ADDED, at_least=500)
            died_at = time.monotonic()
            status = (await subject.get())["status"]
            await crash(
                subject, next(each["primary"] for each in status["shards"] if each["name"].endswith(f"-{shard}"))
            )
            await scaled(subject, 4)
        assert await holds_all(subject, made)
        assert await lost(subject, ledgers, until=died_at - 1) == {}


@pytest.mark.long
async def test_size_and_image_and_capacity_in_one_edit(kube: Kube, client: Client, namespace: str) -> None:
    """And back in another one."""
    async with Operator(kube, namespace):
        subject, made = await filled(client, sample(namespace), KEYS)
        before = (await subject.get())["spec"]["image"]
        async with wide_load(subject) as ledgers:
            for size, image, capacity in ((4, "redis:7.0", 320), (3, before, 192)):
                await subject.change(size=size, image=image, capacity=capacity)
                await scaled(subject, size)
                assert await images_of(subject) == {image}
                assert await limits_of(subject) == {capacity * MIB // size}
                assert await holds_all(subject, made)
        await assert_nothing_lost(subject, ledgers, made, gap_s=GAP_S + NOISE_S)


@pytest.mark.long
async def test_an_image_that_is_edited_while_slots_move_is_given_to_all_and_slots_go_on(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject, made = await filled(client, sample(namespace), KEYS)
        async with wide_load(subject) as ledgers:
            await subject.change(size=4)
            await until_moved(subject, ADDED, at_least=300)
            before = await uids_of(subject)
            await subject.change(image="redis:7.0")
            await scaled(subject, 4)
            assert await images_of(subject) == {"redis:7.0"}
            assert not await uids_of(subject) & before
        await assert_nothing_lost(subject, ledgers, made, gap_s=GAP_S + NOISE_S)


async def uids_of(subject: Subject) -> set[str]:
    return {pod["metadata"]["uid"] for pod in (await subject.pods()).values()}


async def images_of(subject: Subject) -> set[str]:
    """Of the first container of its pods: Redis."""
    return {pod["spec"]["containers"][0]["image"] for pod in (await subject.pods()).values()}


async def limits_of(subject: Subject) -> set[int]:
    """maxmemory of its processes, in bytes."""
    found = set()
    for pod in await subject.pods():
        async with linked(*await way(subject, pod)) as link:
            reply = await link.call("CONFIG", "GET", "maxmemory", timeout_s=10)
        assert isinstance(reply, list)
        found.add(int(reply[1]))
    return found


@pytest.mark.long
async def test_a_resource_that_is_deleted_half_way_is_gone_with_all_that_it_had(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace) as operator:
        subject = await Subject.create(client, sample(namespace))
        await subject.until_ready()
        await fill(subject, KEYS)
        await subject.change(size=4)
        await until_moved(subject, ADDED, at_least=100)
        await subject.delete()

        await eventually(lambda: is_gone(client, namespace), "the resource is gone", deadline_s=60)
        await eventually(lambda: _no_pods(subject), "its pods are gone", deadline_s=60)
        assert await operator.metrics("tdredis_movers") == {"tdredis_movers": 0.0}


async def _no_pods(subject: Subject) -> bool:
    return not await subject.pods()
