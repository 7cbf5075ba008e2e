"""Asks a Redis over TCP, so that reachability is shown by an answer and a pod's state can be changed from outside."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from tests.conformance.client import Obj
from tests.conformance.namespace import build_redis

PORT = 6379
TRY_S = 0.1


async def ping(address: str, port: int, *words: str) -> str | None:
    """What a Redis at that address answers to a command; None while it does not."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write((" ".join(words or ("PING",)) + "\r\n").encode())
                await writer.drain()
                line = (await reader.readline()).decode().strip()
                if line.startswith("$"):
                    line = (await reader.readline()).decode().strip()
                return line or None
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None


class Standing:
    """A connection that is kept, to see what becomes of it."""

    def __init__(self, address: str, port: int) -> None:
        self._address = (address, port)

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def ask(self, *words: str) -> str:
        """What the Redis at its other end answers. Raises ConnectionError when there is none any more."""
        async with asyncio.timeout(5):
            self._writer.write((" ".join(words) + "\r\n").encode())
            line = (await self._reader.readline()).decode().strip()
            return (await self._reader.readline()).decode().strip() if line.startswith("$") else line


async def until_answer(address: str, port: int, expected: str | None, *words: str, timeout_s: float = 30) -> None:
    seen: list[str | None] = []
    try:
        async with asyncio.timeout(timeout_s):
            while (answer := await ping(address, port, *words)) != expected:
                seen.append(answer)
                await asyncio.sleep(TRY_S)
    except TimeoutError:
        raise AssertionError(f"{address}:{port} never answered {expected!r}; last: {seen[-3:]}") from None


def build_obedient_redis() -> Obj:
    """A Redis that is ready exactly while its key `well` is `yes`: whoever reaches it decides."""
    check = 'test "$(redis-cli -h $POD_IP get well)" = yes'
    probe = {"exec": {"command": ["sh", "-c", check]}, "periodSeconds": 1, "failureThreshold": 1}
    return build_redis(readinessProbe=probe)


async def tell(pod: Obj, word: str) -> None:
    """Makes an obedient Redis ready (`yes`) or not."""
    await until_answer(pod["status"]["podIP"], PORT, "+OK", "SET", "well", word)
