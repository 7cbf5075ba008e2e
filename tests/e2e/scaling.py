"""How a change of size is waited for, under clients that write into many slots."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from redis.crc import key_slot

from tdredis.kube.client import Client
from tdredis.redis.slots import NO_SLOTS, SLOT_COUNT, SlotSet
from tdredis.redis.views import parse_cluster_nodes
from tests.chaos.ledger import Ledger
from tests.e2e.faults import lost, under_load
from tests.e2e.reach import linked
from tests.e2e.rolling import seen
from tests.e2e.world import Obj, Subject, condition, eventually

SCALE_S = 240.0
TAGS = tuple(f"t{number}" for number in range(300))  # as many slots, nearly
VALUE_BYTES = 100


@asynccontextmanager
async def wide_load(subject: Subject) -> AsyncIterator[dict[str, Ledger]]:
    """As `under_load`, into slots of all shards that there are or will be, by clients who hear of new pods."""
    async with under_load(subject, tags=TAGS) as ledgers, seen(ledgers):
        yield ledgers


async def fill(subject: Subject, count: int, *, size: int = VALUE_BYTES) -> dict[str, str]:
    """*count* keys of *size* bytes, by their owners. Returns what is to be found."""
    made = {f"key:{number}": f"{number}:{'x' * size}" for number in range(count)}
    for pod, owned in (await owned_slots(subject)).items():
        own = [(name, value) for name, value in made.items() if key_slot(name.encode()) in owned]
        async with linked(*await way(subject, pod)) as link:
            for start in range(0, len(own), 2000):
                commands = [("SET", name, value) for name, value in own[start : start + 2000]]
                assert set(await link.call_all(commands, timeout_s=30)) == {b"OK"}
    return made


async def filled(
    client: Client, resource: Obj, count: int, *, size: int = VALUE_BYTES
) -> tuple[Subject, dict[str, str]]:
    """A cluster that is Ready, and the keys that it holds."""
    subject = await Subject.create(client, resource)
    await subject.until_ready()
    return subject, await fill(subject, count, size=size)


async def holds_all(subject: Subject, made: Mapping[str, str]) -> bool:
    """Every key of *made* is at the owner of its slot, as it was written."""
    count = 0
    for pod, owned in (await owned_slots(subject)).items():
        own = [(name, value.encode()) for name, value in made.items() if key_slot(name.encode()) in owned]
        async with linked(*await way(subject, pod)) as link:
            for start in range(0, len(own), 2000):
                part = own[start : start + 2000]
                replies = await link.call_all([("GET", name) for name, _ in part], timeout_s=30)
                assert replies == [value for _, value in part]
                count += len(part)
    return count == len(made)


async def owned_slots(subject: Subject) -> dict[str, SlotSet]:
    """What every pod says that it owns itself, if anything."""
    found: dict[str, SlotSet] = {}
    for pod, live in (await subject.pods()).items():
        if not live["status"].get("podIP") or live["metadata"].get("deletionTimestamp"):
            continue
        async with linked(*await way(subject, pod)) as link:
            nodes = await link.call("CLUSTER", "NODES", timeout_s=10)
        assert isinstance(nodes, bytes)
        if (slots := parse_cluster_nodes(nodes.decode()).me.slots) != NO_SLOTS:
            found[pod] = slots
    return found


def gaps(ledgers: Mapping[str, Ledger]) -> dict[str, float]:
    """The longest of each way, in seconds."""
    return {name: round(ledger.longest_gap_s(), 3) for name, ledger in ledgers.items()}


async def way(subject: Subject, pod: str) -> tuple[str, str]:
    """Address and password of *pod*."""
    resource = await subject.get()
    ip = (await subject.pods())[pod]["status"]["podIP"]
    return f"{ip}:6379", resource["spec"]["secret"]


async def until_moved(subject: Subject, shard: str, *, at_least: int = 0, at_most: int = SLOT_COUNT) -> None:
    """*shard* owns so many slots."""

    async def has_some() -> bool:
        owned = sum(len(slots) for pod, slots in (await owned_slots(subject)).items() if pod.startswith(f"{shard}-"))
        return at_least <= owned <= at_most

    await eventually(has_some, f"{shard} owns {at_least} to {at_most} slots", deadline_s=SCALE_S, pause_s=0.05)


async def scaled(subject: Subject, size: int) -> None:
    """There are *size* shards, each with slots, and nothing else; status says that spec is applied."""

    async def is_applied() -> bool:
        resource = await subject.get()
        status = resource["status"]
        current = status["observedGeneration"] == resource["metadata"]["generation"]
        is_whole = current and status["phase"] == "Ready" and condition(resource, "Accepted")["reason"] == "AsSpecified"
        shards = {pod.rpartition("-")[0] for pod in await subject.pods()}
        return is_whole and len([name for name, slots in status["slots"].items() if slots]) == size == len(shards)

    await eventually(is_applied, f"there are {size} shards", deadline_s=SCALE_S, pause_s=0.2)
    owned = list((await owned_slots(subject)).values())
    assert sum(map(len, owned)) == SLOT_COUNT == len(SlotSet.union(owned))
    assert len(owned) == size


async def out_and_in(subject: Subject, made: Mapping[str, str]) -> None:
    """A fourth shard comes and goes; every key of *made* is where it belongs in between."""
    await subject.change(size=4)
    await scaled(subject, 4)
    assert await holds_all(subject, made)
    await subject.change(size=3)
    await scaled(subject, 3)


async def assert_nothing_lost(
    subject: Subject, ledgers: Mapping[str, Ledger], made: Mapping[str, str], *, gap_s: float
) -> None:
    """Neither of *made* nor of what was written meanwhile, and writes never stopped for longer than *gap_s*."""
    assert await holds_all(subject, made)
    assert await lost(subject, ledgers) == {}
    assert max(gaps(ledgers).values()) <= gap_s, gaps(ledgers)
