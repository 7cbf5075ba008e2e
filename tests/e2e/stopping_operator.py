"""The operator as it is, except that it stops (SIGSTOP) once, in a failover: `stopping_operator.py INSTANT ARGUMENTS`.

INSTANT: "planned", before the step is begun; "asked", when the process has said that it is the one that is meant.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from tdredis.cli import main
from tdredis.execute.run import Executor
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import FailOver, FailOverShard, Step
from tdredis.redislink.pool import Address, Command, LinkPool

instant = sys.argv[1]
run_step, ask = Executor.run_step, LinkPool.ask
stops_at = ""


def stop(now: str) -> None:
    global stops_at  # noqa: PLW0603 it stops once
    if stops_at == now:
        stops_at = "never again"
        os.kill(os.getpid(), signal.SIGSTOP)


async def run_step_and_stop(self: Executor, key: Key, step: Step, *, password: str) -> None:
    global stops_at  # noqa: PLW0603
    if isinstance(step, FailOver | FailOverShard) and not stops_at:
        stops_at = instant
    stop("planned")
    await run_step(self, key, step, password=password)


async def ask_and_stop(
    self: LinkPool[Key], owner: Key, address: Address, commands: Sequence[Command], *, password: str, timeout_s: float
) -> list[object]:
    replies = await ask(self, owner, address, commands, password=password, timeout_s=timeout_s)
    stop("asked")
    return replies


Executor.run_step = run_step_and_stop  # type: ignore[method-assign] # that is what this file is for
LinkPool.ask = ask_and_stop  # type: ignore[method-assign, assignment]

sys.exit(main(sys.argv[2:]))
