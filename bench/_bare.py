"""The engine alone: real redis-server and redis-sentinel processes on loopback, put together by direct calls."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tdredis.redis.facts import parse_info
from tdredis.redis.slots import even_split
from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError
from tdredis.redislink.link import Link, connect
from tests.kit.waiting import eventually

TIMEOUT_MS = 5000  # cluster-node-timeout, down-after-milliseconds: as the operator sets them
MASTER_NAME = "mymaster"


@dataclass
class Server:
    """One process, which may be killed and started again."""

    address: str
    command: Sequence[str]
    folder: Path
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    async def start(self) -> None:
        await asyncio.to_thread(self.folder.mkdir, parents=True, exist_ok=True)
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdout=subprocess.DEVNULL, cwd=str(self.folder)
        )

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def info(self, section: str = "replication") -> dict[str, str]:
        link = await connected(self.address)
        try:
            reply = await link.call("INFO", section, timeout_s=5)
        finally:
            link.close()
        assert isinstance(reply, bytes)
        return parse_info(reply.decode())


def redis(address: str, folder: Path, *more: str) -> Server:
    command = (
        *("redis-server", "--bind", address, "--bind-source-addr", address, "--dir", "."),
        *("--protected-mode", "no", "--repl-diskless-sync-delay", "0", *more),
    )
    return Server(address=address, command=command, folder=folder / address)


@asynccontextmanager
async def running(servers: Sequence[Server]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for server in servers:
            stack.push_async_callback(server.kill)
            await server.start()
        yield


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[list[Server]]:
    """Three primaries and their three replicas, in that order, from the first process's start to all links up."""
    addresses = _addresses(6)
    servers = [
        redis(
            address,
            folder,
            *("--cluster-enabled", "yes", "--cluster-announce-ip", address),
            *("--cluster-node-timeout", str(TIMEOUT_MS)),
        )
        for address in addresses
    ]
    async with running(servers), AsyncExitStack() as stack:
        links = [await connected(address) for address in addresses]
        for link in links:
            stack.callback(link.close)
        ids = [bytes(str(await link.call("CLUSTER", "MYID", timeout_s=5)), "utf8")[2:42].decode() for link in links]
        for number, slots in enumerate(even_split(3)):
            epoch = ("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            await links[number].call_all([epoch, ("CLUSTER", "ADDSLOTS", *slots)], timeout_s=5)
        for link, own in zip(links, addresses, strict=True):
            await link.call_all([("CLUSTER", "MEET", other, 6379) for other in addresses if other != own], timeout_s=5)
        for number in range(3):
            await eventually(lambda n=number: _attach(links[n + 3], ids[n]), "attached", pause_s=0.02)  # type: ignore[misc]
        await eventually(lambda: _all_work(links), "all work", pause_s=0.02)
        yield servers


@asynccontextmanager
async def standby(folder: Path) -> AsyncIterator[tuple[list[Server], list[Server]]]:
    """Primary and standby, and three Sentinels that know both and each other."""
    *nodes, one, two, three = _addresses(5)
    servers = [redis(nodes[0], folder), redis(nodes[1], folder, "--replicaof", nodes[0], "6379")]
    sentinels = [_sentinel(address, folder, nodes[0]) for address in (one, two, three)]
    async with running([*servers, *sentinels]):
        await eventually(lambda: _sentinels_are_ready(sentinels), "the Sentinels know everybody", pause_s=0.1)
        yield servers, sentinels


def _sentinel(address: str, folder: Path, primary: str) -> Server:
    place = folder / address
    place.mkdir(parents=True)
    (place / "sentinel.conf").write_text(
        f"port 26379\nbind {address}\nprotected-mode no\nsentinel announce-ip {address}\n"
        f"sentinel monitor {MASTER_NAME} {primary} 6379 2\n"
        f"sentinel down-after-milliseconds {MASTER_NAME} {TIMEOUT_MS}\n"
        f"sentinel failover-timeout {MASTER_NAME} 15000\n"
    )
    return Server(address=address, command=("redis-sentinel", "sentinel.conf"), folder=place)


async def _sentinels_are_ready(sentinels: Sequence[Server]) -> bool:
    for sentinel in sentinels:
        link = await connected(sentinel.address, 26379)
        try:
            row = await link.call("SENTINEL", "MASTER", MASTER_NAME, timeout_s=5)
        finally:
            link.close()
        assert isinstance(row, list)
        fields = dict(zip(row[::2], row[1::2], strict=True))
        if (fields[b"num-slaves"], fields[b"num-other-sentinels"], fields[b"flags"]) != (b"1", b"2", b"master"):
            return False
    return True


def _addresses(count: int) -> list[str]:
    network = f"127.{random.randint(32, 62)}.{random.randint(1, 250)}"  # noqa: S311 to keep runs apart
    return [f"{network}.{number}" for number in range(1, count + 1)]


async def connected(address: str, port: int = 6379) -> Link:
    """A connection to a server that is starting."""

    async def attempt() -> Link | None:
        try:
            return await connect(address, port, access=Access(("",)), timeout_s=2)
        except LinkError:
            return None

    found = await eventually(attempt, f"{address} answers", pause_s=0.01)
    assert found is not None
    return found


async def _attach(link: Link, primary: str) -> bool:
    try:
        await link.call("CLUSTER", "REPLICATE", primary, timeout_s=5)
    except LinkError:
        return False  # it has not met it yet
    return True


async def _all_work(links: list[Link]) -> bool:
    answers = [await link.call_all([("CLUSTER", "INFO"), ("INFO", "replication")], timeout_s=5) for link in links]
    for cluster_info, replication in answers:
        assert isinstance(cluster_info, bytes)
        assert isinstance(replication, bytes)
        info = parse_info(replication.decode())
        if parse_info(cluster_info.decode())["cluster_state"] != "ok" or info.get("master_link_status", "up") != "up":
            return False
    return True
