"""Slots that somebody left open, or that nobody owns (row 13 of the healing table), while clients write into them."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from tdredis.kube.client import Client
from tdredis.redislink.errors import Refused
from tests.e2e.faults import passwords, proving, tags_of
from tests.e2e.nodes import paused, tell, view, views
from tests.e2e.world import Kube, Operator, Subject, eventually, sample
from tests.kit import waiting

FIRST, SECOND = "redis-cluster-rat-0-0", "redis-cluster-rat-1-0"
REPLICA = "redis-cluster-rat-0-1"


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


async def test_of_two_owners_in_a_shard_one_without_a_key_begins_anew_and_the_other_gets_its_slots(
    kube: Kube, client: Client, namespace: str
) -> None:
    """As it comes of two that both lost their memory of the cluster: one has every key, the other nearly every slot."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        resource = await subject.until_ready()
        tag = tags_of(resource)[0]
        slot = key_slot(tag.encode())
        async with paused(subject):
            await tell(subject, REPLICA, ("CLUSTER", "RESET", "HARD"))
            first_ip = (await subject.pods())[FIRST]["status"]["podIP"]
            await tell(subject, REPLICA, ("CLUSTER", "MEET", first_ip, 6379))
            await eventually(lambda: is_known(subject, REPLICA), f"all nodes know {REPLICA} again")
            await tell(subject, FIRST, ("CLUSTER", "DELSLOTS", slot))
            taken = (("CLUSTER", "DELSLOTS", slot), ("CLUSTER", "ADDSLOTS", slot), ("CLUSTER", "BUMPEPOCH"))
            await tell(subject, REPLICA, *taken)
            await eventually(lambda: owns(subject, REPLICA, slot), f"all nodes know that {REPLICA} owns slot {slot}")
            await waiting.eventually(
                lambda: tell(subject, REPLICA, ("SET", f"{{{tag}}}", "kept")),
                f"{REPLICA} counts the cluster as whole",
                deadline_s=30,
                not_yet=(Refused,),
            )

        after = await subject.until_ready()

        assert await owners(subject, slot) == [REPLICA]
        assert after["status"]["shards"][0]["primary"] == REPLICA
        assert after["status"]["slots"] == resource["status"]["slots"]
        assert await tell(subject, REPLICA, ("GET", f"{{{tag}}}")) == [b"kept"]


async def is_known(subject: Subject, pod: str) -> bool:
    node_id = (await view(subject, pod)).me.id
    return all(seen.me.id == node_id or node_id in seen.others for seen in (await views(subject)).values())


async def owns(subject: Subject, pod: str, slot: int) -> bool:
    """In the eyes of all."""
    node_id = (await view(subject, pod)).me.id
    found = (await views(subject)).values()
    return all(slot in (seen.me if seen.me.id == node_id else seen.others[node_id]).slots for seen in found)
