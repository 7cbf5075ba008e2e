"""Claims about running a command over the API's WebSocket channels."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from localkube.kubelet.exec_stream import serve_exec

from .conftest import House, shell

Dial = Callable[..., Awaitable[aiohttp.ClientWebSocketResponse]]


@pytest.fixture
async def dial(house: House) -> AsyncIterator[Dial]:
    """Opens a connection to a command in the container `c` of the pod `p`."""
    house.run(shell("sleep 1000"))
    await house.until_ready()

    async def handle(request: web.Request) -> web.StreamResponse:
        command = request.query.getall("command")
        options = {name: name in request.query for name in ("stdin", "tty")}
        return await serve_exec(request, house.kubelet.exec("default", "p", None, command, **options))

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession() as session:

        async def connect(*command: str, **options: str) -> aiohttp.ClientWebSocketResponse:
            params = [*(("command", word) for word in command), *options.items()]
            return await session.ws_connect(
                f"http://127.0.0.1:{port}/", params=params, protocols=("v5.channel.k8s.io",)
            )

        yield connect
    await runner.cleanup()


async def hear(socket: aiohttp.ClientWebSocketResponse) -> dict[int, bytes]:
    """Everything said, by channel."""
    said: dict[int, bytes] = {}
    async for message in socket:
        said[message.data[0]] = said.get(message.data[0], b"") + message.data[1:]
    return said


async def test_output_and_exit_code_come_on_their_channels(dial: Dial) -> None:
    said = await hear(await dial("sh", "-c", "echo out; echo err >&2; exit 5"))

    assert (said[1], said[2]) == (b"out\n", b"err\n")
    assert json.loads(said[3])["details"]["causes"] == [{"reason": "ExitCode", "message": "5"}]


async def test_input_reaches_the_command_and_ends(dial: Dial) -> None:
    socket = await dial("sh", "-c", "cat; echo end", stdin="1")

    await socket.send_bytes(b"\x00hello\n")
    await socket.send_bytes(b"\xff\x00")
    said = await hear(socket)

    assert said[1] == b"hello\nend\n"
    assert json.loads(said[3])["status"] == "Success"


async def test_a_terminal_has_the_clients_size(dial: Dial) -> None:
    socket = await dial("sh", "-c", "read go; stty size", stdin="1", tty="1")

    await socket.send_bytes(b"\x04" + json.dumps({"Width": 120, "Height": 40}).encode())
    await socket.send_bytes(b"\x00go\r")

    assert (await hear(socket))[1] == b"go\r\n40 120\r\n"


async def test_a_client_that_leaves_takes_its_command_along(house: House, dial: Dial) -> None:
    socket = await dial("sh", "-c", "echo on; exec sleep 4242", stdin="1")
    assert (await socket.receive_bytes()) == b"\x01on\n"

    await socket.close()

    async with asyncio.timeout(10):
        while "4242" in (await house.exec("sh", "-c", "cat /proc/[0-9]*/cmdline"))[1]:
            pass
