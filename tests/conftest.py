"""Decides which tests may run beside each other: all, except one that measures, which has the machine for itself; in
which order several workers begin with them; what one says that has run into its time limit; and how the code under test
logs.
"""

from __future__ import annotations

import asyncio
import fcntl
import inspect
import os
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TypeVar

import pytest
import structlog

BESIDE = Path(__file__).parent
WAITING = BESIDE / "e2e"
DOOR, ROOM = BESIDE, BESIDE / "kit"  # folders, of which nothing but their locks is used here
ENDS_EARLY_S = 15.0  # before pytest-timeout ends the whole worker: time to say why, and to end what was started
BEGAN = pytest.StashKey[float]()
T = TypeVar("T")


def pytest_sessionstart() -> None:
    """No loop of nobody: looptime asks for the present one also where a test has none, the first to ask is given a new
    one, and whoever collects garbage later is blamed for it.
    """
    asyncio.set_event_loop(None)
    log_plainly()


def log_plainly() -> None:
    """As structlog does by itself, but for tracebacks: where rich is installed it draws each with all variables, for a
    tenth of a second, and hundreds are logged where a test lets an hour of failing passes go by.
    """
    *others, _ = structlog.get_config()["processors"]
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, console])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """When those have been left out that are not asked for."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        waiting = [item for item in items if item.path.is_relative_to(WAITING)]
        computing = [item for item in items if not item.path.is_relative_to(WAITING)]
        items[:] = side_by_side(waiting, computing, workers)


def side_by_side(waiting: Sequence[T], computing: Sequence[T], workers: int) -> list[T]:
    """The order in which one worker begins with those that compute, and all others with those that wait for processes:
    three that compute would wait for two processors first, and the processors for three that wait in the end.

    `--dist worksteal` gives to each worker as many tests, one lot after the other, and takes from the end of a lot what
    another is to have that is through with its own.
    """
    found: list[T] = []
    left, rest = list(waiting), list(computing)
    for others in range(workers - 1, 0, -1):
        size = (len(left) + len(rest)) // (others + 1)
        first = min(size, -(-len(left) // others))
        found += [*left[:first], *rest[: size - first]]
        del left[:first], rest[: size - first]
    return [*found, *rest, *left]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Around the time limit of a test, which begins when its turn has come."""
    with beside_or_alone(alone=item.get_closest_marker("alone") is not None):
        item.stash[BEGAN] = time.monotonic()
        return (yield)


@contextmanager
def beside_or_alone(*, alone: bool) -> Iterator[None]:
    """Between the workers of one run: a test marked `alone` waits for those that run, and the others wait for it.

    Whoever comes takes the door and then the room; who wants the room alone holds the door while waiting, or a stream
    of others would never let it in. Every test has a time limit: so has the waiting for them.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    with locked(ROOM, DOOR, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
        yield


@contextmanager
def locked(room: Path, door: Path, how: int) -> Iterator[None]:
    opened = [os.open(path, os.O_RDONLY) for path in (door, room)]
    try:
        fcntl.flock(opened[0], fcntl.LOCK_EX)
        fcntl.flock(opened[1], how)
        fcntl.flock(opened[0], fcntl.LOCK_UN)
        yield
    finally:
        for each in opened:
            os.close(each)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that waits for too long is ended where it waits: its traceback shows the line, and `eventually` tells for
    what. Where the loop itself is stuck, pytest-timeout shows all stacks and ends the worker.
    """
    if isinstance(item, pytest.Function) and (limit_s := _limit_s(item)) and inspect.iscoroutinefunction(item.obj):
        item.obj = ended_after(limit_s - ENDS_EARLY_S - (time.monotonic() - item.stash[BEGAN]), item.obj)
    return (yield)


def _limit_s(item: pytest.Item) -> float:
    """As pytest-timeout reads it; 0: none, or its time is virtual, and it waits for no clock on the wall."""
    if item.get_closest_marker("looptime"):
        return 0.0
    marker = item.get_closest_marker("timeout")
    if marker and marker.args:
        return float(marker.args[0])
    return float(item.config.getoption("timeout", None) or item.config.getini("timeout") or 0)


def ended_after(limit_s: float, test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Raises TimeoutError from where *test* waited when *limit_s* was over."""

    @wraps(test)
    async def in_time(*args: object, **kwargs: object) -> None:
        async with asyncio.timeout(limit_s):
            await test(*args, **kwargs)

    return in_time
