"""Decides how one connection to one Redis process lives: commands in order, deadlines, and the moment it is lost."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import cast

import hiredis

from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError, NoAnswer, NoFreeConnection, Refused, Unreachable

# A node that is gone says nothing: without these its connections would stay for ever. Seconds, but for the last.
KEEPALIVE: Mapping[str, int] = MappingProxyType(
    {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}
)
# SO_LINGER: what becomes of bytes that are still to be sent when the connection is closed.
DROPPED, DELIVERED = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


class Link(asyncio.Protocol):
    """One connection. Commands may be sent while others wait: Redis answers in order.

    *on_lost* is called once, the moment the kernel says that the connection is gone (not when we close it), of one that
    was greeted: who accepts and closes has not died each time. *accepted*: the password that was; None: the process has
    none.
    """

    def __init__(self, on_lost: Callable[[], None] | None = None) -> None:
        self._reader = hiredis.Reader(protocolError=LinkError, replyError=Refused)
        self._waiting: deque[asyncio.Future[object]] = deque()
        self._transport: asyncio.Transport | None = None
        self._on_lost = on_lost
        self._lost: Exception | None = None
        self.greeted = False  # it has answered for the first time, and goes on
        self.accepted: str | None = None

    # -- the protocol's side --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without being an instance
        # Whoever closes it, we or the kernel because we ended: what is still to be sent is dropped. Else the kernel
        # would go on trying for minutes, and a FLUSHALL arrive in another world than that for which it was decided.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DROPPED)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE.items():
            if hasattr(socket, option):  # Linux has all of them
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

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
        told = self._lost is None and self.greeted
        self._fail(Unreachable(f"connection lost: {exc}" if exc else "connection closed by Redis"))
        if told and self._on_lost:
            self._on_lost()

    def _answer(self, reply: object) -> None:
        if not self.greeted and isinstance(reply, Refused) and "max number of clients" in str(reply):
            self._fail(NoFreeConnection(str(reply)))  # networking.c, acceptCommonHandler: it closes behind this
            return
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
                future.set_exception(_again(error))

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
            raise _again(self._lost)
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
            raise _again(self._lost)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DELIVERED)
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        reply.add_done_callback(lambda done: None if done.cancelled() else done.exception())  # seen, and not missed
        self._waiting.append(reply)
        self._transport.write(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type] # the stub means any tuple

    def tell(self, *words: str | bytes | int) -> None:
        """One command that is never replied to: REPLCONF GETACK. Raises Unreachable."""
        if self._transport is None or self._lost:
            raise _again(self._lost)
        self._transport.write(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type] # the stub means any tuple

    def close(self) -> None:
        """Closes without telling *on_lost*: we know."""
        self._fail(Unreachable("closed by the operator"))
        if self._transport:
            self._transport.abort()


def _again(error: Exception | None) -> LinkError:
    """*error* for one more who hears of it: an exception that is raised twice would collect both tracebacks."""
    if isinstance(error, NoFreeConnection):
        return NoFreeConnection(str(error))
    return Unreachable(str(error or "not connected"))


async def connect(
    host: str, port: int, *, access: Access, timeout_s: float, on_lost: Callable[[], None] | None = None
) -> Link:
    """A connected, authenticated link that has answered once. Raises Unreachable, NoAnswer, or Refused (no password of
    *access* is right, or no connection is free). *timeout_s* bounds connecting and each answer.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            _, link = await loop.create_connection(lambda: Link(on_lost), host, port, ssl=access.tls)
    except TimeoutError as error:
        raise NoAnswer(f"no connection to {host}:{port} within {timeout_s:g} s") from error
    except OSError as error:
        message = f"{host}:{port}: {error.strerror or error}"
        raise Unreachable(message, refused=isinstance(error, ConnectionRefusedError)) from error
    try:
        await _enter(link, access, timeout_s)
    except Unreachable as error:
        link.close()
        raise Unreachable(str(error), accepted=True) from error
    except (asyncio.CancelledError, LinkError):
        link.close()
        raise
    link.greeted = True
    return link


async def _enter(link: Link, access: Access, timeout_s: float) -> None:
    """Raises Refused when no password is right. Any other error reply, to PING, is a word of somebody who lives."""
    refusal: Refused | None = None
    for password in access.passwords_to_try:
        try:
            await link.call(*(("AUTH", password) if password else ("PING",)), timeout_s=timeout_s)
        except NoFreeConnection:
            raise
        except Refused as error:
            if error.is_of_the_password:
                refusal = refusal or error
                continue
            # A server that has no password refuses AUTH; it takes commands, and its configuration is seen as drift.
            if not password or _has_no_password(error):
                return
            raise
        link.accepted = password or None
        return
    if refusal:
        raise refusal


def _has_no_password(refusal: Refused) -> bool:
    return "without any password configured" in str(refusal) or "no password is set" in str(refusal)
