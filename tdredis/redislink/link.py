"""Decides how one connection to one Redis process lives: commands in order, deadlines, and the moment it is lost."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

import hiredis

from tdredis.redislink.errors import LinkError, NoAnswer, Refused, Unreachable

# SO_LINGER: what becomes of bytes that are still to be sent when the connection is closed.
DROPPED, DELIVERED = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


class Link(asyncio.Protocol):
    """One connection. Commands may be sent while others wait: Redis answers in order.

    *on_lost* is called once, the moment the kernel says that the connection is gone (not when we close it).
    """

    def __init__(self, on_lost: Callable[[], None] | None = None) -> None:
        self._reader = hiredis.Reader(protocolError=LinkError, replyError=Refused)
        self._waiting: deque[asyncio.Future[object]] = deque()
        self._transport: asyncio.Transport | None = None
        self._on_lost = on_lost
        self._lost: Exception | None = None

    # -- the protocol's side --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without being an instance
        # Whoever closes it, we or the kernel because we ended: what is still to be sent is dropped. Else the kernel
        # would go on trying for minutes, and a FLUSHALL arrive in another world than that for which it was decided.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DROPPED)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._answer(reply)
        except LinkError as error:  # not RESP: this is no Redis, or we lost count
            self._fail(error)
            if self._transport:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        told = self._lost is None
        self._fail(Unreachable(f"connection lost: {exc}" if exc else "connection closed by Redis"))
        if told and self._on_lost:
            self._on_lost()

    def _answer(self, reply: object) -> None:
        if not self._waiting:
            return  # a push nobody asked for
        future = self._waiting.popleft()
        if not future.done():
            future.set_result(reply)

    def _fail(self, error: Exception) -> None:
        self._lost = self._lost or error
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(Unreachable(str(error)))

    # -- the caller's side ----------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        return self._transport is not None and self._lost is None

    async def call(self, *words: str | bytes | int, timeout_s: float) -> object:
        """One command's reply. Raises Unreachable, NoAnswer, or Refused with Redis' own words."""
        reply = (await self.call_all([words], timeout_s=timeout_s))[0]
        if isinstance(reply, Refused):
            raise reply
        return reply

    async def call_all(self, commands: Sequence[Sequence[str | bytes | int]], *, timeout_s: float) -> list[object]:
        """Every command's reply, in order, in one round trip; a refused one is a Refused *in* the list.

        Raises Unreachable or NoAnswer. After NoAnswer the connection is dropped, unless somebody still waits for an
        answer that comes before ours.
        """
        if self._transport is None or self._lost:
            raise Unreachable(str(self._lost or "not connected"))
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[object]] = [loop.create_future() for _ in commands]
        before = [future for future in self._waiting if not future.done()]
        self._waiting.extend(futures)
        self._transport.write(b"".join(hiredis.pack_command(tuple(command)) for command in commands))  # type: ignore[arg-type] # the stub means any tuple
        try:
            async with asyncio.timeout(timeout_s):
                return [await future for future in futures]
        except TimeoutError as error:
            if all(future.done() for future in before):
                self.close()
            raise NoAnswer(f"no answer within {timeout_s:g} s") from error
        finally:
            for future in futures:
                if future.done() and not future.cancelled():
                    future.exception()  # seen: the caller has the first failure
                future.cancel()

    def send(self, *words: str | bytes | int) -> None:
        """One command whose reply nobody waits for, such as SHUTDOWN, which has none. Raises Unreachable."""
        if self._transport is None or self._lost:
            raise Unreachable(str(self._lost or "not connected"))
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DELIVERED)
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        reply.add_done_callback(lambda done: None if done.cancelled() else done.exception())  # seen, and not missed
        self._waiting.append(reply)
        self._transport.write(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type] # the stub means any tuple

    def close(self) -> None:
        """Closes without telling *on_lost*: we know."""
        self._fail(Unreachable("closed by the operator"))
        if self._transport:
            self._transport.abort()


async def connect(
    host: str, port: int, *, password: str, timeout_s: float, on_lost: Callable[[], None] | None = None
) -> Link:
    """A connected, authenticated link. Raises Unreachable, NoAnswer, or Refused (wrong password)."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            _, link = await loop.create_connection(lambda: Link(on_lost), host, port)
    except TimeoutError as error:
        raise NoAnswer(f"no connection to {host}:{port} within {timeout_s:g} s") from error
    except OSError as error:
        message = f"{host}:{port}: {error.strerror or error}"
        raise Unreachable(message, refused=isinstance(error, ConnectionRefusedError)) from error
    if password:
        try:
            await link.call("AUTH", password, timeout_s=timeout_s)
        except asyncio.CancelledError:
            link.close()
            raise
        except LinkError as error:
            link.close()
            # A server that has no password refuses AUTH; it takes commands, and its configuration is seen as drift.
            if isinstance(error, Refused) and "without any password configured" in str(error):
                return await connect(host, port, password="", timeout_s=timeout_s, on_lost=on_lost)
            raise
    return link
