"""How fast localkube starts, what it costs at rest, how many writes it takes, how soon watchers hear of them.

The load comes from one process, the watching is done in another, localkube is a third.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import yaml

LOCALKUBE = Path(sys.executable).with_name("localkube")
PODS_PATH = "/api/v1/namespaces/default/pods"
MAPS_PATH = "/api/v1/namespaces/default/configmaps"
WRITERS = 8
WATCHERS = 10
START_TIMES = 3
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench localkube", description=__doc__)
    parser.add_argument("--pods", type=int, default=100, metavar="N", help="at rest (default 100)")
    parser.add_argument("--rest", type=float, default=20.0, metavar="SECONDS", help="how long to watch it rest")
    parser.add_argument("--writes", type=int, default=6000, metavar="N")
    parser.add_argument("--rate", type=int, default=500, metavar="N", help="events a second for the watchers")
    parser.add_argument("--watch", type=float, default=10.0, metavar="SECONDS", help="how long to send them")
    parser.add_argument("--url", help=argparse.SUPPRESS)  # of the localkube to send events to: the load generator
    asked = parser.parse_args(arguments)
    if asked.url:
        asyncio.run(_send_events(asked.url, asked.rate, asked.watch))
        return 0
    say(f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    starts = [_start_s() for _ in range(START_TIMES)]
    with _localkube() as (process, url, _):
        say(f"start: {', '.join(f'{one:.2f}' for one in starts)} s")
        measured = asyncio.run(_measure(process.pid, url, asked))
    print(json.dumps({"start_s": round(statistics.median(starts), 2), **measured}))
    return 0


def say(text: str) -> None:
    print(text, flush=True)


def _start_s() -> float:
    with _localkube() as (_, _, took_s):
        return took_s


@contextmanager
def _localkube() -> Iterator[tuple[subprocess.Popen[bytes], str, float]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        began = time.monotonic()
        process = subprocess.Popen([LOCALKUBE, "up", "--kubeconfig", kubeconfig], stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "localkube did not start"
            took_s = time.monotonic() - began
            yield process, yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"], took_s
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


async def _measure(pid: int, url: str, asked: argparse.Namespace) -> dict[str, float]:
    took_s = await _run_pods(url, asked.pods)
    say(f"{asked.pods} pods are Ready after {took_s:.1f} s")
    cpu_pct = await _cpu_pct(pid, asked.rest)
    rss_mb = _rss_mb(pid)
    say(f"at rest: {cpu_pct:.2f} % of a core, {rss_mb:.0f} MB")
    before_s = _cpu_s(pid)
    writes_per_s = await _writes_per_s(url, asked.writes)
    # On a machine that does other things as well, only the second number says something about localkube.
    own_s = _cpu_s(pid) - before_s
    say(f"writes: {writes_per_s:.0f}/s, {asked.writes / own_s:.0f} per second of its own CPU time")
    late_ms = await _watch_ms(url, asked.rate, asked.watch)
    late_ms.sort()
    p50, p99 = (late_ms[int(len(late_ms) * share)] for share in (0.5, 0.99))
    say(f"watch: {len(late_ms)} events heard by {WATCHERS} watchers at {asked.rate} events/s")
    return {
        "idle_cpu_pct": round(cpu_pct, 2),
        "rss_mb": round(rss_mb, 1),
        "writes_per_s": round(writes_per_s),
        "watch_p50_ms": round(p50, 2),
        "watch_p99_ms": round(p99, 2),
    }


async def _run_pods(url: str, count: int) -> float:
    """Pods as operators make them: each with a server and a probe. Seconds until all are Ready."""
    probe = {"tcpSocket": {"port": 6379}, "periodSeconds": 10}
    command = ["sh", "-c", "exec redis-server --bind $(hostname -i) --save '' --protected-mode no"]
    container = {"name": "c", "image": "redis:7", "command": command, "readinessProbe": probe}
    began = time.monotonic()
    async with Client.open(url) as client:
        for number in range(count):
            body = {"metadata": {"name": f"bench-{number}"}, "spec": {"containers": [container]}}
            await client.send("POST", PODS_PATH, body)
        while True:
            pods = json.loads(await client.send("GET", PODS_PATH))["items"]
            conditions = [one for pod in pods for one in pod["status"].get("conditions") or []]
            ready = [one for one in conditions if one["type"] == "Ready" and one["status"] == "True"]
            if len(ready) == count:
                return time.monotonic() - began
            assert time.monotonic() - began < 300, f"only {len(ready)} of {count} pods became Ready"
            await asyncio.sleep(0.5)


async def _cpu_pct(pid: int, window_s: float) -> float:
    await asyncio.sleep(5.0)  # what the start of the pods left to do
    before, began = _cpu_s(pid), time.monotonic()
    await asyncio.sleep(window_s)
    return 100 * (_cpu_s(pid) - before) / (time.monotonic() - began)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def _rss_mb(pid: int) -> float:
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def _writes_per_s(url: str, count: int) -> float:
    """ConfigMaps made, then changed, by several clients at once."""
    share = count // WRITERS // 2

    async def write(writer: int) -> None:
        async with Client.open(url) as client:
            for number in range(share):
                body = {"metadata": {"name": f"write-{writer}-{number}"}, "data": {"k": "v" * 100}}
                await client.send("POST", MAPS_PATH, body)
            for number in range(share):
                path = f"{MAPS_PATH}/write-{writer}-{number}"
                await client.send("PATCH", path, {"data": {"k": "w" * 100}}, kind="application/merge-patch+json")

    began = time.monotonic()
    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    return 2 * share * WRITERS / (time.monotonic() - began)


async def _watch_ms(url: str, rate: int, seconds: float) -> list[float]:
    """How long after the writer sent each change every watcher had it, in milliseconds."""
    late_ms: list[float] = []
    expected = int(rate * seconds)

    async def watch() -> None:
        async with Client.open(url) as client:
            heard = 0
            async for line in client.lines(
                f"{MAPS_PATH}?watch=true&fieldSelector=metadata.name%3Dbench&resourceVersion=0"
            ):
                now_ns = time.monotonic_ns()
                sent_ns = json.loads(line)["object"]["data"]["at"]
                late_ms.append((now_ns - int(sent_ns)) / 1e6)
                heard += 1
                if heard == expected:
                    return

    watchers = [asyncio.create_task(watch()) for _ in range(WATCHERS)]
    command = [sys.executable, "-m", "bench", "localkube", "--url", url, "--rate", str(rate), "--watch", str(seconds)]
    writer = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    async with asyncio.timeout(seconds * 5 + 30):
        await asyncio.gather(*watchers)
        assert await writer.wait() == 0
    return late_ms


async def _send_events(url: str, rate: int, seconds: float) -> None:
    """One change after the other at an even pace; each says when it was sent."""
    count = int(rate * seconds)
    async with Client.open(url) as client:
        began = time.monotonic()
        for number in range(count):
            due = began + number / rate
            if (early_s := due - time.monotonic()) > 0:
                await asyncio.sleep(early_s)
            data = {"at": str(time.monotonic_ns()), "k": "v" * 500}
            if number == 0:
                await client.send("POST", MAPS_PATH, {"metadata": {"name": "bench"}, "data": data})
            else:
                await client.send("PATCH", f"{MAPS_PATH}/bench", {"data": data}, kind="application/merge-patch+json")


class Client:
    """The least that speaks HTTP: what is measured is the server, not the client."""

    def __init__(self, prefix: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._prefix = prefix
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Client]:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=16 * 1024 * 1024)
        try:
            yield cls(parts.path, reader, writer)
        finally:
            writer.close()

    async def send(self, method: str, path: str, body: object = None, *, kind: str = "application/json") -> bytes:
        raw = b"" if body is None else json.dumps(body).encode()
        self._writer.write(self._head(method, path, f"Content-Type: {kind}\r\nContent-Length: {len(raw)}\r\n") + raw)
        status, headers = await self._answer()
        answer = await self._reader.readexactly(int(headers["content-length"]))
        assert status in (200, 201), answer
        return answer

    async def lines(self, path: str) -> AsyncIterator[bytes]:
        """The lines of an endless answer, sent in chunks."""
        self._writer.write(self._head("GET", path, ""))
        status, _ = await self._answer()
        assert status == 200
        rest = b""
        while size := int(await self._reader.readline(), 16):
            *whole, rest = (rest + await self._reader.readexactly(size)).split(b"\n")
            await self._reader.readexactly(2)
            for line in whole:
                yield line

    def _head(self, method: str, path: str, more: str) -> bytes:
        return f"{method} {self._prefix}{path} HTTP/1.1\r\nHost: localkube\r\n{more}\r\n".encode()

    async def _answer(self) -> tuple[int, dict[str, str]]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        return int(head[0].split()[1]), headers
