"""How slots move under writes, ours and redis-cli's: `python -m bench reshard [--quick] [--data D] [--pace P] ...`.

A cluster of three primaries and an empty fourth on loopback, 500,000 keys of 100 bytes (small), or four keys of 20-50
MB among them (big: a string, a list, a hash, a sorted set), and a client, a process of its own, that writes 2,000 times
a second and reads back every acknowledged write. On the same data in turn: `redis-cli --cluster rebalance`, and our
mover at each pace, each out (3 -> 4) and in (4 -> 3), the same slots. A pair is one of each; who begins changes.

One JSON line for each data, move and pace: ratio is theirs by ours in time, medians of the pairs; p99, gap (the longest
that one write waited) and CPU of all servers are the clients' and the kernel's. With --engine NAME another engine
(/tmp/engines/NAME/redis-server) whose own migration is driven: ours alone, no redis-cli.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from bench._reshard_client import slot_of
from tdredis.movers.pace import FAST, GENTLE, Pace
from tdredis.movers.progress import End
from tdredis.movers.reshard import Resharding, always
from tdredis.redis.moves import Move
from tdredis.redis.slots import SlotSet
from tests.kit.engines import engine
from tests.unit.movers.redis_cluster import ACCESS, PASSWORD, RedisCluster, redis_cluster

RATE = 2000
VALUE = b"x" * 100
PACES = {pace.name: pace for pace in (GENTLE, FAST)}
WAIT_S = 600.0


@dataclass(frozen=True)
class Run:
    """One way, out or in. *size_bytes*, *longest_ms* (of our calls): of our mover alone."""

    took_s: float
    cpu_s: float
    keys: int
    client: dict[str, float]
    size_bytes: int = 0
    longest_ms: float = 0.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench reshard", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one pair")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--data", choices=["small", "big"], action="append", help="default: both")
    parser.add_argument("--pace", choices=sorted(PACES), action="append", help="default: both")
    parser.add_argument("--keys", type=int, default=500_000)
    parser.add_argument("--engine", help="another engine, by its name under /tmp/engines")
    chosen = parser.parse_args(arguments)
    server: Path | None = None
    if chosen.engine:
        server = engine(chosen.engine)
        if server is None:
            parser.error(f"there is no /tmp/engines/{chosen.engine}/redis-server")
    pairs = 1 if chosen.quick else chosen.pairs
    for data in chosen.data or ["small", "big"]:
        with tempfile.TemporaryDirectory(prefix="bench-reshard-") as folder:
            paces = [PACES[name] for name in chosen.pace or ["gentle", "fast"]]
            lines = uvloop.run(_measure(Path(folder), data, paces, pairs=pairs, keys=chosen.keys, server=server))
        for line in lines:
            print(json.dumps(line), flush=True)
    return 0


async def _measure(
    folder: Path, data: str, paces: Sequence[Pace], *, pairs: int, keys: int, server: Path | None
) -> list[dict[str, Any]]:
    runs: dict[tuple[str, str], list[Run]] = {}
    async with redis_cluster(folder, 3, 1, server=server or "redis-server") as cluster:
        await _fill(cluster, keys)
        if data == "big":
            await _make_big_keys(cluster)
        for number in range(pairs):
            ways: list[Pace | None] = [None, *paces] if server is None else list(paces)
            for way in ways if number % 2 == 0 else reversed(ways):
                for move in ("out", "in"):
                    run = await (_theirs(cluster, move) if way is None else _ours(cluster, way, move))
                    name = way.name if way else "redis-cli"
                    runs.setdefault((name, move), []).append(run)
                    print(f"{data} {name} {move}: {run}", file=sys.stderr)
        info = await cluster.primaries[0].ask("INFO", "server")
        version = _version(info)
    return [
        {"bench": "reshard", "engine": version, "data": data, "move": move, "pace": pace.name}
        | _compare(runs[pace.name, move], runs.get(("redis-cli", move), []))
        for move in ("out", "in")
        for pace in paces
    ]


def _version(info: object) -> str:
    assert isinstance(info, bytes)
    fields = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    valkey = fields.get("valkey_version")
    return f"valkey {valkey}" if valkey else f"redis {fields['redis_version']}"


def _compare(ours: list[Run], theirs: list[Run]) -> dict[str, Any]:
    def median(values: Sequence[float]) -> float:
        return round(statistics.median(values), 2)

    line: dict[str, Any] = {
        "pairs": len(ours),
        "keys": ours[0].keys,
        "bytes": ours[0].size_bytes,
        "ours_s": median([run.took_s for run in ours]),
        "gap_ms": max(run.client["longest_ms"] for run in ours),
        "client_p99_ms": median([run.client["p99_ms"] for run in ours]),
        "longest_call_ms": max(run.longest_ms for run in ours),
        "lost": sum(run.client["lost"] for run in ours),
    }
    if theirs:
        both = list(zip(ours, theirs, strict=True))
        line |= {
            "theirs_s": median([run.took_s for run in theirs]),
            "ratio": median([b.took_s / a.took_s for a, b in both]),
            "client_p99_ratio": median([a.client["p99_ms"] / b.client["p99_ms"] for a, b in both]),
            "server_cpu_ratio": median([a.cpu_s / b.cpu_s for a, b in both]),
            "theirs_gap_ms": max(run.client["longest_ms"] for run in theirs),
        }
    return line


async def _moves(cluster: RedisCluster, move: str) -> list[Move]:
    """As many as redis-cli moves, and where it begins: out, a quarter of each of the three, the lowest slots first; in,
    a third of the fourth one to each.
    """
    names = [server.name for server in cluster.primaries]
    *owned, added = [list(slots) for slots in await cluster.owned()]
    if move == "out":
        pairs = [(name, names[3], slots[: round(len(slots) / 4)]) for name, slots in zip(names, owned, strict=False)]
    else:
        edges = [round(len(added) * number / 3) for number in range(4)]
        pairs = [(names[3], names[n], added[edges[n] : edges[n + 1]]) for n in range(3)]
    return [
        Move(source=source, target=target, slots=SlotSet(sum(1 << slot for slot in slots)), keys=0, size_bytes=0)
        for source, target, slots in pairs
    ]


async def _fill(cluster: RedisCluster, count: int) -> None:
    owners = [(server, (await server.view()).me.slots) for server in cluster.primaries]
    by_slot = {slot: server for server, slots in owners for slot in slots}
    batches: dict[str, list[Any]] = {server.name: [] for server, _ in owners}
    for number in range(count):
        key = f"key:{number}"
        server = by_slot[slot_of(key)]
        batches[server.name].append(("SET", key, VALUE))
        if len(batches[server.name]) == 5000:
            await server.link.call_all(batches[server.name], timeout_s=60)
            batches[server.name] = []
    for server, _ in owners:
        if batches[server.name]:
            await server.link.call_all(batches[server.name], timeout_s=60)


async def _make_big_keys(cluster: RedisCluster) -> None:
    """Each in one of the lowest slots, which go with every move, whoever has them."""
    names = (f"big:{number}" for number in range(100_000))
    string, items, fields, scores = [name for name in names if slot_of(name) < 100][:4]
    link = cluster.primaries[0].link
    await link.call("SET", string, os.urandom(25 << 20).hex(), timeout_s=60)  # 50 MiB
    for start in range(0, 50_000, 1000):
        await link.call("RPUSH", items, *(f"{n}:{'v' * 990}" for n in range(start, start + 1000)), timeout_s=60)
    for start in range(0, 250_000, 5000):
        pairs = (word for n in range(start, start + 5000) for word in (f"field:{n}", "v" * 90))
        await link.call("HSET", fields, *pairs, timeout_s=60)
    for start in range(0, 200_000, 5000):
        await link.call(
            "ZADD", scores, *(w for n in range(start, start + 5000) for w in (str(n / 3), f"member:{n}")), timeout_s=60
        )
    sizes = [await link.call("MEMORY", "USAGE", name, timeout_s=60) for name in (string, items, fields, scores)]
    print(f"big keys: {sizes}", file=sys.stderr)


@asynccontextmanager
async def _measured(cluster: RedisCluster, result: list[Run]) -> AsyncIterator[dict[str, float]]:
    """During the block the client writes, and CPU and time are taken. What the block adds goes into the run."""
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench._reshard_client", str(RATE), *cluster.addresses),
        env={**os.environ, "REDIS_PASSWORD": PASSWORD},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        await asyncio.sleep(1.5)  # it finds its way, and the picture before is part of none
        before = [await server.ask("DBSIZE") for server in cluster.primaries]
        cpu, began_at = _cpu_s(cluster), time.monotonic()
        more: dict[str, float] = {}
        yield more
        took_s, cpu_s = time.monotonic() - began_at, _cpu_s(cluster) - cpu
        after = [await server.ask("DBSIZE") for server in cluster.primaries]
        said, _ = await asyncio.wait_for(client.communicate(b""), WAIT_S)  # the end of its input
        moved = max(abs(int(str(a)) - int(str(b))) for a, b in zip(after, before, strict=True))
        result.append(
            Run(
                took_s=round(took_s, 2),
                cpu_s=round(cpu_s, 2),
                keys=moved,
                client=json.loads(said),
                size_bytes=int(more.get("size_bytes", 0)),
                longest_ms=more.get("longest_ms", 0.0),
            )
        )
    finally:
        if client.returncode is None:
            client.kill()
        await client.wait()


def _cpu_s(cluster: RedisCluster) -> float:
    ticks = 0
    for server in cluster.servers:
        stat = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(") ")[2].split()
        ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def _theirs(cluster: RedisCluster, move: str) -> Run:
    result: list[Run] = []
    command = ["redis-cli", "--no-auth-warning", "--cluster", "rebalance", cluster.addresses[0]]
    command += ["--cluster-use-empty-masters", "--cluster-threshold", "1"]
    if move == "in":
        command += ["--cluster-weight", f"{cluster.primaries[3].id}=0"]
    async with _measured(cluster, result):
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, "REDISCLI_AUTH": PASSWORD}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
    assert process.returncode == 0, said.decode()[-2000:]
    return result[0]


async def _ours(cluster: RedisCluster, pace: Pace, move: str) -> Run:
    result: list[Run] = []
    work = Resharding(places=cluster.places, access=ACCESS, pace=pace, may_go_on=always)
    moves = await _moves(cluster, move)
    async with _measured(cluster, result) as more:
        assert await work.run(moves) is End.DONE
        stuck = [str(key) for progress in work.progress.values() for key in progress.stuck]
        assert not stuck, stuck
        more["size_bytes"] = sum(progress.size_bytes for progress in work.progress.values())
        more["longest_ms"] = round(max(progress.longest_s for progress in work.progress.values()) * 1000, 1)
    return result[0]
