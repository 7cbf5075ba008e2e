"""A store with the controllers a test asks for, and no kubelet: the test itself says what its pods are doing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from localkube.controllers import Settings
from localkube.registry import Registry, time_text

Obj = dict[str, Any]
DEADLINE_S = 10.0


class Controller(Protocol):
    def start(self) -> None: ...

    async def stop(self) -> None: ...


class World:
    def __init__(self, folder: Path, block: int) -> None:
        self.registry = Registry()
        self.settings = Settings(block=block, state_dir=folder)
        self.registry.create("namespaces", {"metadata": {"name": "default"}})
        self._running: list[Controller] = []
        self._written = asyncio.Event()
        self.registry.on_commit(lambda *_: self._written.set())

    def start(self, *kinds: Callable[[Registry, Settings], Controller]) -> None:
        for kind in kinds:
            controller = kind(self.registry, self.settings)
            controller.start()
            self._running.append(controller)

    async def stop(self) -> None:
        for controller in reversed(self._running):
            await controller.stop()

    def create(self, resource: str, name: str, /, *, metadata: Obj | None = None, **content: Any) -> Obj:
        head = {"name": name, "namespace": "default", **(metadata or {})}
        return self.registry.create(resource, {"metadata": head, **content})

    def change(self, resource: str, name: str, /, *, subresource: str | None = None, **content: Any) -> Obj:
        """Replaces whole parts of an object, such as `spec` or `status`."""
        known = self.registry.get(resource, "default", name)
        return self.registry.update(resource, {**known, **content}, subresource=subresource)

    def find(self, resource: str, name: str) -> Obj | None:
        return self.registry.find(resource, "default", name)

    def get(self, resource: str, name: str) -> Obj:
        return self.registry.get(resource, "default", name)

    def names(self, resource: str) -> list[str]:
        return [obj["metadata"]["name"] for obj in self.registry.list(resource, "default")]

    def pod(self, name: str, /, *, metadata: Obj | None = None, **spec: Any) -> Obj:
        """A pod on node-1; nobody runs it."""
        containers = [{"name": "c", "image": "redis:7"}]
        full = {"nodeName": "node-1", "containers": containers, **spec}
        return self.create("pods", name, metadata=metadata, spec=full)

    def runs(self, name: str, *, ip: str = "127.0.0.1", ready: bool = True, phase: str = "Running") -> Obj:
        """As a kubelet would say it."""
        said = {"type": "Ready", "status": str(ready), "lastTransitionTime": time_text(self.registry.now())}
        return self.change(
            "pods", name, subresource="status", status={"phase": phase, "podIP": ip, "conditions": [said]}
        )

    def ends(self, name: str) -> None:
        """A kubelet has stopped the pod."""
        self.registry.delete("pods", "default", name, grace_s=0)

    async def until(self, condition: Callable[[], Any], *, within_s: float = DEADLINE_S) -> None:
        """Waits for *condition*, asked after every write, or says what is stored."""
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    self._written.clear()
                    await self._written.wait()
        except TimeoutError:
            stored = [f"{resource}: {obj}" for resource, _, obj in self.registry.everything() if obj is not None]
            pytest.fail("\n".join([f"not within {within_s} s; stored:", *stored]))

    async def settled(self) -> None:
        """Until the controllers have nothing more to write: several whole turns of the loop without a write."""
        quiet = 0
        async with asyncio.timeout(DEADLINE_S):
            while quiet < 20:
                before = self.registry.version
                await asyncio.sleep(0)
                quiet = quiet + 1 if self.registry.version == before else 0


@pytest.fixture
async def world(tmp_path: Path, block: int) -> AsyncIterator[World]:
    made = World(tmp_path, block)
    yield made
    await made.stop()
