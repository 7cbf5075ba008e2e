"""Slots that somebody left open, or that nobody owns (row 13 of the healing table), while clients write into them."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from tdredis.kube.client import Client
from tests.e2e.faults import passwords, proving, tags_of
from tests.e2e.nodes import paused, tell, view, views
from tests.e2e.world import Kube, Operator, Subject, sample

FIRST, SECOND = "redis-cluster-rat-0-0", "redis-cluster-rat-1-0"


async def open_slot(subject: Subject, slot: int, *, gives: bool, takes: bool) -> None:
    first, second = (await view(subject, FIRST)).me.id, (await view(subject, SECOND)).me.id
    if takes:
        await tell(subject, SECOND, ("CLUSTER", "SETSLOT", slot, "IMPORTING", first))
    if gives:
        await tell(subject, FIRST, ("CLUSTER", "SETSLOT", slot, "MIGRATING", second))


async def move(subject: Subject, slot: int, *, count: int) -> None:
    """At most *count* keys of *slot* from the first shard's primary to the second's."""
    inner, _ = passwords(await subject.get())
    ip = (await subject.pods())[SECOND]["status"]["podIP"]
    (keys,) = await tell(subject, FIRST, ("CLUSTER", "GETKEYSINSLOT", slot, count))
    assert isinstance(keys, list)
    assert keys
    await tell(subject, FIRST, ("MIGRATE", ip, 6379, "", 0, 5000, "AUTH", inner, "KEYS", *keys))


async def owners(subject: Subject, slot: int) -> list[str]:
    return [pod for pod, seen in (await views(subject)).items() if slot in seen.me.slots]


@pytest.mark.parametrize(
    ("gives", "takes", "moved", "owner"),
    [
        pytest.param(True, True, 0, FIRST, id="nothing moved", marks=pytest.mark.long),
        pytest.param(True, True, 30, SECOND, id="half moved"),
        pytest.param(True, True, 100_000, SECOND, id="moved and not said", marks=pytest.mark.long),
        pytest.param(False, True, 30, SECOND, id="closed on one side", marks=pytest.mark.long),
    ],
)
async def test_a_slot_that_is_left_open_is_closed_where_its_keys_are(
    kube: Kube, client: Client, namespace: str, *, gives: bool, takes: bool, moved: int, owner: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        slot = key_slot(tags_of(await subject.until_ready())[0].encode())

        async with proving(13, subject=subject, gap_s=0, planned=True):
            async with paused(subject):
                await open_slot(subject, slot, gives=True, takes=takes)
                if moved:
                    await move(subject, slot, count=moved)
                if not gives:
                    await tell(subject, FIRST, ("CLUSTER", "SETSLOT", slot, "STABLE"))
            await subject.until_ready()

        assert await owners(subject, slot) in ([owner], [SECOND])
        assert not any(seen.me.open_slots for seen in (await views(subject)).values())


async def test_slots_that_nobody_owns_go_to_the_recorded_owner_with_their_keys(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        resource = await subject.until_ready()
        slot = key_slot(tags_of(resource)[0].encode())

        async with proving(13, subject=subject, gap_s=2.0, planned=True):
            async with paused(subject):
                await tell(subject, FIRST, ("CLUSTER", "DELSLOTS", slot))
            await subject.until_ready()

        assert await owners(subject, slot) == [FIRST]
        assert (await subject.get())["status"]["slots"] == resource["status"]["slots"]
