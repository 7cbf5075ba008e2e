"""How `kubectl exec` reaches a command in a container: one WebSocket's channels are its stdin, stdout and stderr."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Literal, Protocol

import msgspec
from aiohttp import WSMsgType, web

from localkube.errors import not_implemented

# The newest first. Only v5 can tell that stdin has ended.
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


class RunningCommand(Protocol):
    """A command as the kubelet started it."""

    ended: asyncio.Future[int]

    async def write(self, data: bytes) -> None: ...

    def close_stdin(self) -> None: ...

    def resize(self, columns: int, rows: int) -> None: ...

    def output(self) -> AsyncIterator[tuple[Literal["stdout", "stderr"], bytes]]: ...

    def kill(self) -> None: ...


def check_upgrade(request: web.BaseRequest) -> None:
    """Raises ApiError 501 for the older ways to stream, which kubectl tries only if this one fails."""
    offered = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if request.headers.get("Upgrade", "").lower() != "websocket" or not set(offered) & set(PROTOCOLS):
        raise not_implemented(f"streaming other than by WebSocket with one of {', '.join(PROTOCOLS)}")


async def run_command(request: web.BaseRequest, command: RunningCommand, wanted: dict[str, bool]) -> web.StreamResponse:
    """Carries bytes both ways until the command ends, then says how it ended. *wanted*: which of the streams."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=16 * 1024 * 1024)
    await socket.prepare(request)
    listener = asyncio.create_task(_listen(socket, command, wanted=wanted["stdin"]))
    try:
        for channel in (STDOUT, STDERR):
            if wanted["stdout" if channel == STDOUT else "stderr"]:
                # An empty frame opens the channel: kubectl waits for it.
                await socket.send_bytes(bytes((channel,)))
        async for stream, data in command.output():
            if wanted.get(stream, False):
                await socket.send_bytes(bytes((STDOUT if stream == "stdout" else STDERR,)) + data)
        await socket.send_bytes(bytes((ERROR,)) + msgspec.json.encode(_outcome(await command.ended)))
        await socket.close()
    except ConnectionError:
        pass  # nobody is listening any more
    finally:
        listener.cancel()
        if not command.ended.done():
            command.kill()
    return socket


async def _listen(socket: web.WebSocketResponse, command: RunningCommand, *, wanted: bool) -> None:
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == STDIN and wanted and data:
            await command.write(data)
        elif channel == RESIZE and data:
            size = json.loads(data)
            command.resize(size.get("Width", 80), size.get("Height", 24))
        elif channel == CLOSE and data[:1] == bytes((STDIN,)):
            command.close_stdin()
    # The client went away: the command must not wait for more.
    if not command.ended.done():
        command.kill()


def _outcome(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
