"""How long writes stop when a primary is killed: `python -m bench failover [--runs N] [--busy N]`.

ours: localkube, the operator, a RedisCluster and a RedisStandby; the primary's process is killed (SIGKILL), and a
client that writes without pause measures the longest time without an acknowledgement: in a cluster by its own protocol
and through the proxy, in a standby by the Service and by the Sentinels.
engine: the same processes with the same timeouts (5 s) and nobody to help them, in the same run.

--busy N: all of it twice, first on the machine as it is, then beside N processes that spin, at our own niceness.

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
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis.crc import key_slot

from bench import _bare
from bench._localkube import localkube
from tdredis.kube.client import Client
from tdredis.kube.resources import PODS
from tdredis.redis.slots import parse_slots
from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError
from tdredis.redislink.link import connect
from tests.chaos.ledger import ByCluster, BySentinel, Door, Ledger
from tests.e2e.world import BIN, Kube, Operator, Subject, eventually, install_crds, new_namespace, sample, standby

HEALS_S = 60.0
BEFORE, AFTER = 50, 100  # acknowledgements that are waited for
Gaps = dict[str, list[float]]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench failover", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--engine-runs", type=int, help="default: as many as --runs")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="measure again beside N spinning processes")
    chosen = parser.parse_args(arguments)
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
    return await _ours(folder, runs), {"cluster": cluster, "standby": pair}


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


async def _ours(folder: Path, runs: int) -> Gaps:
    gaps: Gaps = {"cluster": [], "proxy": [], "standby": [], "sentinel": []}
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(localkube(folder))
        client = await stack.enter_async_context(kube.client())
        await install_crds(client)
        namespace = await stack.enter_async_context(new_namespace(client))
        await stack.enter_async_context(Operator(kube, namespace))
        cluster = await Subject.create(client, sample(namespace))
        pair = await Subject.create(client, standby(namespace))
        for run in range(runs):
            await cluster.until_ready()
            await _kill_in_cluster(kube, client, cluster, run, gaps)
            await pair.until_ready()
            await _kill_in_standby(kube, client, pair, run, gaps)
            print(
                f"ours, run {run + 1} of {runs}: " + ", ".join(f"{n} {g[-1]:.3f} s" for n, g in gaps.items()),
                flush=True,
            )
        await cluster.delete()
        await pair.delete()
    return gaps


async def _kill_in_cluster(kube: Kube, client: Client, cluster: Subject, run: int, gaps: Gaps) -> None:
    resource = await cluster.get()
    shard = resource["status"]["shards"][run % 3]
    slots = parse_slots(resource["status"]["slots"][shard["name"]])
    tag = next(f"t{n}" for n in range(100_000) if key_slot(f"t{n}".encode()) in slots)
    nodes = [f"{pod['status']['podIP']}:6379" for pod in (await cluster.pods()).values()]
    direct = Ledger(f"direct{run}", ByCluster(lambda: nodes, "abc"), (tag,))
    proxy = Ledger(f"proxy{run}", Door(resource["status"]["clusterIP"], "abc"), (tag,))
    await _kill_under(kube, cluster, shard["primary"], direct, proxy)
    gaps["cluster"].append(direct.longest_gap_s())
    gaps["proxy"].append(proxy.longest_gap_s())
    await _make_anew(client, cluster, shard["primary"])


async def _kill_in_standby(kube: Kube, client: Client, pair: Subject, run: int, gaps: Gaps) -> None:
    resource = await pair.get()
    primary = resource["status"]["shards"][0]["primary"]
    addresses = [f"{pod['status']['podIP']}:26379" for pod in (await pair.pods("sentinel")).values()]
    service = Ledger(f"service{run}", Door(resource["status"]["clusterIP"], "123"))
    sentinel = Ledger(f"sentinel{run}", BySentinel(lambda: addresses, "mymaster", "123"))
    await _kill_under(kube, pair, primary, service, sentinel)
    gaps["standby"].append(service.longest_gap_s())
    gaps["sentinel"].append(sentinel.longest_gap_s())
    await _make_anew(client, pair, primary)


async def _kill_under(kube: Kube, subject: Subject, pod: str, *ledgers: Ledger) -> None:
    async with AsyncExitStack() as stack:
        for ledger in ledgers:
            await stack.enter_async_context(ledger.writing())
        for ledger in ledgers:
            await ledger.until_written(BEFORE, deadline_s=HEALS_S)
        killer = await asyncio.create_subprocess_exec(
            str(BIN / "localkube"),
            *("fault", "--kubeconfig", str(kube.kubeconfig), "kill", "-c", "redis", f"{subject.namespace}/{pod}"),
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await killer.wait() == 0
        for ledger in ledgers:
            await ledger.until_written(AFTER, deadline_s=HEALS_S)


async def _make_anew(client: Client, subject: Subject, pod: str) -> None:
    """A new pod has no restart back-off, which would grow from kill to kill. By now it is no primary."""
    found = (await subject.pods())[pod]
    uid, ip = found["metadata"]["uid"], found["status"]["podIP"]

    async def demoted() -> bool:
        return await _is_replica(subject, ip)

    await eventually(demoted, f"{pod} is a replica", deadline_s=HEALS_S)
    await client.delete(PODS, subject.namespace, pod)

    async def is_new() -> bool:
        pods = await subject.pods()
        return pod in pods and pods[pod]["metadata"]["uid"] != uid

    await eventually(is_new, f"{pod} is made anew", deadline_s=HEALS_S)


async def _is_replica(subject: Subject, ip: str) -> bool:
    password = (await subject.get())["spec"]["secret"]
    try:
        link = await connect(ip, 6379, access=Access((password,)), timeout_s=1)
        try:
            role = await link.call("ROLE", timeout_s=1)
        finally:
            link.close()
    except LinkError:
        return False  # its container is not started again yet
    return isinstance(role, list) and role[0] == b"slave"
