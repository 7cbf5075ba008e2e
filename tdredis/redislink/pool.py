"""Decides which connections are held: one to every Redis process of every resource, opened when first asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tdredis.redislink.link import Link, connect

REDIS_PORT = 6379
SENTINEL_PORT = 26379

Owner = TypeVar("Owner")
Command = Sequence[str | bytes | int]


@dataclass(frozen=True, slots=True)
class Address:
    """One Redis process: *uid* is its pod's, so that a new pod on an old IP is another process."""

    uid: str
    ip: str
    port: int = REDIS_PORT

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


@dataclass(slots=True)
class _Held:
    link: Link | None = None
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


class LinkPool(Generic[Owner]):
    """Connections by owner and address. *on_lost* hears of a connection that the other side ended."""

    def __init__(self, on_lost: Callable[[Owner, Address], None]) -> None:
        self._on_lost = on_lost
        self._held: dict[Owner, dict[Address, _Held]] = {}

    def __len__(self) -> int:
        return sum(held.link is not None and held.link.open for mine in self._held.values() for held in mine.values())

    async def ask(
        self,
        owner: Owner,
        address: Address,
        commands: Sequence[Command],
        *,
        password: str,
        timeout_s: float,
        before_sending: Callable[[], None] = lambda: None,
    ) -> list[object]:
        """Every command's reply in one round trip; a refused one is a Refused in the list. *before_sending* is called
        in the same instant in which they are sent, and may raise.

        Raises Unreachable, NoAnswer, or Refused (the password). *timeout_s* bounds connecting and asking each.
        """
        link = await self._open(owner, address, password=password, timeout_s=timeout_s)
        before_sending()
        return await link.call_all(commands, timeout_s=timeout_s)

    async def _open(self, owner: Owner, address: Address, *, password: str, timeout_s: float) -> Link:
        held = self._held.setdefault(owner, {}).setdefault(address, _Held())
        async with held.opening:
            if held.link is None or not held.link.open:
                held.link = await connect(
                    address.ip,
                    address.port,
                    password=password,
                    timeout_s=timeout_s,
                    on_lost=lambda: self._on_lost(owner, address),
                )
            return held.link

    def keep(self, owner: Owner, addresses: Iterable[Address]) -> None:
        """Closes the owner's connections to anything but *addresses*: their pods are gone."""
        wanted = set(addresses)
        mine = self._held.get(owner, {})
        for address in [each for each in mine if each not in wanted]:
            held = mine.pop(address)
            if held.link:
                held.link.close()
        if not mine:
            self._held.pop(owner, None)

    def close(self) -> None:
        for owner in list(self._held):
            self.keep(owner, ())
