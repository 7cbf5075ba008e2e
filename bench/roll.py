"""How long writes stop while every pod is recreated: `python -m bench roll [--runs N] [--rate N]`.

localkube, the operator, a RedisCluster of 3 shards of 2 and a RedisStandby, on emptyDirs; beside --rate writes
a second an annotation of the pods is edited, and a client that writes without pause by each way measures the longest
time without an acknowledgement until every pod is new. Afterwards every acknowledged write is looked for.

One JSON line a topology: cluster and proxy (the same roll), standby (by its Service). total_s: from the edit until
status says that spec is applied, the median; gaps are the longest of each run, p99 is the nearest rank.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench._localkube import localkube
from bench.failover import nearest_rank, to_ms
from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError, Refused
from tdredis.redislink.link import Link, connect
from tests.e2e.faults import Addresses, lost, passwords, tags_of, under_load
from tests.e2e.rolling import rolled, seen
from tests.e2e.world import Operator, Subject, install_crds, new_namespace, sample, standby

BATCH_S = 0.02
TRIES_AGAIN_S = 0.05
ANSWERS_S = 2.0
WAYS = {"cluster": "cluster", "proxy": "proxy", "service": "standby"}


@dataclass
class Measured:
    """Of one way, over all runs."""

    gaps_s: list[float] = field(default_factory=list)
    totals_s: list[float] = field(default_factory=list)
    written: list[float] = field(default_factory=list)  # writes a second of the load
    lost: int = 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench roll", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rate", type=int, default=5000, help="writes a second beside (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-roll-") as folder:
        found = asyncio.run(_measure(Path(folder), chosen.runs, chosen.rate))
    for way, topology in WAYS.items():
        measured = found[way]
        line = {
            "bench": "roll",
            "topology": topology,
            "gap_p50_ms": to_ms(statistics.median(measured.gaps_s)),
            "gap_p99_ms": to_ms(nearest_rank(measured.gaps_s)),
            "total_s": round(statistics.median(measured.totals_s), 1),
            "lost": measured.lost,
            "load_writes_s": round(statistics.median(measured.written)),
            "runs": chosen.runs,
        }
        print(json.dumps(line))
    return 0


async def _measure(folder: Path, runs: int, rate: int) -> dict[str, Measured]:
    found = {way: Measured() for way in WAYS}
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(localkube(folder))
        client = await stack.enter_async_context(kube.client())
        await install_crds(client)
        namespace = await stack.enter_async_context(new_namespace(client))
        await stack.enter_async_context(Operator(kube, namespace))
        for make in (sample, standby):
            subject = await Subject.create(client, make(namespace))
            for run in range(runs):
                await subject.until_ready()
                await _roll(subject, f"run-{run}", rate, found)
            await subject.delete()
    return found


async def _roll(subject: Subject, value: str, rate: int, found: dict[str, Measured]) -> None:
    async with under_load(subject) as ledgers, seen(ledgers), _Load(subject, rate) as load:
        began = time.monotonic()
        await subject.change(pod={"annotations": {"team": value}})
        await rolled(subject, value)
        total_s = time.monotonic() - began
        written = load.written / (time.monotonic() - load.began)
    missing = await lost(subject, ledgers)
    for way, ledger in ledgers.items():
        if (measured := found.get(way)) is not None:
            measured.gaps_s.append(ledger.longest_gap_s(began))
            measured.totals_s.append(total_s)
            measured.written.append(written)
            measured.lost += len(missing.get(way, ()))
    gaps = {way: round(ledger.longest_gap_s(began), 3) for way, ledger in ledgers.items()}
    print(f"{subject.name}, {value}: {total_s:.1f} s, {written:.0f} writes/s, gaps {gaps}, lost {missing}", flush=True)


class _Load:
    """Writes at an even pace, in batches, into every shard; what is refused is tried elsewhere."""

    def __init__(self, subject: Subject, rate: int) -> None:
        self._subject = subject
        self._rate = rate
        self._tasks: list[asyncio.Task[None]] = []
        self.written = 0
        self.began = 0.0

    async def __aenter__(self) -> _Load:
        resource = await self._subject.get()
        password, _ = passwords(resource)
        places = Addresses(self._subject, "redis", 6379)
        await places.refresh()
        tags = tags_of(resource) if resource["kind"] == "RedisCluster" else ("load",)
        self.began = time.monotonic()
        self._tasks = [asyncio.create_task(self._look(places))]
        self._tasks += [asyncio.create_task(self._write(tag, places, password, len(tags))) for tag in tags]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self, places: Addresses) -> None:
        while True:
            await asyncio.sleep(0.5)
            await places.refresh()

    async def _write(self, tag: str, places: Callable[[], Sequence[str]], password: str, shards: int) -> None:
        size = max(1, round(self._rate * BATCH_S / shards))
        batch = [("SET", f"load:{number}:{{{tag}}}", "x" * 100) for number in range(size)]
        link, turn, address = Link(), 0, ""
        due = time.monotonic()
        while True:
            try:
                if not link.open:
                    known = places()
                    address, turn = address or known[turn % len(known)], turn + 1
                    host, _, port = address.rpartition(":")
                    link = await connect(host, int(port), access=Access((password,)), timeout_s=ANSWERS_S)
                replies = await link.call_all(batch, timeout_s=ANSWERS_S)
            except (LinkError, IndexError):
                link.close()
                address = ""
                await asyncio.sleep(TRIES_AGAIN_S)
                continue
            refused = next((reply for reply in replies if isinstance(reply, Refused)), None)
            if refused is not None:
                link.close()
                address = str(refused).rpartition(" ")[2] if refused.code == "MOVED" else ""
                await asyncio.sleep(TRIES_AGAIN_S)
                continue
            self.written += len(replies)
            due = max(due + BATCH_S, time.monotonic() - 1.0)
            await asyncio.sleep(max(0.0, due - time.monotonic()))  # its pace
