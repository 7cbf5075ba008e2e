"""The operator as it is, except that it dies by SIGKILL right after its Nth step: `dying_operator.py N ARGUMENTS`."""

from __future__ import annotations

import os
import signal
import sys

from tdredis.cli import main
from tdredis.execute.objects import ObjectWriter
from tdredis.execute.run import Executor
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import ObjectStep, RedisStep

left = int(sys.argv[1])
run_step, carry_out = Executor.run_step, ObjectWriter.carry_out


def count() -> None:
    global left  # noqa: PLW0603 a process that counts its own days
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


async def run_step_and_die(self: Executor, key: Key, step: RedisStep) -> bool:
    is_done = await run_step(self, key, step)
    count()
    return is_done


async def carry_out_and_die(self: ObjectWriter, key: Key, step: ObjectStep) -> None:
    await carry_out(self, key, step)
    count()


Executor.run_step = run_step_and_die  # type: ignore[method-assign] # that is what this file is for
ObjectWriter.carry_out = carry_out_and_die  # type: ignore[method-assign]

sys.exit(main(sys.argv[2:]))
