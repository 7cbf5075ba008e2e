"""Three shards behind a real Envoy, started by our own start scripts, and a plain server to compare them with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tdredis.manifests.envoy import build_envoy_files
from tdredis.manifests.start_scripts import ENVOY
from tdredis.redis.slots import even_split
from tdredis.redislink.link import Link
from tests.kit.containers import DEADLINE_S, INNER, OUTER, Pods, connected, pods

PLAIN, PROXY = 9, 4  # the last number of their addresses


@dataclass(frozen=True, slots=True)
class Servers:
    network: Pods
    shards: tuple[Link, ...]
    plain: str  # address of the plain server; it has the proxy's password
    proxy: str  # address of Envoy


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    async with pods(folder) as network, AsyncExitStack() as stack:
        shards = await start_shards(network, stack)
        proxy = await network.run(PROXY, proxy_files(f"{network.network}.1"), "/etc/proxy/start.sh")
        plain = await network.run(PLAIN, {"/etc/plain": {"start.sh": _PLAIN}, "/data": {}}, "/etc/plain/start.sh")
        for address in (plain, proxy):
            (await connected(address, OUTER)).close()
        yield Servers(network=network, shards=shards, plain=plain, proxy=proxy)


async def start_shards(network: Pods, stack: AsyncExitStack) -> tuple[Link, ...]:
    """Primaries of a cluster that works, at .1, .2 and .3."""
    links = [await network.run_redis(number) for number in (1, 2, 3)]
    for link in links:
        stack.callback(link.close)
    for epoch, (link, slots) in enumerate(zip(links, even_split(3), strict=True), 1):
        await link.call("CLUSTER", "ADDSLOTS", *slots, timeout_s=5)
        await link.call("CLUSTER", "SET-CONFIG-EPOCH", epoch, timeout_s=5)
    for number in (2, 3):
        await links[0].call("CLUSTER", "MEET", f"{network.network}.{number}", 6379, timeout_s=5)
    async with asyncio.timeout(DEADLINE_S):
        while not all([await _works(link) for link in links]):
            await asyncio.sleep(0.02)  # between two looks, under the deadline above
    return tuple(links)


async def _works(link: Link) -> bool:
    info = str(await link.call("CLUSTER", "INFO", timeout_s=5))
    return "cluster_state:ok" in info and "cluster_known_nodes:3" in info


def proxy_files(seed: str) -> dict[str, dict[str, str]]:
    """What the proxy's pod finds where, as its ConfigMap and Secret say it."""
    return {
        "/etc/proxy": {
            **build_envoy_files(seed, upstream_auth=True, downstream_auth=True),
            "start.sh": ENVOY,
        },
        "/etc/proxy-secret": {"redis-password": INNER, "proxy-password": OUTER},
    }


_PLAIN = f"""\
exec redis-server --bind "$POD_IP" --dir /data --save "" --appendonly no --requirepass "{OUTER}" --logfile /data/log
"""
