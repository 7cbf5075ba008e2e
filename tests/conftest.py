"""Decides which tests may run beside each other: all, except one that measures, which has the machine for itself."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator

import pytest


def pytest_sessionstart() -> None:
    """No loop of nobody: looptime asks for the present one also where a test has none, the first to ask is given a new
    one, and whoever collects garbage later is blamed for it.
    """
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def _beside_or_alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Between the workers of one run: a test marked `alone` waits for those that run, and the others wait for it.

    Whoever comes takes the door and then the room; who wants the room alone holds the door while waiting, or a stream
    of others would never let it in.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    folder = tmp_path_factory.getbasetemp().parent  # the same for all workers of a run
    alone = request.node.get_closest_marker("alone") is not None
    with (folder / "door.lock").open("w") as door, (folder / "room.lock").open("w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
