"""Memory at its limit, row 25: a warning before it is full, and a primary that the kernel ends."""

from __future__ import annotations

import pytest

from tdredis.kube.client import Client
from tdredis.redis.facts import parse_info
from tests.e2e.faults import another_primary, proving, strike, tags_of
from tests.e2e.needs import PROCESSES
from tests.e2e.reach import linked
from tests.e2e.test_day_two import kinds
from tests.e2e.test_faults import A_STANDBY, Manifest, gap_of_death_s
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually

VALUE = "v" * (1 << 19)


async def address_of_primary(subject: Subject) -> str:
    pod = (await subject.pods())[await subject.primary()]
    return f"{pod['status']['podIP']}:6379"


async def fill(subject: Subject, percent: float) -> None:
    """The (first shard's) primary uses so much of its maxmemory."""
    resource = await subject.get()
    tag = tag_of(resource)
    async with linked(await address_of_primary(subject), resource["spec"]["secret"]) as link:
        for number in range(10_000):
            text = await link.call("INFO", "memory", timeout_s=5)
            assert isinstance(text, bytes)
            info = parse_info(text.decode())
            if int(info["used_memory"]) * 100 >= percent * int(info["maxmemory"]):
                return
            await link.call("SET", f"{number}:{{{tag}}}", VALUE, timeout_s=5)
    raise AssertionError("it does not fill")


async def hears_all(subject: Subject) -> None:
    """A primary sends a new replica nothing for up to a second after its copy: what it keeps for it meanwhile would
    count as used.
    """
    resource = await subject.get()
    if resource["kind"] == "RedisStandalone":
        return
    key = f"heard:{{{tag_of(resource)}}}"
    async with linked(await address_of_primary(subject), resource["spec"]["secret"]) as link:
        assert await link.call_all([("SET", key, 1), ("WAIT", 1, 10_000), ("DEL", key)], timeout_s=15) == [b"OK", 1, 1]


def tag_of(resource: Obj) -> str:
    """A hash tag of its (first) shard."""
    return tags_of(resource)[0] if "slots" in resource["status"] else "tag"


async def fullness(operator: Operator) -> list[float]:
    """As the operator's metrics have it, for each of its resources."""
    used = await operator.metrics("tdredis_redis_memory_used_bytes")
    limits = await operator.metrics("tdredis_redis_memory_limit_bytes")
    return [number / limits[series.replace("_used_", "_limit_")] for series, number in used.items()]


@kinds("standalone")
async def test_memory_that_is_nearly_full_is_told_before_anything_is_evicted_and_room_ends_it(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace) as operator:
        subject = await Subject.create(client, manifest(namespace))
        resource = await subject.until_ready()
        assert condition(resource, "MemoryPressure")["status"] == "False"
        await hears_all(subject)
        await fill(subject, 92.0)
        await subject.touch()

        async def warns() -> bool:
            return bool(condition(await subject.get(), "MemoryPressure")["status"] == "True")

        await eventually(warns, "the condition warns")
        resource = await subject.get()
        assert await subject.primary() in condition(resource, "MemoryPressure")["message"]
        assert condition(resource, "Ready")["status"] == "True"
        assert [full for full in await fullness(operator) if full > 0.9]

        async def told() -> bool:
            return any(each["reason"] == "MemoryNearlyFull" for each in await subject.events())

        await eventually(told, "an event says it")
        async with linked(await address_of_primary(subject), resource["spec"]["secret"]) as link:
            text = await link.call("INFO", "stats", timeout_s=5)
            assert isinstance(text, bytes)
            assert parse_info(text.decode())["evicted_keys"] == "0"
            await link.call("FLUSHALL", timeout_s=5)
        await subject.touch()

        async def eased() -> bool:
            return not await warns()

        await eventually(eased, "the condition ends")
        assert [full for full in await fullness(operator) if full > 0.9] == []


@A_STANDBY
@pytest.mark.needs(PROCESSES)
async def test_a_primary_that_the_kernel_ends_is_replaced_as_any_that_dies(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    """localkube enforces no limits: the signal that the kernel's OOM killer sends is sent by hand."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        before = await subject.primary()
        async with proving(25, subject=subject, gap_s=gap_of_death_s(subject)):
            await strike(kube, "kill", "-c", "redis", f"{namespace}/{before}")
            await another_primary(subject, before)
