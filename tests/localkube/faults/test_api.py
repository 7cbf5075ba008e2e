"""Claims about an API server that misbehaves as it is told, and behaves again afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.localkube.faults.conftest import DEADLINE_S, House, eventually

MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def make(house: House, name: str) -> str:
    made = house.cluster.registry.create("configmaps", {"metadata": {"name": name, "namespace": "default"}})
    version: str = made["metadata"]["resourceVersion"]
    return version


@asynccontextmanager
async def watch(house: House, since: str) -> AsyncIterator[aiohttp.StreamReader]:
    query = {"watch": "true", "resourceVersion": since, "allowWatchBookmarks": "true"}
    async with house.http.get(house.url(MAPS), params=query) as response:
        yield response.content


async def next_event(stream: aiohttp.StreamReader, within_s: float = DEADLINE_S) -> tuple[str, str]:
    """Type and name; for an ERROR its reason."""
    async with asyncio.timeout(within_s):
        line = await stream.readline()
    if not line:
        return "END", ""
    event = json.loads(line)
    return event["type"], event["object"].get("reason") or event["object"]["metadata"].get("name", "")


async def test_a_stopped_server_refuses_connections_and_comes_back_with_its_objects(house: House) -> None:
    make(house, "a")
    async with watch(house, "0") as stream:
        await next_event(stream)
        async with house.faults.api_stopped():
            with pytest.raises(aiohttp.ClientConnectorError):
                await house.status_of(MAPS)
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await stream.read()

    assert await house.status_of(f"{MAPS}/a") == 200


async def test_a_watch_resumes_over_an_outage(house: House) -> None:
    version = make(house, "a")
    async with house.faults.api_stopped():
        make(house, "b")

    async with watch(house, version) as stream:
        assert await next_event(stream) == ("ADDED", "b")


async def test_a_server_that_forgot_says_410(house: House) -> None:
    version = make(house, "a")
    async with house.faults.api_stopped(forget=True):
        make(house, "b")

    async with watch(house, version) as stream:
        assert await next_event(stream) == ("ERROR", "Expired")


async def test_forgetting_ends_watches_and_resuming_them_gets_410(house: House) -> None:
    version = make(house, "a")
    make(house, "b")
    async with watch(house, version) as stream:
        await next_event(stream)

        house.faults.forget_history()

        assert await next_event(stream) == ("END", "")
    async with watch(house, version) as stream:
        assert await next_event(stream) == ("ERROR", "Expired")


async def test_refused_requests_change_nothing(house: House) -> None:
    async with house.faults.refusing(code=500, verbs=("POST",)):
        during = await house.status_of(MAPS, "POST", config_map("a")), await house.status_of(MAPS)

    assert during == (500, 200)
    assert await house.status_of(f"{MAPS}/a") == 404
    assert await house.status_of(MAPS, "POST", config_map("a")) == 201


async def test_a_request_may_be_carried_out_and_its_answer_lost(house: House) -> None:
    async with house.faults.refusing(code=504, path="/configmaps", after=True):
        during = await house.status_of(MAPS, "POST", config_map("a"))

    assert during == 504
    assert await house.status_of(f"{MAPS}/a") == 200


async def test_a_fraction_of_requests_is_a_fraction(house: House) -> None:
    async with house.faults.refusing(percent=50, code=429):
        seen = [await house.status_of(MAPS) for _ in range(200)]

    # 200 throws of a fair coin are outside of 50..150 less than once in 10^11.
    assert 50 < seen.count(429) < 150
    assert set(seen) == {200, 429}


async def test_delayed_changes_come_in_order_and_are_told_at_once_when_the_fault_is_over(house: House) -> None:
    version = make(house, "a")
    async with watch(house, version) as stream:
        async with house.faults.watches_delayed(3600):
            make(house, "b")
            make(house, "c")
            with pytest.raises(TimeoutError):
                await next_event(stream, within_s=0.2)
        make(house, "d")
        told = [await next_event(stream) for _ in range(3)]

    assert told == [("ADDED", "b"), ("ADDED", "c"), ("ADDED", "d")]


async def test_a_delay_is_as_long_as_it_says(house: House) -> None:
    version = make(house, "a")
    loop = asyncio.get_running_loop()
    async with watch(house, version) as stream, house.faults.watches_delayed(0.3):
        began = loop.time()
        make(house, "b")
        told = await next_event(stream)
        took_s = loop.time() - began

    assert told == ("ADDED", "b")
    assert 0.3 <= took_s < DEADLINE_S


async def test_lost_changes_are_never_told_and_those_afterwards_are(house: House) -> None:
    version = make(house, "a")
    async with watch(house, version) as stream:
        async with house.faults.watches_losing(100):
            make(house, "b")
            async with house.http.get(house.url(MAPS)) as answer:
                listed = [one["metadata"]["name"] for one in (await answer.json())["items"]]
        make(house, "c")
        told = await next_event(stream)

    assert listed == ["a", "b"]
    assert told == ("ADDED", "c")


async def hangs(request: asyncio.Task[int], within_s: float = 0.3) -> bool:
    done, _ = await asyncio.wait({request}, timeout=within_s)
    return not done


async def test_a_request_that_hangs_is_carried_out_when_the_fault_is_undone(house: House) -> None:
    async with house.faults.requests_hanging(verbs=("POST",), path="/configmaps"):
        hung = asyncio.create_task(house.status_of(MAPS, "POST", config_map("a")))
        assert await hangs(hung)
        assert await house.status_of(MAPS) == 200
        assert await house.status_of(f"{MAPS}/a") == 404

    assert await hung == 201


async def test_only_some_hang_and_each_for_its_time(house: House) -> None:
    async with house.faults.requests_hanging(path="/configmaps/a", count=1, each_s=0.2):
        loop = asyncio.get_running_loop()
        began = loop.time()
        first = await house.status_of(f"{MAPS}/a")
        took_s = loop.time() - began
        second = asyncio.create_task(house.status_of(f"{MAPS}/a"))

        assert (first, await second) == (404, 404)
        assert took_s >= 0.2
        assert house.faults.api.hung == 1


async def test_the_answer_alone_may_hang(house: House) -> None:
    async with house.faults.requests_hanging(verbs=("POST",), after=True):
        hung = asyncio.create_task(house.status_of(MAPS, "POST", config_map("a")))
        await eventually(lambda: exists(house, "a"))
        assert await hangs(hung)

    assert await hung == 201


async def exists(house: House, name: str) -> bool:
    return await house.status_of(f"{MAPS}/{name}") == 200


async def test_what_its_client_gave_up_may_be_carried_out_later(house: House) -> None:
    async with house.faults.requests_hanging(verbs=("POST",)):
        hung = asyncio.create_task(house.status_of(MAPS, "POST", config_map("a")))
        assert await hangs(hung)
        hung.cancel()
        await asyncio.wait({hung})

    await eventually(lambda: exists(house, "a"))
