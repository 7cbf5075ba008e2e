"""The operator as it is, except that it dies by SIGKILL right after its Nth step: `dying_operator.py N ARGUMENTS`."""

from __future__ import annotations

import os
import signal
import sys

from tdredis.cli import main
from tdredis.execute.run import Executor
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import Step

left = int(sys.argv[1])
run_step = Executor.run_step


async def run_step_and_die(self: Executor, key: Key, step: Step, *, password: str) -> None:
    global left  # noqa: PLW0603 a process that counts its own days
    await run_step(self, key, step, password=password)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


Executor.run_step = run_step_and_die  # type: ignore[method-assign] # that is what this file is for

sys.exit(main(sys.argv[2:]))
