"""How much longer twenty instances take than one of each kind: `python -m bench many [--runs N]`, on localkube.

one_of_each_s: a RedisCluster, a RedisStandby and a RedisStandalone are created at once; until the last is Ready.
twenty_s: the same for six, seven and seven of them, beside one whose image does not exist.
pods_alone_s: until the containers of the very same pods run when they are created with no operator.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from pathlib import Path

from bench._localkube import localkube
from tests.e2e.crowd import ONE_OF_EACH, TWENTY, slowest
from tests.e2e.world import install_crds, standalone

DEADLINE_S = 300.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench many", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args(arguments)
    print(json.dumps(asyncio.run(_measure(chosen.runs))))
    return 0


async def _measure(runs: int) -> dict[str, object]:
    one_of_each, twenty, alone = [], [], []
    with tempfile.TemporaryDirectory(prefix="bench-many-") as folder:
        async with localkube(Path(folder), nodes=6) as kube, kube.client() as client:
            await install_crds(client)
            for number in range(runs):
                one_of_each.append((await slowest(kube, client, ONE_OF_EACH, deadline_s=DEADLINE_S)).ready_s)
                broken = standalone("", image="no-such-redis:99")
                took = await slowest(kube, client, TWENTY, deadline_s=DEADLINE_S, beside=broken)
                twenty.append(took.ready_s)
                alone.append(took.pods_alone_s)
                print(
                    f"run {number + 1} of {runs}: one of each {one_of_each[-1]:.2f} s, twenty {twenty[-1]:.2f} s,"
                    f" their pods alone {alone[-1]:.2f} s",
                    flush=True,
                )
    return {
        "bench": "many",
        "one_of_each_s": round(statistics.median(one_of_each), 2),
        "twenty_s": round(statistics.median(twenty), 2),
        "pods_alone_s": round(statistics.median(alone), 2),
        "ratio": round(statistics.median(twenty) / statistics.median(one_of_each), 2),
        "runs": runs,
    }
