"""How long a new cluster takes: `python -m bench ready [--runs N]`, against the same six processes started by hand.

ours: from the start of `kubectl apply` of the sample (env demo) to status.phase Ready, on localkube.
floor: six redis-server processes without any Kubernetes, slots assigned and replicas attached by direct calls, from the
first process's start until all say cluster_state:ok and all links are up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tdredis.kube.resources import REDISCLUSTERS
from tdredis.redis.facts import parse_info
from tdredis.redis.slots import even_split
from tdredis.redislink.errors import LinkError
from tdredis.redislink.link import Link, connect
from tests.e2e.world import BIN, Kube, Operator, eventually, install_crds, new_namespace, sample, until_ready

DEADLINE_S = 60.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench ready", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args(arguments)
    print(json.dumps(asyncio.run(_measure(chosen.runs))))
    return 0


async def _measure(runs: int) -> dict[str, object]:
    ours, floor = [], []
    with tempfile.TemporaryDirectory(prefix="bench-ready-") as folder:
        async with running_localkube(Path(folder), nodes=3) as kube:
            for number in range(runs):
                floor.append(await _bare(Path(folder) / f"bare-{number}"))
                ours.append(await _apply_to_ready(kube))
                print(
                    f"run {number + 1} of {runs}: ours {ours[-1]:.2f} s, bare processes {floor[-1]:.2f} s", flush=True
                )
    return {
        "bench": "ready",
        "ours_p50_s": round(statistics.median(ours), 2),
        "ours_max_s": round(max(ours), 2),
        "floor_p50_s": round(statistics.median(floor), 2),
        "ratio": round(statistics.median(ours) / statistics.median(floor), 2),
        "runs": runs,
    }


@asynccontextmanager
async def running_localkube(folder: Path, *, nodes: int) -> AsyncIterator[Kube]:
    kubeconfig = folder / "kubeconfig"
    process = await asyncio.create_subprocess_exec(
        str(BIN / "localkube"),
        *("up", "--nodes", str(nodes), "--state", str(folder / "state"), "--kubeconfig", str(kubeconfig)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)
        yield Kube(kubeconfig=kubeconfig, folder=folder, images={"tongduncloud/predixy:1.0": "envoyproxy/envoy:latest"})
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), DEADLINE_S)


async def _apply_to_ready(kube: Kube) -> float:
    async with kube.client() as client:
        await install_crds(client)
        async with new_namespace(client) as namespace, Operator(kube, namespace) as operator:
            await eventually(lambda: _leads(operator.log), "the operator leads")
            manifest = json.dumps(sample(namespace))
            started = time.monotonic()
            code, _, error = await kube.kubectl("apply", "-f", "-", stdin=manifest)
            assert code == 0, error
            await until_ready(client, namespace)
            took = time.monotonic() - started
            await client.delete(REDISCLUSTERS, namespace, "redis-cluster-rat")
            return took


async def _leads(log: Path) -> bool:
    return '"leading"' in await asyncio.to_thread(log.read_text)


async def _bare(folder: Path) -> float:
    """Six processes on loopback addresses of their own; see the module."""
    network = f"127.{random.randint(32, 62)}.{random.randint(1, 250)}"  # noqa: S311 to keep runs apart
    addresses = [f"{network}.{number}" for number in range(1, 7)]
    async with AsyncExitStack() as stack:
        started = time.monotonic()
        for address in addresses:
            place = folder / address
            await asyncio.to_thread(place.mkdir, parents=True)
            process = await asyncio.create_subprocess_exec(
                *("redis-server", "--bind", address, "--bind-source-addr", address, "--cluster-announce-ip", address),
                *("--cluster-enabled", "yes", "--dir", str(place), "--cluster-node-timeout", "5000"),
                *("--protected-mode", "no", "--repl-diskless-sync-delay", "0"),
                stdout=subprocess.DEVNULL,
            )
            stack.push_async_callback(_end, process)
        links = [await _connected(address) for address in addresses]
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
        return time.monotonic() - started


async def _connected(address: str) -> Link:
    async def attempt() -> Link | None:
        try:
            return await connect(address, 6379, password="", timeout_s=2)
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
    for cluster, replication in answers:
        assert isinstance(cluster, bytes)
        assert isinstance(replication, bytes)
        info = parse_info(replication.decode())
        if parse_info(cluster.decode())["cluster_state"] != "ok" or info.get("master_link_status", "up") != "up":
            return False
    return True


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
