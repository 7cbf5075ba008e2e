"""How `localkube fault` reaches a running localkube: a WebSocket holds its fault as long as it is open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from localkube.errors import ApiError, bad_request
from localkube.faults.injector import Faults, Standing
from localkube.faults.menu import BadFault, Fault, Strike, describe

PATH = "/localkube/v1/faults"
Answer = Callable[[], Awaitable[web.StreamResponse]]


class Ask(msgspec.Struct, frozen=True):
    """The client's first and only message. *for_s* None: until the client goes."""

    fault: Fault
    for_s: float | None = None


class Told(msgspec.Struct, frozen=True):
    """What the client hears: `begun` or `done` with the fault's line, `undone` at the end, or `error` and why not."""

    state: str
    text: str


class Admin:
    """GET lists what is in force, DELETE undoes it all, a WebSocket begins a fault and holds it."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        faults.api.admin = self.answer

    async def answer(self, path: str, request: web.BaseRequest) -> web.StreamResponse:
        """Raises ApiError."""
        if path != PATH:
            raise ApiError(404, "NotFound", "the server could not find the requested resource", {})
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._hold(request)
        match request.method:
            case "GET":
                return _json([{"number": one.number, "fault": describe(one.fault)} for one in self._faults.standing])
            case "DELETE":
                return _json({"undone": await self._faults.clear()})
            case method:
                raise bad_request(f"{method} of {PATH}: GET lists, DELETE clears, a WebSocket begins a fault")

    async def _hold(self, request: web.BaseRequest) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=20.0)
        await socket.prepare(request)
        try:
            ask = msgspec.json.decode(await socket.receive_bytes(), type=Ask)
        except (msgspec.ValidationError, msgspec.DecodeError, TypeError) as error:
            await _tell(socket, "error", str(error))
            await socket.close()
            return socket
        with self._faults.api.spared(request.protocol):
            try:
                if isinstance(ask.fault, Strike):
                    self._faults.strike(ask.fault)
                    await _tell(socket, "done", describe(ask.fault))
                else:
                    async with self._faults.held(ask.fault) as standing:
                        await _tell(socket, "begun", describe(ask.fault))
                        await _until_over(socket, standing, ask.for_s)
                    await _tell(socket, "undone", describe(ask.fault))
            except BadFault as error:
                await _tell(socket, "error", str(error))
            await socket.close()
        return socket


async def _until_over(socket: web.WebSocketResponse, standing: Standing, for_s: float | None) -> None:
    """Until the client is gone, the time is up, or somebody else undid it."""
    # Any message means the end, a closed connection most of all.
    gone = asyncio.create_task(socket.receive())
    undone = asyncio.create_task(standing.undone.wait())
    try:
        await asyncio.wait((gone, undone), timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        undone.cancel()


async def _tell(socket: web.WebSocketResponse, state: str, text: str) -> None:
    if not socket.closed:
        with contextlib.suppress(ConnectionError):  # the client went away: the fault goes with it
            await socket.send_bytes(msgspec.json.encode(Told(state, text)))


def _json(content: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")
