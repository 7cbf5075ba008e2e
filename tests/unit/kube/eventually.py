"""How a test waits: for a condition, under a deadline, and it says what it saw when it gives up."""

import asyncio
import time
from collections.abc import Callable


async def eventually(condition: Callable[[], object], saw: Callable[[], object], deadline_s: float = 10.0) -> None:
    gives_up_at = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > gives_up_at:
            raise AssertionError(f"not within {deadline_s} s; saw {saw()!r}")
        await asyncio.sleep(0.002)
