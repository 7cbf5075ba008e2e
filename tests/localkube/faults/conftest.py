"""A whole localkube with pods on it, and the words in which the tests of faults speak."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from localkube.cluster import Cluster
from localkube.faults import Faults
from localkube.kubelet.backoff import Pace
from tests.kit import waiting

Obj = dict[str, Any]
DEADLINE_S = 20.0


@dataclass
class House:
    cluster: Cluster
    http: aiohttp.ClientSession

    @property
    def faults(self) -> Faults:
        return self.cluster.faults

    def url(self, path: str) -> str:
        return self.cluster.server.url_with_token + path

    async def status_of(self, path: str, method: str = "GET", body: Obj | None = None) -> int:
        async with self.http.request(method, self.url(path), json=body) as answer:
            await answer.read()
            return answer.status

    async def run(self, name: str, script: str, *, node: str = "node-1", **spec: Any) -> str:
        """A pod whose container `c` runs a shell script. Returns its address once it is Ready."""
        container = {"name": "c", "image": "busybox", "command": ["sh", "-c", script]}
        bound = {"nodeName": node} if node else {}
        full = {**bound, "terminationGracePeriodSeconds": 0, "containers": [container], **spec}
        self.cluster.registry.create("pods", {"metadata": {"name": name, "namespace": "default"}, "spec": full})
        await self.until(lambda: self.is_ready(name))
        return self.address(name)

    def pod(self, name: str) -> Obj:
        return self.cluster.registry.get("pods", "default", name)

    def address(self, name: str) -> str:
        found: str = self.pod(name)["status"]["podIP"]
        return found

    def is_ready(self, name: str) -> bool:
        conditions = (self.pod(name).get("status") or {}).get("conditions") or []
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def events(self, reason: str) -> list[Obj]:
        return [one for one in self.cluster.registry.list("events") if one["reason"] == reason]

    def restarts(self, name: str) -> int:
        found: int = self.pod(name)["status"]["containerStatuses"][0]["restartCount"]
        return found

    async def until(self, condition: Callable[[], Any]) -> None:
        """Waits for what pods, nodes or events tell, or says what it saw."""
        changed = asyncio.Event()
        registry = self.cluster.registry
        ends = [registry.subscribe(one, lambda _: changed.set()) for one in ("pods", "nodes", "events")]
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not condition():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            seen = [(pod["metadata"]["name"], pod.get("status")) for pod in registry.list("pods")]
            pytest.fail(f"not within {DEADLINE_S} s; pods: {seen}")
        finally:
            for end in ends:
                end()


async def eventually(question: Callable[[], Awaitable[bool]]) -> None:
    """Asks the world outside again and again, for it sends no events."""
    await waiting.eventually(question, "the world outside says so", deadline_s=DEADLINE_S, pause_s=0.02)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with (
        Cluster(nodes=2, pace=Pace(first_s=0.3, longest_s=2.0)) as cluster,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE_S)) as http,
    ):
        yield House(cluster, http)
