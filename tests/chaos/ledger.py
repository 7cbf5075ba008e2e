"""What was acknowledged to clients, when, and which of it is missing afterwards.

A ledger writes numbers without pause through one path: a Service or proxy, the Sentinels, or a cluster's own nodes.
What fails is tried again until it succeeds, as a client that keeps working does. The longest time between two
acknowledgements is the write gap; a number that was acknowledged and cannot be read back is a lost write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError, Refused
from tdredis.redislink.link import Link, connect

PATIENCE_S = 1.0  # of one attempt: a client that waits longer would see its own patience as a gap
PACE_S = 0.004


class Path(Protocol):
    """One way to Redis. Raises LinkError for whatever goes wrong."""

    async def call(self, key: str, *words: str | int) -> object:
        """One command about *key*."""

    def close(self) -> None: ...

    @property
    def places(self) -> Callable[[], Sequence[str]] | None:
        """What tells it where to look; None: it has one address for ever."""


class Door:
    """One address for everything: a Service, or a proxy. Connects again after every error, as pools do when they are
    told that this is no primary.
    """

    def __init__(self, address: str, password: str) -> None:
        """*address*: "host:port"."""
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._password = password
        self._link: Link | None = None

    @property
    def places(self) -> None:
        return None

    async def call(self, key: str, *words: str | int, asking: bool = False) -> object:  # noqa: ARG002 a door for all keys
        """*asking*: a cluster's node sent us here for this key alone."""
        try:
            if self._link is None or not self._link.open:
                self._link = await connect(
                    self._host, self._port, access=Access((self._password,)), timeout_s=PATIENCE_S
                )
            if asking:
                _, reply = await self._link.call_all([("ASKING",), words], timeout_s=PATIENCE_S)
                if isinstance(reply, Refused):
                    raise reply
                return reply
            return await self._link.call(*words, timeout_s=PATIENCE_S)
        except LinkError:
            self.close()
            raise

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


class BySentinel:
    """Asks the Sentinels where the primary is, whenever it does not know (any more)."""

    def __init__(self, sentinels: Callable[[], Sequence[str]], master_name: str, password: str) -> None:
        """*sentinels*: "host:port" of all that there are now."""
        self.places = sentinels
        self._master_name = master_name
        self._password = password
        self._door: Door | None = None

    async def call(self, key: str, *words: str | int) -> object:
        try:
            if self._door is None:
                self._door = Door(await self._ask(), self._password)
            return await self._door.call(key, *words)
        except LinkError:
            self.close()
            raise

    async def _ask(self) -> str:
        last: LinkError = LinkError("there is no Sentinel")
        for address in self.places():
            door = Door(address, self._password)
            try:
                found = await door.call("", "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master_name)
            except LinkError as error:
                last = error
                continue
            finally:
                door.close()
            if isinstance(found, list):
                host, port = (word.decode() for word in found)
                return f"{host}:{port}"
        raise last

    def close(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None


class ByCluster:
    """A cluster's own protocol: goes where the key was last, follows redirections, and asks others when that fails."""

    def __init__(self, nodes: Callable[[], Sequence[str]], password: str) -> None:
        """*nodes*: "host:port" of all that there are now."""
        self.places = nodes
        self._password = password
        self._doors: dict[str, Door] = {}
        self._home: dict[str, str] = {}  # key's tag -> where it was last
        self._turn = 0

    async def call(self, key: str, *words: str | int) -> object:
        tag = key.partition("{")[2].partition("}")[0]
        known = self.places()
        if not known:
            raise LinkError("there is no node")
        address = self._home.get(tag) or known[self._turn % len(known)]
        asking = False
        for _ in range(5):
            try:
                reply = await self._door(address).call(key, *words, asking=asking)
            except Refused as error:
                if error.code not in ("MOVED", "ASK"):
                    self._forget(tag)
                    raise
                address, asking = str(error).rpartition(" ")[2], error.code == "ASK"
                if not asking:
                    self._home[tag] = address
                continue
            except LinkError:
                self._forget(tag)
                self._home = {each: home for each, home in self._home.items() if home != address}
                raise
            if not asking:
                self._home[tag] = address
            return reply
        self._forget(tag)
        raise LinkError(f"{key} is sent from node to node")

    def _door(self, address: str) -> Door:
        return self._doors.setdefault(address, Door(address, self._password))

    def _forget(self, tag: str) -> None:
        self._home.pop(tag, None)
        self._turn += 1

    def close(self) -> None:
        for door in self._doors.values():
            door.close()


@dataclass
class Ledger:
    """Writes number after number; *tags* put the keys into different shards, in turn."""

    name: str
    path: Path
    tags: Sequence[str] = ("ledger",)
    acknowledged: dict[int, float] = field(default_factory=dict)  # number -> monotonic seconds
    failures: int = 0
    last_error: str = ""

    def key(self, number: int) -> str:
        return f"{self.name}:{number}:{{{self.tags[number % len(self.tags)]}}}"

    async def run(self) -> None:
        """Writes until cancelled."""
        number = 0
        while True:
            key = self.key(number)
            try:
                reply = await self.path.call(key, "SET", key, number)
            except LinkError as error:
                self.failures += 1
                self.last_error = str(error)
                await asyncio.sleep(PACE_S)
                continue
            if reply == b"OK":
                self.acknowledged[number] = time.monotonic()
                number += 1
            await asyncio.sleep(PACE_S)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Ledger]:
        """Writes in the background."""
        task = asyncio.create_task(self.run(), name=f"ledger {self.name}")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait({task})
            self.path.close()

    @property
    def last_s(self) -> float:
        """When the last write was acknowledged (monotonic); 0 before the first."""
        return self.acknowledged[len(self.acknowledged) - 1] if self.acknowledged else 0.0

    def longest_gap_s(self, since: float = 0.0) -> float:
        """The longest time between two acknowledgements, of which the later came after *since* (monotonic)."""
        times = list(self.acknowledged.values())
        return max((later - earlier for earlier, later in pairwise(times) if later >= since), default=0.0)

    async def until_written(self, count: int, *, deadline_s: float) -> None:
        """Waits until *count* more are acknowledged. Raises AssertionError with what it saw when time is up."""
        wanted = len(self.acknowledged) + count
        end = time.monotonic() + deadline_s
        while len(self.acknowledged) < wanted:
            if time.monotonic() > end:
                missing = wanted - len(self.acknowledged)
                raise AssertionError(f"{self.name}: {missing} of {count} writes missing; last error: {self.last_error}")
            await asyncio.sleep(0.005)

    async def missing(self, path: Path, *, deadline_s: float = 60.0) -> tuple[int, ...]:
        """Numbers that were acknowledged and are not there: the lost writes. Raises LinkError when time is up."""
        end = time.monotonic() + deadline_s
        found = {number: await self._read(path, self.key(number), end) for number in self.acknowledged}
        return tuple(number for number, value in found.items() if value != str(number).encode())

    async def _read(self, path: Path, key: str, end: float) -> object:
        while True:
            try:
                return await path.call(key, "GET", key)
            except LinkError:
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(PACE_S)  # the pace of trying, under the deadline above


def describe(ledgers: Mapping[str, Ledger]) -> str:
    """One line a ledger, for whoever reads why a test failed."""
    return "; ".join(
        f"{name}: {len(each.acknowledged)} written, longest gap {each.longest_gap_s():.3f} s, {each.failures} failures"
        for name, each in ledgers.items()
    )
