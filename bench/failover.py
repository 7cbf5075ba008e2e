"""How long writes stop when a primary is killed: `python -m bench failover [--runs N] [--busy N] [--during WHAT]`.

ours: localkube, the operator, a RedisCluster and a RedisStandby; the primary's process is killed (SIGKILL), and a
client that writes without pause measures the longest time without an acknowledgement: in a cluster by its own protocol
and through the proxy, in a standby by the Service and by the Sentinels.
engine: the same processes with the same timeouts (5 s) and nobody to help them, in the same run.

--busy N: all of it twice, first on the machine as it is, then beside N processes that spin, at our own niceness.

--during roll|reshard|config: ours alone, while every pod is being recreated (each run kills when one more of them is
new), a fourth shard comes or goes (later in each run; any of the shards may be the one), or parameters are being set;
all of it is carried out before the next run. bound_ms: what healing.md promises of a primary that is killed; during_it:
in how many runs it was not over before the process was. The exit code is 1 where a run took longer.

One JSON line a topology; p99 is the nearest rank, which is the slowest run of up to 100. With --busy N further lines,
with how many times longer ours and the engine's p99 are than without.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from redis.crc import key_slot

from bench import _bare
from bench._localkube import localkube
from bench.failover_during import Change, Config, Quiet, Reshard, Roll, Serving, primary_of
from localkube.faults.admin import PATH, Ask, Told
from localkube.faults.menu import Kill
from tdredis.kube.kubeconfig import load_config
from tests.chaos.ledger import ByCluster, BySentinel, Door, Ledger
from tests.e2e.faults import passwords
from tests.e2e.rolling import seen
from tests.e2e.world import Kube, Operator, Subject, eventually, install_crds, new_namespace, sample, standby

HEALS_S = 60.0
BEFORE, AFTER = 50, 100  # acknowledgements that are waited for
Gaps = dict[str, list[float]]
CHANGES: Final[Mapping[str, type[Change]]] = {"roll": Roll, "reshard": Reshard, "config": Config}
PROMISED = {"cluster": 1, "proxy": 1, "standby": 2, "sentinel": 2}  # the row of healing.md
BOUNDS_S = {1: 0.3, 2: 0.5}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench failover", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--engine-runs", type=int, help="default: as many as --runs")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="measure again beside N spinning processes")
    parser.add_argument("--during", choices=CHANGES, help="kill while that goes on")
    parser.add_argument("--logs", type=Path, help="a folder that is made, and stays, of what --during leaves to read")
    chosen = parser.parse_args(arguments)
    if chosen.during:
        with ExitStack() as stack:
            folder = chosen.logs or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-failover-")))
            folder.mkdir(parents=True, exist_ok=True)
            return _during(CHANGES[chosen.during](), chosen.during, chosen.runs, folder)
    quiet = _measured(chosen.runs, chosen.engine_runs or chosen.runs)
    lines = list(_lines(quiet))
    if chosen.busy:
        with _spinning(chosen.busy):
            busy = _measured(chosen.runs, chosen.engine_runs or chosen.runs)
        lines += [
            {
                **line,
                "busy": chosen.busy,
                "ours_p99_times_quiet": round(line["ours_p99_ms"] / before["ours_p99_ms"], 2),
                "engine_p99_times_quiet": round(line["engine_p99_ms"] / before["engine_p99_ms"], 2),
            }
            for line, before in zip(_lines(busy), _lines(quiet), strict=True)
        ]
    for line in lines:
        print(json.dumps(line))
    return 0


def _during(change: Change, name: str, runs: int, folder: Path) -> int:
    ours, hits = asyncio.run(_ours(folder, runs, change))
    slowest = {topology: max(gaps) for topology, gaps in ours.items()}
    for topology, gaps in ours.items():
        row = PROMISED[topology]
        line = {
            "bench": "failover",
            "during": name,
            "topology": topology,
            "row": row,
            "ours_p50_ms": to_ms(statistics.median(gaps)),
            "ours_p99_ms": to_ms(nearest_rank(gaps)),
            "bound_ms": to_ms(BOUNDS_S[row]),
            "within": sum(gap <= BOUNDS_S[row] for gap in gaps),
            "during_it": hits[topology],
            "runs": len(gaps),
        }
        print(json.dumps(line))
    return int(any(gap > BOUNDS_S[PROMISED[topology]] for topology, gap in slowest.items()))


def _measured(runs: int, engine_runs: int) -> tuple[Gaps, Gaps]:
    with tempfile.TemporaryDirectory(prefix="bench-failover-") as folder:
        return asyncio.run(_measure(Path(folder), runs, engine_runs))


def _lines(measured: tuple[Gaps, Gaps]) -> Iterator[dict[str, Any]]:
    ours, engine = measured
    for topology, gaps in ours.items():
        alone = engine["standby" if topology in ("standby", "sentinel") else "cluster"]
        yield {
            "bench": "failover",
            "topology": topology,
            "ours_p50_ms": to_ms(statistics.median(gaps)),
            "ours_p99_ms": to_ms(nearest_rank(gaps)),
            "engine_p50_ms": to_ms(statistics.median(alone)),
            "engine_p99_ms": to_ms(nearest_rank(alone)),
            "ratio": round(statistics.median(alone) / statistics.median(gaps), 1),
            "runs": len(gaps),
        }


@contextmanager
def _spinning(count: int) -> Iterator[None]:
    """*count* processes that want a whole CPU each."""
    # They go with a run that is killed.
    spin = ("setpriv", "--pdeathsig", "KILL", sys.executable, "-c", "while True: pass")
    with ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen(spin))
            stack.callback(process.kill)
        yield


def to_ms(seconds: float) -> int:
    return round(seconds * 1000)


def nearest_rank(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


async def _measure(folder: Path, runs: int, engine_runs: int) -> tuple[Gaps, Gaps]:
    # Side by side: both mostly wait.
    cluster, pair = await asyncio.gather(
        _bare_cluster(folder / "cluster", engine_runs), _bare_standby(folder / "standby", engine_runs)
    )
    ours, _ = await _ours(folder, runs, Quiet())
    return ours, {"cluster": cluster, "standby": pair}


# ---- the engine alone


async def _bare_cluster(folder: Path, runs: int) -> list[float]:
    gaps = []
    async with _bare.cluster(folder) as servers:
        slots = [1000, 8000, 14000]  # one of each shard, as even_split splits
        for run in range(runs):
            pair = [servers[run % 3], servers[run % 3 + 3]]
            victim = await _primary_of(pair)
            path = ByCluster(lambda: [f"{server.address}:6379" for server in servers], "")
            gaps.append(await _gap_of_kill(Ledger(f"engine{run}", path, (tag_of(slots[run % 3]),)), victim))
            await victim.start()
            await eventually(lambda: _healed(servers), "the cluster is whole again", pause_s=0.2, deadline_s=HEALS_S)
            print(f"engine, cluster, run {run + 1} of {runs}: {gaps[-1]:.3f} s", flush=True)
    return gaps


async def _bare_standby(folder: Path, runs: int) -> list[float]:
    gaps = []
    async with _bare.standby(folder) as (servers, sentinels):
        for run in range(runs):
            victim = await _primary_of(servers)
            path = BySentinel(lambda: [f"{each.address}:26379" for each in sentinels], _bare.MASTER_NAME, "")
            gaps.append(await _gap_of_kill(Ledger(f"engine{run}", path), victim))
            await victim.start()
            await eventually(lambda: _healed(servers), "the standby follows", pause_s=0.2, deadline_s=HEALS_S)
            print(f"engine, standby, run {run + 1} of {runs}: {gaps[-1]:.3f} s", flush=True)
    return gaps


async def _gap_of_kill(ledger: Ledger, victim: _bare.Server) -> float:
    async with ledger.writing():
        await ledger.until_written(BEFORE, deadline_s=HEALS_S)
        await victim.kill()
        await ledger.until_written(AFTER, deadline_s=HEALS_S)
    return ledger.longest_gap_s()


async def _primary_of(servers: Sequence[_bare.Server]) -> _bare.Server:
    for server in servers:
        if (await server.info())["role"] == "master":
            return server
    raise AssertionError("no server is the primary")


async def _healed(servers: Sequence[_bare.Server]) -> bool:
    """Every process is a primary, or a replica whose link is up; and half of them are replicas."""
    infos = [await server.info() for server in servers]
    synced = [info for info in infos if info["role"] == "slave" and info["master_link_status"] == "up"]
    return 2 * len(synced) == len(servers)


def tag_of(slot: int, *, within: int = 500) -> str:
    """A hash tag whose keys live within *within* slots of *slot*."""
    return next(f"t{number}" for number in range(100_000) if abs(key_slot(f"t{number}".encode()) - slot) < within)


# ---- ours


async def _ours(folder: Path, runs: int, change: Change) -> tuple[Gaps, Counter[str]]:
    """The gaps, and how many of each way were during the change."""
    gaps: Gaps = {}
    hits: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(localkube(folder))
        client = await stack.enter_async_context(kube.client())
        await install_crds(client)
        namespace = await stack.enter_async_context(new_namespace(client))
        await stack.enter_async_context(Operator(kube, namespace))
        subjects = [await Subject.create(client, make(namespace)) for make in (sample, standby)]
        for subject in subjects:
            await subject.until_ready()
        subjects = [subject for subject in subjects if await change.prepare(subject)]
        for run in range(runs):
            for subject in subjects:
                await subject.until_ready()
                found, goes_on = await _kill_in(kube, subject, run, change)
                for way, gap in found.items():
                    gaps.setdefault(way, []).append(gap)
                    hits[way] += goes_on
            last = ", ".join(f"{way} {found[-1]:.3f} s" for way, found in gaps.items())
            print(f"ours, run {run + 1} of {runs}, {_now()}: {last}", flush=True)
        for subject in subjects:
            await subject.delete()
    return gaps, hits


async def _kill_in(kube: Kube, subject: Subject, run: int, change: Change) -> tuple[Mapping[str, float], bool]:
    """Gaps by way, of the kill and what follows: until writes go on, not until the change is carried out. And whether
    the change was under way.
    """
    resource = await subject.get()
    shards = resource["status"]["shards"]
    shard = shards[run % len(shards)]["name"]
    inner, outer = passwords(resource)
    through = Door(resource["status"]["clusterIP"], outer)
    if resource["kind"] == "RedisCluster":
        tags, nodes = change.tags(resource, shard), Serving(subject, "redis", 6379)
        ledgers = {
            "cluster": Ledger(f"direct{run}", ByCluster(nodes, inner), tags),
            "proxy": Ledger(f"proxy{run}", through, tags),
        }
    else:
        nodes = Serving(subject, "sentinel", 26379)
        ledgers = {
            "standby": Ledger(f"service{run}", through),
            "sentinel": Ledger(f"sentinel{run}", BySentinel(nodes, "mymaster", outer)),
        }
    await nodes.refresh()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(seen(ledgers))
        for ledger in ledgers.values():
            await stack.enter_async_context(ledger.writing())
        for ledger in ledgers.values():
            await ledger.until_written(BEFORE, deadline_s=HEALS_S)
        before = await primary_of(subject, shard)
        await change.begin(subject, run)
        pod = before if change.keeps_primaries else await primary_of(subject, shard)
        await nodes.refresh()  # as clients do that keep a map of the cluster
        killed_at = time.monotonic()
        print(f"{_now()}: {pod} is killed", flush=True)
        goes_on, _ = await asyncio.gather(change.goes_on(subject, run), _kill(kube, f"{subject.namespace}/{pod}"))
        for ledger in ledgers.values():
            await ledger.until_written(AFTER, deadline_s=HEALS_S)
    await change.end(subject, run, pod)
    return {way: ledger.longest_gap_s(killed_at) for way, ledger in ledgers.items()}, goes_on


def _now() -> str:
    """As the operator's log has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


async def _kill(kube: Kube, pod: str) -> None:
    """As `localkube fault kill -c redis POD`, whose own start takes longer than some changes go on."""
    address = load_config(kube.kubeconfig).server.rstrip("/") + PATH
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
        await socket.send_bytes(msgspec.json.encode(Ask(Kill(pod=pod, container="redis"))))
        told = msgspec.json.decode(await socket.receive_bytes(timeout=HEALS_S), type=Told)
        assert told.state == "done", told.text
