"""The client of `bench reshard`, a process of its own: paced writes to a cluster, each read back in the end.

`python -m bench._reshard_client RATE HOST:PORT...`, the password in REDIS_PASSWORD. It writes until its input ends;
then it prints one JSON line: writes, p50, p99 and longest time from when a write was due to its acknowledgement (ms),
and how many are lost.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from binascii import crc_hqx
from collections.abc import Sequence

import uvloop

from tdredis.redis.slots import SLOT_COUNT
from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError, Refused
from tdredis.redislink.link import Link, connect

WORKERS = 16
KEYS = 20_000
PATIENCE_S = 5.0


class Client:
    """One connection to each node, and where each slot was last."""

    def __init__(self, addresses: Sequence[str], home: dict[int, str]) -> None:
        self._addresses = addresses
        self._home = home
        self._links: dict[str, Link] = {}

    async def call(self, slot: int, *words: str | int) -> object:
        address, asking = self._home.get(slot, self._addresses[0]), False
        while True:
            link = await self._link(address)
            commands: list[Sequence[str | int]] = [("ASKING",), words] if asking else [words]
            reply = (await link.call_all(commands, timeout_s=PATIENCE_S))[-1]
            if not isinstance(reply, Refused):
                return reply
            if reply.code == "TRYAGAIN":
                continue
            if reply.code not in ("MOVED", "ASK"):
                raise reply
            address, asking = str(reply).rpartition(" ")[2], reply.code == "ASK"
            if not asking:
                self._home[slot] = address

    async def _link(self, address: str) -> Link:
        link = self._links.get(address)
        if link is None or not link.open:
            host, _, port = address.rpartition(":")
            access = Access((os.environ.get("REDIS_PASSWORD", ""),))
            link = self._links[address] = await connect(host, int(port), access=access, timeout_s=PATIENCE_S)
        return link


def slot_of(key: str) -> int:
    """Of a key without a tag."""
    return crc_hqx(key.encode(), 0) % SLOT_COUNT


async def work(rate: int, addresses: Sequence[str]) -> dict[str, float]:
    home: dict[int, str] = {}
    waited: list[float] = []
    tried: dict[str, set[int]] = {}  # values whose write was not acknowledged
    written: dict[str, int] = {}
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    began_at = time.monotonic()

    async def write(number: int) -> None:
        client = Client(addresses, home)
        while not ended.is_set():
            due_at = began_at + number / rate
            await asyncio.sleep(max(0.0, due_at - time.monotonic()))  # its pace
            key = f"ledger:{number % KEYS}"
            while True:
                try:
                    reply = await client.call(slot_of(key), "SET", key, number)
                except LinkError:
                    tried.setdefault(key, set()).add(number)
                    continue
                assert reply == b"OK", reply
                break
            written[key] = number
            waited.append(time.monotonic() - due_at)
            number += WORKERS

    await asyncio.gather(*(write(number) for number in range(WORKERS)))
    reader = Client(addresses, home)
    lost = 0
    for key, number in written.items():
        found = await reader.call(slot_of(key), "GET", key)
        if found != str(number).encode() and not (isinstance(found, bytes) and int(found) in tried.get(key, ())):
            lost += 1
    ordered = sorted(waited)
    return {
        "writes": len(ordered),
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
        "p99_ms": round(ordered[len(ordered) * 99 // 100] * 1000, 2),
        "longest_ms": round(ordered[-1] * 1000, 1),
        "lost": lost,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(work(int(sys.argv[1]), sys.argv[2:]))))
