"""Writing status: against an HTTP server that answers when the test says so."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from tdredis.api.instance import InstanceStatus
from tdredis.api.redisstandby import RedisStandby
from tdredis.controllers.status_writer import AT_ONCE, StatusWriter
from tdredis.execute.run import LeadLostError
from tdredis.kube.client import Client
from tdredis.kube.config import ClusterConfig
from tdredis.kube.resources import LEASES
from tdredis.planning.snapshot import Key
from tests.kit.waiting import eventually
from tests.unit.planning.test_standby_plans import healthy

HOST = "127.0.0.1"
KEY = Key("RedisStandby", "redis", "tom")


class Server:
    """Takes statuses once *opens* is set, with *code*; answers everything else at once."""

    def __init__(self) -> None:
        self.opens = asyncio.Event()
        self.code = 200
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        if request.path.endswith("/status"):
            self.asked.append(request.path.split("/")[-2])
            await self.opens.wait()
            return web.json_response({"kind": "RedisStandby", "code": self.code}, status=self.code)
        return web.json_response({"kind": "Lease"})


@asynccontextmanager
async def server() -> AsyncIterator[tuple[Server, Client]]:
    found = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    try:
        async with Client(ClusterConfig(server=f"http://{HOST}:{runner.addresses[0][1]}"), deadline_s=5) as client:
            yield found, client
    finally:
        await runner.cleanup()


def resource() -> RedisStandby:
    found = healthy().instance
    assert isinstance(found, RedisStandby)
    return found


def saying(phase: str) -> InstanceStatus:
    return msgspec.structs.replace(resource().status, phase=phase)


@pytest.mark.parametrize("code", [200, 503])
async def test_a_late_answer_is_told_when_it_is_bad_or_old(code: int) -> None:
    late: list[bool] = []
    async with server() as (slow, client):
        slow.code = code
        writer = StatusWriter(client, on_late=lambda _key, written: late.append(written))

        assert await writer.write(KEY, resource(), saying("NotReady"))
        assert writer.is_under_way(KEY)
        assert await writer.write(KEY, resource(), saying("Ready")), "it is another pass's"
        slow.opens.set()
        await eventually(lambda: ended(writer), "the server has answered")

        assert (slow.asked, late) == (["tom"], [code == 200])


async def test_a_late_answer_that_is_good_and_new_brings_no_pass() -> None:
    """A server that forgets a field of status would be asked without end."""
    late: list[bool] = []
    async with server() as (slow, client):
        writer = StatusWriter(client, on_late=lambda _key, written: late.append(written))
        assert await writer.write(KEY, resource(), saying("NotReady"))
        slow.opens.set()
        await eventually(lambda: ended(writer), "the server has answered")

    assert late == []


async def test_what_must_be_known_to_the_next_pass_is_waited_for() -> None:
    async with server() as (slow, client):
        writer = StatusWriter(client)
        assert await writer.write(KEY, resource(), saying("NotReady"))
        first_record = asyncio.create_task(writer.write(KEY, resource(), saying("Migrating"), to_the_end=True))
        await asyncio.wait({first_record}, timeout=0.3)
        assert not first_record.done()

        slow.opens.set()
        assert await first_record
        assert slow.asked == ["tom", "tom"]


async def test_statuses_of_many_leave_room_for_the_lease() -> None:
    async with server() as (slow, client):
        writer, tom, status = StatusWriter(client, wait_s=0), resource(), saying("NotReady")
        for number in range(300):
            assert await writer.write(Key("RedisStandby", "redis", f"tom-{number}"), tom, status)
        await eventually(lambda: asked(slow, AT_ONCE), "as many are written as may be at once")

        assert await client.find(LEASES, "default", "lead") == {"kind": "Lease"}
        assert len(slow.asked) == AT_ONCE
        await writer.close()


async def ended(writer: StatusWriter) -> bool:
    return not writer.is_under_way(KEY)


async def asked(slow: Server, count: int) -> bool:
    return len(slow.asked) == count


async def test_what_a_write_raised_when_its_pass_was_given_up_is_no_noise() -> None:
    """As when the lead is lost: passes are given up in the very moment in which their writes find that out."""
    loop = asyncio.get_running_loop()
    noise: list[str] = []
    loop.set_exception_handler(lambda _loop, context: noise.append(context["message"]))
    passes: list[asyncio.Task[bool]] = []

    def require_lead() -> None:
        loop.call_soon(passes[0].cancel)
        raise LeadLostError

    async with server() as (_, client):
        writer = StatusWriter(client, require_lead=require_lead)
        passes.append(asyncio.create_task(writer.write(KEY, resource(), saying("NotReady"))))
        await asyncio.wait(passes)

        assert passes.pop().cancelled()
        assert not writer.is_under_way(KEY)
        gc.collect()
        assert noise == []
