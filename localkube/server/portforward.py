"""How `kubectl port-forward` reaches a pod's ports: connections of the client's machine, carried over one WebSocket.

Two ways are spoken. kubectl sends SPDY frames as the WebSocket's messages: each connection is two streams with one
"requestid", one for data and one for what went wrong (Kubernetes enhancement 4006). Client libraries use the older
way: two fixed channels a port, the first message of each says the port, little end first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from localkube.errors import bad_request, not_implemented
from localkube.server import spdy

TUNNEL = "SPDY/3.1+portforward.k8s.io"
CHANNELS = "v4.channel.k8s.io"
PROTOCOLS = (TUNNEL, CHANNELS)
CONNECT_TIMEOUT_S = 10.0

Send = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ForwardedPod:
    """Where connections go; *title* names the pod in what the client is told."""

    title: str
    address: str

    def refusal(self, port: int, error: Exception) -> str:
        number = error.errno if isinstance(error, OSError) else None
        why = os.strerror(number).lower() if number else str(error) or "timed out"
        return f"error forwarding port {port} to pod {self.title}: dial tcp4 {self.address}:{port}: connect: {why}"

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises OSError, and TimeoutError which is one."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await asyncio.open_connection(self.address, port)


def check_upgrade(request: web.BaseRequest) -> None:
    """Raises ApiError 501 for SPDY without a WebSocket around it, which kubectl tries only if this way fails."""
    offered = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if request.headers.get("Upgrade", "").lower() != "websocket" or not set(offered) & set(PROTOCOLS):
        raise not_implemented(f"port-forward other than by WebSocket with one of {', '.join(PROTOCOLS)}")


def parse_ports(texts: list[str]) -> list[int]:
    """The ports that the URL asks for. Raises ApiError 400."""
    listed = [one for text in texts for one in text.split(",") if one]
    for one in listed:
        if not one.isdigit() or not 0 < int(one) < 1 << 16:
            raise bad_request(f"port {one!r} is not a port number")
    return [int(one) for one in listed]


async def forward(request: web.BaseRequest, pod: ForwardedPod, ports: list[int]) -> web.StreamResponse:
    """Serves one client until it goes away. *ports*: used by the older protocol only."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=16 * 1024 * 1024)
    await socket.prepare(request)
    session: _Tunnel | _Channels
    session = _Tunnel(pod, socket.send_bytes) if socket.ws_protocol == TUNNEL else _Channels(pod, socket.send_bytes)
    try:
        if isinstance(session, _Channels):
            await session.begin(ports)
        async for message in socket:
            if message.type is WSMsgType.BINARY and not await session.receive(message.data):
                break
    except (ConnectionError, spdy.Malformed):
        pass  # the client went away, or talks of something else: there is nobody to tell
    finally:
        await session.end()
        await socket.close()
    return socket


@dataclass(slots=True)
class _Carried:
    """One connection to the pod. What arrives before it is made waits in *queue*; None there: the client has ended."""

    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(64))
    task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    async def pass_on(self, data: bytes | None) -> None:
        """Waiting here slows the client as the pod slows us; a connection that is over takes nothing more."""
        while self.task is not None and not self.task.done():
            put = asyncio.ensure_future(self.queue.put(data))
            await asyncio.wait((put, self.task), return_when=asyncio.FIRST_COMPLETED)
            if put.done():
                break
            put.cancel()


async def _carry(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    queue: asyncio.Queue[bytes | None],
    tell: Send,
    tell_end: Callable[[], Awaitable[None]],
) -> None:
    """Copies both ways until both ends have ended: either may go on after the other has nothing more to say."""
    reader, writer = connection

    async def upwards() -> None:
        while (data := await queue.get()) is not None:
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def downwards() -> None:
        while data := await reader.read(spdy.DATA_BYTES):
            await tell(data)
        await tell_end()

    up = asyncio.create_task(upwards())
    try:
        await downwards()
        # A pod that has closed reads no more: what the client still sends is lost, as on any connection.
    finally:
        up.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await up
        writer.close()


class _Tunnel:
    """SPDY frames in messages."""

    def __init__(self, pod: ForwardedPod, send: Send) -> None:
        self._pod = pod
        self._send = send
        self._framing = spdy.Framing()
        self._errors: dict[tuple[str, str], int] = {}  # by port and requestid: the stream that waits for its pair
        self._carried: dict[int, _Carried] = {}  # by data stream

    async def receive(self, message: bytes) -> bool:
        """Whether the client stays. Raises spdy.Malformed."""
        for frame in self._framing.parse_frames(message):
            match frame:
                case spdy.Opened():
                    await self._open(frame)
                case spdy.Data(stream=stream, data=data, ended=ended):
                    if (carried := self._carried.get(stream)) is not None:
                        if data:
                            await carried.pass_on(data)
                        if ended:
                            await carried.pass_on(None)
                case spdy.Reset(stream=stream):
                    if (carried := self._carried.pop(stream, None)) is not None:
                        carried.cancel()
                case spdy.Pinged(number=number):
                    await self._send(spdy.build_pong(number))
                case spdy.Left():
                    return False
        return True

    async def _open(self, frame: spdy.Opened) -> None:
        kind, port = frame.headers.get("streamtype", ""), frame.headers.get("port", "")
        key = (port, frame.headers.get("requestid", ""))
        if kind not in ("error", "data") or not port.isdigit() or not 0 < int(port) < 1 << 16:
            await self._send(spdy.build_reset(frame.stream, spdy.REFUSED_STREAM))
            return
        await self._send(self._framing.build_reply(frame.stream))
        if kind == "error":
            self._errors[key] = frame.stream
            return
        error_stream = self._errors.pop(key, None)
        if error_stream is None:
            await self._send(spdy.build_reset(frame.stream, spdy.PROTOCOL_ERROR))
            return
        carried = self._carried[frame.stream] = _Carried()
        carried.task = asyncio.create_task(self._serve(frame.stream, error_stream, int(port), carried))

    async def _serve(self, stream: int, error_stream: int, port: int, carried: _Carried) -> None:
        complaint = b""

        async def tell(data: bytes) -> None:
            await self._send(spdy.build_data(stream, data))

        async def tell_end() -> None:
            await self._send(spdy.build_data(stream, b"", ended=True))

        try:
            try:
                connection = await self._pod.connect(port)
                await _carry(connection, carried.queue, tell, tell_end)
            except OSError as error:
                complaint = self._pod.refusal(port, error).encode()
            with contextlib.suppress(ConnectionError):
                await self._send(spdy.build_data(error_stream, complaint, ended=True))
                if complaint:
                    await tell_end()
        finally:
            self._carried.pop(stream, None)

    async def end(self) -> None:
        await _end_all([one.task for one in self._carried.values() if one.task is not None])


class _Channels:
    """One connection a port, made at once; channel 2n carries its data, 2n+1 what went wrong."""

    def __init__(self, pod: ForwardedPod, send: Send) -> None:
        self._pod = pod
        self._send = send
        self._carried: list[_Carried] = []

    async def begin(self, ports: list[int]) -> None:
        for number, port in enumerate(ports):
            for channel in (2 * number, 2 * number + 1):
                await self._send(bytes((channel,)) + struct.pack("<H", port))
            carried = _Carried()
            carried.task = asyncio.create_task(self._serve(2 * number, port, carried))
            self._carried.append(carried)

    async def receive(self, message: bytes) -> bool:
        if message and message[0] % 2 == 0 and message[0] // 2 < len(self._carried) and len(message) > 1:
            await self._carried[message[0] // 2].pass_on(message[1:])
        return True

    async def _serve(self, channel: int, port: int, carried: _Carried) -> None:
        async def tell(data: bytes) -> None:
            await self._send(bytes((channel,)) + data)

        async def tell_end() -> None:
            pass  # this protocol has no word for it

        try:
            await _carry(await self._pod.connect(port), carried.queue, tell, tell_end)
        except OSError as error:
            with contextlib.suppress(ConnectionError):
                await self._send(bytes((channel + 1,)) + self._pod.refusal(port, error).encode())

    async def end(self) -> None:
        await _end_all([one.task for one in self._carried if one.task is not None])


async def _end_all(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
