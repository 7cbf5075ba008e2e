"""How a test waits: for a condition, under a deadline, and it says what it saw when it gives up or is ended."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")
What = str | Callable[[], object]
Errors = tuple[type[Exception], ...]


@overload
async def eventually(
    ask: Callable[[], Awaitable[T]], what: What, *, deadline_s: float = ..., pause_s: float = ..., not_yet: Errors = ...
) -> T: ...


@overload
async def eventually(
    ask: Callable[[], T], what: What, *, deadline_s: float = ..., pause_s: float = ..., not_yet: Errors = ...
) -> T: ...


async def eventually(
    ask: Callable[[], Any],
    what: What,
    *,
    deadline_s: float = 10.0,
    pause_s: float = 0.002,
    not_yet: Errors = (),
) -> Any:
    """Asks until the answer is true, and returns it. *what*: what is waited for, in words, or what is to be seen of it.
    *not_yet*: errors that are answers like any other.

    Raises AssertionError with the last answer when time is up. Whoever is ended before hears of both too.
    """
    gives_up_at = time.monotonic() + deadline_s
    last: object = None
    try:
        while True:
            try:
                answer = ask()
                found = await answer if inspect.isawaitable(answer) else answer
                if found:
                    return found
                last = found
            except not_yet as error:
                last = error
            if time.monotonic() > gives_up_at:
                raise AssertionError(f"not within {deadline_s:g} s: {_words(what)}; last seen: {last!r}")
            await asyncio.sleep(pause_s)
    except asyncio.CancelledError as error:
        error.add_note(f"it waited for: {_words(what)}; last seen: {last!r}")
        raise


def _words(what: What) -> str:
    return what if isinstance(what, str) else f"{what()!r}"
