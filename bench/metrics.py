"""What metrics cost: `python -m bench metrics [--resources N ...]`, a JSON line for each number of RedisClusters.

us_a_pass: CPU microseconds that a pass of a cluster of six spends on its record; pass_ms: of which it is a part, from a
snapshot to a status (sockets and parsing, which take longer, left out). us_a_question: what counting one question to
Redis takes. scrape_ms: CPU of one page; longest_ms: the longest of its pieces, for so long the event loop is held up at
most; page_mib: its size. kib_each: memory of a resource's record.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

from tdredis.controllers.series import Series
from tdredis.planning.decide import assess, plan, report
from tdredis.planning.snapshot import Key
from tdredis.runtime.metrics import Metrics
from tests.unit.planning.simulated_cluster import SimulatedCluster

TIMES = 300


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench metrics", description=__doc__)
    parser.add_argument("--resources", type=int, nargs="*", default=[100, 1000, 5000])
    for resources in parser.parse_args(arguments).resources:
        print(json.dumps(_measure(resources)), flush=True)
    return 0


def _measure(resources: int) -> dict[str, object]:
    simulated = SimulatedCluster()
    simulated.converge()
    snapshot = simulated.snapshot()
    assessment = assess(snapshot)
    made = plan(assessment)
    status = report(assessment, made)
    metrics, series = Metrics(), Series()
    metrics.add(series.parts)
    keys = [Key("RedisCluster", f"team-{number % 50}", f"redis-cluster-{number}") for number in range(resources)]

    def look() -> None:
        judged = assess(replace(snapshot, now=snapshot.now + 1))
        report(judged, plan(judged))

    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for key in keys:
        series.judged(key, assessment, made, status)
        series.passed(key, "ok")
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    pieces, page = [], 0
    begun = last = time.process_time()
    for part in metrics.parts():
        pieces.append(time.process_time() - last)
        page += len(part)
        last = time.process_time()
    return {
        "bench": "metrics",
        "resources": resources,
        "us_a_pass": round(1e6 * _each_s(lambda: series.judged(keys[0], assessment, made, status)), 1),
        "pass_ms": round(1e3 * _each_s(look), 2),
        "us_a_question": round(1e6 * _each_s(lambda: metrics.redis_call_seconds.observe(0.003)), 2),
        "scrape_ms": round(1e3 * (last - begun), 1),
        "longest_ms": round(1e3 * max(pieces), 1),
        "page_mib": round(page / 2**20, 2),
        "kib_each": round((after - before) / 1024 / resources, 2),
    }


def _each_s(work: Callable[[], object]) -> float:
    """CPU seconds of one call: the median of ten rows of them."""
    rows = []
    for _ in range(10):
        begun = time.process_time()
        for _ in range(TIMES // 10):
            work()
        rows.append((time.process_time() - begun) / (TIMES // 10))
    return statistics.median(rows)
