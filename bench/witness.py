"""What thousands of liveness connections cost, and how soon a death is known: `python -m bench witness [--links N]`.

Real redis-server processes on loopback, and the operator's own pool with a connection to each "instance" of them. A
process is killed, and the clock runs until the last of its connections has said so. Beside it, in the same run, the
floor: one connection in a pool of its own, to another process that is killed alone. The last line is JSON: bytes of
memory for a connection, CPU of a core while nothing happens, milliseconds until all of a dead process's connections are
known to be lost, and the same for the single one.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path

import uvloop

from bench._bare import Server, connected, redis, running
from tdredis.redislink.pool import Address, LinkPool

AT_ONCE = 50  # connections that are opened at the same time
REST_S = 10.0
DEADLINE_S = 60.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench witness", description=__doc__)
    parser.add_argument("--links", type=int, default=3000)
    parser.add_argument("--runs", type=int, default=20)
    chosen = parser.parse_args(arguments)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, chosen.links + 1000)), hard))
    with (
        tempfile.TemporaryDirectory(prefix="bench-witness-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        measured = runner.run(_run(Path(folder), links=chosen.links, runs=chosen.runs))
    print(json.dumps({"bench": "witness", **measured}))
    return 0


async def _run(folder: Path, *, links: int, runs: int) -> dict[str, object]:
    many = [redis(f"127.63.1.{number + 1}", folder) for number in range(runs)]
    single = [redis(f"127.63.2.{number + 1}", folder) for number in range(runs)]
    async with running([*many, *single]):
        for server in (*many, *single):
            (await connected(server.address)).close()
        before = _rss_bytes()
        pool, lost = await _hold([(server, links // runs) for server in many])
        alone, lost_alone = await _hold([(server, 1) for server in single])
        memory = _rss_bytes() - before
        began, used = time.monotonic(), time.process_time()
        await asyncio.sleep(REST_S)  # the window that is measured
        idle_pct = 100 * (time.process_time() - used) / (time.monotonic() - began)
        times = [await _kill(server, links // runs, lost) for server in many]
        floor = [await _kill(server, 1, lost_alone) for server in single]
        pool.close()
        alone.close()
    return {
        "links": links,
        "runs": runs,
        "bytes_per_link": round(memory / (links + runs)),
        "idle_cpu_pct": round(idle_pct, 2),
        "links_per_process": links // runs,
        "all_known_p50_ms": round(1000 * statistics.median(times), 2),
        "all_known_max_ms": round(1000 * max(times), 2),
        "single_p50_ms": round(1000 * statistics.median(floor), 2),
        "ratio": round(statistics.median(times) / statistics.median(floor), 2),
    }


async def _hold(wanted: list[tuple[Server, int]]) -> tuple[LinkPool[str], asyncio.Queue[str]]:
    """A pool with so many connections to each server, and the queue of addresses whose connection was lost."""
    lost: asyncio.Queue[str] = asyncio.Queue()
    pool: LinkPool[str] = LinkPool(lambda _, address: lost.put_nowait(address.ip))
    at_once = asyncio.Semaphore(AT_ONCE)

    async def hold(owner: str, address: Address) -> None:
        async with at_once:
            await pool.ask(owner, address, [("PING",)], timeout_s=DEADLINE_S)

    async with asyncio.TaskGroup() as group:
        for server, count in wanted:
            for number in range(count):
                group.create_task(hold(f"{server.address}/{number}", Address("uid", server.address)))
    gc.collect()
    return pool, lost


async def _kill(server: Server, count: int, lost: asyncio.Queue[str]) -> float:
    """Seconds from the signal until *count* connections are known to be lost."""
    assert server.process is not None
    began = time.monotonic()
    server.process.kill()
    async with asyncio.timeout(DEADLINE_S):
        for _ in range(count):
            assert await lost.get() == server.address
    took = time.monotonic() - began
    await server.process.wait()
    return took


def _rss_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()
