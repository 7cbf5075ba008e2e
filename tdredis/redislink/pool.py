"""Decides which connections are held: one to every Redis process of every resource, opened when first asked for; how
soon again after one was turned away; and when the end of one is news.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from tdredis.redis.ports import REDIS_PORT
from tdredis.redislink.access import OPEN, Access
from tdredis.redislink.errors import LinkError, NoAnswer, NoFreeConnection, Refused, Unreachable
from tdredis.redislink.link import Link, connect
from tdredis.redislink.settings import SettingsMemory

# A server that closes what it accepts, or refuses the password, has other clients to care for: it is asked that seldom.
TURNED_AWAY_S = 3.0
LOST_AGAIN_S = 3.0  # the end of a connection to one process is news at most that often

Owner = TypeVar("Owner")
Command = Sequence[str | bytes | int]


@dataclass(frozen=True, slots=True)
class Address:
    """One Redis process: *uid* is its pod's, so that a new pod on an old IP is another process. *pod*: its name, for
    people.
    """

    uid: str
    ip: str
    port: int = REDIS_PORT
    pod: str = field(default="", compare=False)
    _hash: int = field(init=False, repr=False, compare=False)  # each is looked up a dozen times in a pass

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.uid, self.ip, self.port)))

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


class Connect(Protocol):
    """Opens a link, as `link.connect` does."""

    async def __call__(
        self, host: str, port: int, *, access: Access, timeout_s: float, on_lost: Callable[[], None] | None = None
    ) -> Link: ...


@dataclass(slots=True)
class _Held:
    link: Link | None = None
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_kept: bool = True
    turned_away: tuple[float, Access, LinkError] | None = None  # when, with what, and its words
    told_at: float | None = None  # when an end of a connection was last told
    tells: asyncio.TimerHandle | None = None  # the next one, where it came too soon

    def end(self) -> None:
        self.is_kept = False
        if self.tells:
            self.tells.cancel()
        if self.link:
            self.link.close()


class LinkPool(Generic[Owner]):
    """Connections by owner and address. *on_lost* hears of a connection that the other side ended, once in LOST_AGAIN_S
    of the same process.
    """

    def __init__(
        self,
        on_lost: Callable[[Owner, Address], None],
        *,
        connect: Connect = connect,
        on_answer: Callable[[float], None] = lambda _seconds: None,
        on_failure: Callable[[str], None] = lambda _why: None,
    ) -> None:
        """*on_answer* hears how long each question took that was answered, *on_failure* which LinkError another got."""
        self._on_lost = on_lost
        self._on_answer = on_answer
        self._on_failure = on_failure
        self._connect = connect
        self._held: dict[Owner, dict[Address, _Held]] = {}
        self._access: dict[Owner, tuple[Access, dict[Address, Access]]] = {}
        self.settings: SettingsMemory[Owner] = SettingsMemory()

    def __len__(self) -> int:
        return sum(held.link is not None and held.link.open for mine in self._held.values() for held in mine.values())

    def admit(self, owner: Owner, access: Access, *, doors: Iterable[Address] = (), door: Access = OPEN) -> None:
        """From now on the owner's processes are entered with *access*, those at *doors* (proxies) with *door*."""
        self._access[owner] = (access, dict.fromkeys(doors, door))

    def password(self, owner: Owner) -> str:
        """The owner's own: the one that is tried first; "" where it was not admitted."""
        return self.access(owner).passwords_to_try[0]

    def access(self, owner: Owner) -> Access:
        """How the owner's processes are entered."""
        access, _ = self._access.get(owner, (OPEN, {}))
        return access

    def accepted(self, owner: Owner, address: Address) -> str | None:
        """The password that the process there accepted when it was connected; None: not known, or it has none."""
        held = self._held.get(owner, {}).get(address)
        return held.link.accepted if held and held.link and held.link.open else None

    async def ask(
        self,
        owner: Owner,
        address: Address,
        commands: Sequence[Command],
        *,
        timeout_s: float,
        before_sending: Callable[[], None] = lambda: None,
    ) -> list[object]:
        """Every command's reply in one round trip; a refused one is a Refused in the list. *before_sending* is called
        in the same instant in which they are sent, and may raise.

        Raises what `open` does. *timeout_s* bounds connecting and asking each.
        """
        begun = time.perf_counter()
        try:
            link = await self.open(owner, address, timeout_s=timeout_s)
            before_sending()
            replies = await link.call_all(commands, timeout_s=timeout_s)
        except LinkError as error:
            self._on_failure(type(error).__name__)
            raise
        self._on_answer(time.perf_counter() - begun)
        return replies

    async def open(self, owner: Owner, address: Address, *, timeout_s: float) -> Link:
        """The connection to the process there, for questions that must reach the same one. Waiting for others who are
        connecting is a part of it. Raises Unreachable, NoAnswer, or Refused (the password, or no connection is free).
        """
        held = self._held.setdefault(owner, {}).setdefault(address, _Held())
        if held.link is not None and held.link.open:
            return held.link
        try:
            async with asyncio.timeout(timeout_s), held.opening:
                if held.link is None or not held.link.open:
                    held.link = await self._reopen(owner, address, held, timeout_s)
                return held.link
        except TimeoutError as error:
            raise NoAnswer(f"no connection to {address} within {timeout_s:g} s") from error

    async def _reopen(self, owner: Owner, address: Address, held: _Held, timeout_s: float) -> Link:
        access, doors = self._access.get(owner, (OPEN, {}))
        access = doors.get(address, access)
        now = asyncio.get_running_loop().time()
        tried_lately = False
        if held.turned_away:
            at, tried, error = held.turned_away
            if now < at + TURNED_AWAY_S and tried == access:
                raise _again(error)
            tried_lately = now < at + 2 * TURNED_AWAY_S
        on_lost = lambda: self._lost(owner, address, held)  # noqa: E731 it is given on twice
        try:
            try:
                link = await self._connect(
                    address.ip, address.port, access=access, timeout_s=timeout_s, on_lost=on_lost
                )
            except Unreachable as error:
                # Who was killed a moment ago may still accept; the second try hears that nobody listens any more.
                if not error.accepted or tried_lately:
                    raise
                link = await self._connect(
                    address.ip, address.port, access=access, timeout_s=timeout_s, on_lost=on_lost
                )
        except LinkError as error:
            if isinstance(error, Refused) or (isinstance(error, Unreachable) and error.accepted):
                held.turned_away = (now, access, error)
            raise
        held.turned_away = None
        if not held.is_kept:
            link.close()
            raise Unreachable(f"{address} is not asked any more")
        return link

    def _lost(self, owner: Owner, address: Address, held: _Held) -> None:
        if not held.is_kept or held.tells:
            return
        loop = asyncio.get_running_loop()

        def tell() -> None:
            held.tells, held.told_at = None, loop.time()
            self._on_lost(owner, address)

        if held.told_at is None or loop.time() >= held.told_at + LOST_AGAIN_S:
            tell()
        else:
            held.tells = loop.call_at(held.told_at + LOST_AGAIN_S, tell)

    def keep(self, owner: Owner, addresses: Iterable[Address]) -> None:
        """Closes the owner's connections to anything but *addresses*: their pods are gone."""
        wanted = set(addresses)
        mine = self._held.get(owner, {})
        for address in [each for each in mine if each not in wanted]:
            mine.pop(address).end()
        if not mine:
            self._held.pop(owner, None)
        if not wanted:
            self._access.pop(owner, None)

    def close(self) -> None:
        for owner in list(self._held):
            self.keep(owner, ())
        self._access.clear()


def _again(error: LinkError) -> LinkError:
    """The words of *error*, for who may not try yet: an exception that is raised twice collects both tracebacks."""
    match error:
        case NoFreeConnection() | Refused():
            return type(error)(str(error))
        case _:
            return Unreachable(str(error), accepted=True)
