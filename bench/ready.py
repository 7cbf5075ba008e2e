"""How long a new cluster takes: `python -m bench ready [--runs N]`, against the same six processes started by hand.

ours: from the start of `kubectl apply` of the sample (env demo) to status.phase Ready, on localkube.
floor: six redis-server processes without any Kubernetes, slots assigned and replicas attached by direct calls, from the
first process's start until all say cluster_state:ok and all links are up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from bench._bare import cluster
from bench._localkube import localkube
from tdredis.kube.resources import REDISCLUSTERS
from tests.e2e.world import Kube, Operator, eventually, install_crds, new_namespace, sample, until_ready


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench ready", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args(arguments)
    print(json.dumps(asyncio.run(_measure(chosen.runs))))
    return 0


async def _measure(runs: int) -> dict[str, object]:
    ours, floor = [], []
    with tempfile.TemporaryDirectory(prefix="bench-ready-") as folder:
        async with localkube(Path(folder)) as kube:
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
    return '"became leader"' in await asyncio.to_thread(log.read_text)


async def _bare(folder: Path) -> float:
    started = time.monotonic()
    async with cluster(folder):
        return time.monotonic() - started
