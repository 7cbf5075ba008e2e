"""How a client talks with a command that it runs in a container: the API's channels over one WebSocket.

Each message is one byte of channel number and its data (Kubernetes, "WebSocket streaming", v4 and v5.channel.k8s.io).
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web

from localkube.kubelet.process import ExecProcess

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
_CHANNELS = {"stdout": STDOUT, "stderr": STDERR}


def wants_websocket(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


async def serve_exec(request: web.BaseRequest, running: ExecProcess) -> web.WebSocketResponse:
    """Carries *running*'s input and output until it ends, then says how. Who goes away takes the command along."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=0)
    listener: asyncio.Task[None] | None = None
    try:
        await socket.prepare(request)
        listener = asyncio.create_task(_listen(socket, running))
        async for stream, data in running.output():
            await socket.send_bytes(bytes((_CHANNELS[stream],)) + data)
        outcome = build_outcome(await running.wait())
        await socket.send_bytes(bytes((ERROR,)) + json.dumps(outcome).encode())
        await socket.close()
    except ConnectionError:
        pass  # the client went away: nobody to tell
    finally:
        running.kill()
        if listener is not None:
            listener.cancel()
    return socket


def build_outcome(code: int) -> dict[str, Any]:
    """The Status object by which a client learns the exit code."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: command terminated with exit code {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        "code": 500,
    }


async def _listen(socket: web.WebSocketResponse, running: ExecProcess) -> None:
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == STDIN:
            await running.write(data)
        elif channel == CLOSE and data[:1] == bytes((STDIN,)):
            running.close_stdin()
        elif channel == RESIZE:
            size = json.loads(data)
            running.resize(size["Width"], size["Height"])
    # The connection is gone: an interactive command would wait for its input for ever.
    running.kill()
