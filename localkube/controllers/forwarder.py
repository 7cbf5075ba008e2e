"""How a connection to a Service's address reaches one of its endpoints: TCP, in this process, on this loop."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import suppress
from typing import NamedTuple, cast

BACKLOG = 512
# Reading stops when the other side has not taken this much yet.
BUFFER_BYTES = 256 * 1024
# When the process has no file descriptor left for another connection, it looks again after this long.
FULL_RETRY_S = 0.1
CONNECT_TIMEOUT_S = 10.0
AFFINITY_CLIENTS = 4096
# linux/in.h: the port of an outgoing connection is chosen at connect, so that many may share a local address.
IP_BIND_ADDRESS_NO_PORT = 24


class Address(NamedTuple):
    ip: str
    port: int


class Listener:
    """One address. It listens only while there are targets: else the kernel refuses at once, as a real Service does."""

    def __init__(self, address: Address, track: Connections) -> None:
        self._address = address
        self._track = track
        self._targets: tuple[Address, ...] = ()
        self._affinity_s: float | None = None
        self._chosen: dict[str, tuple[Address, float]] = {}  # by client: its target, until when
        self._socket: socket.socket | None = None

    def serve(self, targets: tuple[Address, ...], *, affinity_s: float | None = None) -> None:
        """Connections that stand keep their target. *affinity_s*: a client returns to its target for so long.

        Raises OSError when the address cannot be listened on.
        """
        self._targets = targets
        self._affinity_s = affinity_s
        if not targets:
            self.close()
        elif self._socket is None:
            self._open()

    def close(self) -> None:
        """New connections are refused from now on; those that stand are left alone."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _open(self) -> None:
        listening = socket.socket()
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setblocking(False)
            listening.bind(self._address)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
        self._socket = listening
        asyncio.get_running_loop().add_reader(listening, self._accept)

    def _accept(self) -> None:
        for _ in range(BACKLOG):
            if self._socket is None:
                return
            try:
                client, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                # Out of descriptors: asking again at once would only spin.
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._socket)
                loop.call_later(FULL_RETRY_S, self._resume, self._socket)
                return
            client.setblocking(False)
            self._track.run(client, peer[0], self._choose(peer[0]))

    def _resume(self, listening: socket.socket) -> None:
        if self._socket is listening:
            asyncio.get_running_loop().add_reader(listening, self._accept)

    def _choose(self, client: str) -> Address:
        if self._affinity_s is None:
            return random.choice(self._targets)  # noqa: S311 - balance, not secrecy
        now = asyncio.get_running_loop().time()
        target, until = self._chosen.pop(client, (None, 0.0))
        if target is None or until < now or target not in self._targets:
            target = random.choice(self._targets)  # noqa: S311 - balance, not secrecy
        self._chosen[client] = (target, now + self._affinity_s)
        if len(self._chosen) > AFFINITY_CLIENTS:
            del self._chosen[next(iter(self._chosen))]
        return target


class Connections:
    """All that is being forwarded now, so that it can be ended with the process."""

    def __init__(self) -> None:
        self._opening: set[asyncio.Task[None]] = set()
        self._open: set[_Side] = set()

    def __len__(self) -> int:
        return len(self._opening) + len(self._open) // 2

    def run(self, client: socket.socket, client_ip: str, target: Address) -> None:
        opening = asyncio.get_running_loop().create_task(self._connect(client, client_ip, target))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def stop(self) -> None:
        for opening in tuple(self._opening):
            opening.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        sides = tuple(self._open)
        for side in sides:
            side.reset()
        await asyncio.gather(*(side.lost for side in sides))

    async def _connect(self, client: socket.socket, client_ip: str, target: Address) -> None:
        loop = asyncio.get_running_loop()
        back = socket.socket()
        back.setblocking(False)
        near, far = _Side(client, self._open), _Side(back, self._open)
        near.other, far.other = far, near
        try:
            # The endpoint sees the client's own address, as behind a real Service.
            back.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            back.bind((client_ip, 0))
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.sock_connect(back, target)
            await loop.create_connection(lambda: far, sock=back)
            await loop.connect_accepted_socket(lambda: near, client)
            both_stand = near.stands and far.stands
        except (OSError, asyncio.CancelledError):
            both_stand = False
        for side in (near, far):
            if both_stand:
                side.begin()
            else:
                side.reset()


class _Side(asyncio.Protocol):
    """One end of a forwarded connection: what it reads goes to the other, no faster than that one takes it."""

    other: _Side

    def __init__(self, end: socket.socket, open_sides: set[_Side]) -> None:
        self._end = end  # kept, for what some loops give as the transport's socket takes no options
        self._open_sides = open_sides
        self._transport: asyncio.Transport | None = None
        self._begun = False
        self._early = bytearray()  # read before there was somebody to pass it on to
        self._ended = False  # it will send no more
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def stands(self) -> bool:
        return self._transport is not None

    def begin(self) -> None:
        """Both ends stand: from now on what is read is passed on."""
        self._begun = True
        far = self.other._transport
        if far is not None and self._early:
            far.write(bytes(self._early))
            self._early.clear()
        if self._ended:
            self._pass_end()
        elif self._transport is not None:
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not every loop's transports are instances of it, but they all speak like one.
        self._transport = cast("asyncio.Transport", transport)
        self._open_sides.add(self)
        self._transport.set_write_buffer_limits(BUFFER_BYTES)
        # Some loops read a first piece in spite of it.
        self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        far = self.other._transport
        if not self._begun:
            self._early += data
        elif far is not None:
            far.write(data)

    def eof_received(self) -> bool:
        self._ended = True
        if self._begun:
            self._pass_end()
        return True

    def _pass_end(self) -> None:
        far = self.other
        if far._transport is not None and not far._transport.is_closing():
            far._transport.write_eof()
        if far._ended:
            self.close()
            far.close()

    def pause_writing(self) -> None:
        far = self.other._transport
        if far is not None and not far.is_closing():
            far.pause_reading()

    def resume_writing(self) -> None:
        far = self.other._transport
        if far is not None and not far.is_closing():
            far.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._begun and exc is None:
            self.other.close()
        elif self._begun:
            self.other.reset()
        self._open_sides.discard(self)
        if not self.lost.done():
            self.lost.set_result(None)

    def close(self) -> None:
        """After what is still to be written."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """At once, so that the peer learns that this was no orderly end."""
        with suppress(OSError):  # it may be closed already
            self._end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if self._transport is not None:
            self._transport.abort()
        else:
            self._end.close()
