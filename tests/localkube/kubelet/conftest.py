"""A store with nodes on it, and the words in which the tests of pods speak."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localkube.kubelet import Kubelet, Nodes
from localkube.kubelet.backoff import Pace
from localkube.registry import Registry

Obj = dict[str, Any]
DEADLINE_S = 20.0


@dataclass
class House:
    """One store, one node, the namespace `default`."""

    registry: Registry
    nodes: Nodes
    folder: Path
    block: int

    @property
    def kubelet(self) -> Kubelet:
        return self.nodes.kubelet_for("node-1")

    def create(self, resource: str, obj: Obj) -> Obj:
        metadata = {"namespace": "default", **obj["metadata"]}
        return self.registry.create(resource, {**obj, "metadata": metadata})

    def run(self, *containers: Obj, name: str = "p", metadata: Obj | None = None, **spec: Any) -> Obj:
        """Creates a pod that is bound to the node."""
        full = {"nodeName": "node-1", "terminationGracePeriodSeconds": 5, "containers": list(containers), **spec}
        return self.create("pods", {"metadata": {"name": name, **(metadata or {})}, "spec": full})

    def pod(self, name: str = "p") -> Obj:
        return self.registry.get("pods", "default", name)

    def status(self, name: str = "p") -> Obj:
        status: Obj = self.pod(name).get("status") or {}
        return status

    def container(self, name: str = "c", *, pod: str = "p") -> Obj:
        status = self.status(pod)
        every = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        return next((one for one in every if one["name"] == name), {"state": {}, "restartCount": 0})

    def events(self, reason: str) -> list[Obj]:
        return [event for event in self.registry.list("events", "default") if event["reason"] == reason]

    def is_ready(self, name: str = "p") -> bool:
        return any(
            one["type"] == "Ready" and one["status"] == "True" for one in self.status(name).get("conditions", [])
        )

    async def until(self, condition: Callable[[], Any], *, within_s: float = DEADLINE_S) -> None:
        """Waits for *condition*, or says what it saw."""
        changed = asyncio.Event()
        ends = [self.registry.subscribe(one, lambda _: changed.set()) for one in ("pods", "events")]
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            seen = {pod["metadata"]["name"]: pod.get("status") for pod in self.registry.list("pods")}
            told = [f"{event['reason']}: {event['message']}" for event in self.registry.list("events")]
            pytest.fail(f"not within {within_s} s; pods: {seen}; events: {told}")
        finally:
            for end in ends:
                end()

    async def until_ready(self, name: str = "p") -> None:
        await self.until(lambda: self.is_ready(name))

    async def until_gone(self, name: str = "p") -> None:
        await self.until(lambda: self.registry.find("pods", "default", name) is None)

    async def until_ended(self, container: str = "c") -> Obj:
        """Returns how the container ended."""
        await self.until(lambda: "terminated" in self.container(container)["state"])
        ended: Obj = self.container(container)["state"]["terminated"]
        return ended

    async def until_said(self, text: str, container: str = "c", *, pod: str = "p") -> str:
        """Follows the container's log until it holds *text*; returns the log so far."""
        said = ""
        await self.until(lambda: self.container(container, pod=pod)["state"].keys() & {"running", "terminated"})
        try:
            async with asyncio.timeout(DEADLINE_S):
                async for line in self.kubelet.logs("default", pod, container, follow=True):
                    said += line.decode()
                    if text in said:
                        return said
        except TimeoutError:
            pass
        pytest.fail(f"the container never said {text!r}, but: {said!r}")

    async def said(self, container: str = "c", *, pod: str = "p", **options: Any) -> str:
        chunks = [line async for line in self.kubelet.logs("default", pod, container, **options)]
        return b"".join(chunks).decode()

    async def exec(self, *command: str, container: str = "c", pod: str = "p") -> tuple[int, str]:
        running = self.kubelet.exec("default", pod, container, list(command))
        out = b"".join([data async for _, data in running.output()])
        return await running.wait(), out.decode()


@pytest.fixture
async def house(block: int) -> AsyncIterator[House]:
    registry = Registry()
    for name in ("default", "kube-node-lease"):
        registry.create("namespaces", {"metadata": {"name": name}})
    with tempfile.TemporaryDirectory(prefix="localkube-test-") as folder:
        nodes = Nodes(registry, count=1, block=block, state_dir=Path(folder), pace=Pace(first_s=0.3, longest_s=2.0))
        nodes.start()
        yield House(registry, nodes, Path(folder), block)
        await nodes.stop()


def shell(script: str, **container: Any) -> Obj:
    """A container `c` that runs a shell script."""
    return {"name": "c", "image": "busybox", "command": ["sh", "-c", script], **container}
