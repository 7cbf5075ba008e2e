"""The operator as it is, except for one signal to itself in a failover: `stopping_operator.py SIGNAL INSTANT ...`.

SIGNAL: SIGSTOP, SIGKILL. INSTANT: "planned", before the step is begun; "asked", when the process has said that it is
the one that is meant; "done", when it has been told.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from tdredis.cli import main
from tdredis.execute.run import Executor
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import FailOver, FailOverShard, RedisStep
from tdredis.redislink.link import Link
from tdredis.redislink.pool import Command

number, instant = signal.Signals[sys.argv[1]], sys.argv[2]
run_step, ask = Executor.run_step, Executor.ask
stops_at = ""


def stop(now: str) -> None:
    global stops_at  # noqa: PLW0603 it happens once
    if stops_at == now:
        stops_at = "never again"
        os.kill(os.getpid(), number)


async def run_step_and_stop(self: Executor, key: Key, step: RedisStep) -> bool:
    global stops_at  # noqa: PLW0603
    if isinstance(step, FailOver | FailOverShard) and not stops_at:
        stops_at = instant
    stop("planned")
    is_done = await run_step(self, key, step)
    if isinstance(step, FailOver | FailOverShard):
        stop("done")
    return is_done


async def ask_and_stop(self: Executor, link: Link, commands: Sequence[Command]) -> list[object]:
    replies = await ask(self, link, commands)
    stop("asked")
    return replies


Executor.run_step = run_step_and_stop  # type: ignore[method-assign] # that is what this file is for
Executor.ask = ask_and_stop  # type: ignore[method-assign]

sys.exit(main(sys.argv[3:]))
