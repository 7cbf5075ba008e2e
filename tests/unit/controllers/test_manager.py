"""What ends an operator process: whatever it cannot do without, each in turn, and never in silence."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from tdredis.controllers.manager import Manager, Settings
from tdredis.kube.client import Client
from tdredis.kube.resources import ALL
from tdredis.runtime.metrics import Metrics

pytestmark = pytest.mark.looptime
SERVED = frozenset(resource.key for resource in ALL)


class Empty:
    """An API server that has nothing, and of which nothing is heard."""

    async def list_raw(self, *_: object, **__: object) -> tuple[list[object], str]:
        return [], "1"

    async def watch(self, *_: object, **__: object) -> Any:
        await asyncio.Event().wait()
        yield b""


def manager() -> Manager:
    return Manager(cast(Client, Empty()), SERVED, Settings(leader_election=False), Metrics())


async def broken() -> None:
    await asyncio.sleep(5)  # virtual
    raise KeyError("a bug")


@pytest.mark.parametrize("part", ["caches", "pulse", "events"])
async def test_a_part_that_ends_by_a_bug_ends_the_process_and_is_named(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelet starts it anew; without the part it would go on half blind, or mute."""
    made = manager()
    match part:
        case "caches":
            run, synced = made.caches.run, made.caches.synced

            async def feed() -> None:
                task = asyncio.create_task(run())
                try:
                    await synced()
                    await broken()
                finally:
                    task.cancel()

            monkeypatch.setattr(made.caches, "run", feed)
        case "pulse":
            monkeypatch.setattr(made.pulse, "run", broken)
        case "events":
            monkeypatch.setattr(made.recorder, "_run", broken)

    with pytest.raises(KeyError, match="a bug"):
        async with asyncio.timeout(60):
            await made.run()


async def test_it_works_until_it_is_cancelled_and_leaves_nothing_running() -> None:
    before = asyncio.all_tasks()
    running = asyncio.create_task(manager().run())
    await asyncio.sleep(600)  # virtual
    assert not running.done()

    running.cancel()
    await asyncio.wait({running})

    assert asyncio.all_tasks() == before
