"""What the tests themselves promise: nothing of theirs outlives them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.e2e.world import ROOT, eventually

STARTS_ONE = """
import asyncio, sys
from pathlib import Path
from tests.e2e.world import Kube, Operator

async def main():
    kube = Kube(kubeconfig=Path("none"), folder=Path(sys.argv[1]))
    operator = Operator(kube, "n", program=(sys.executable, "-c", "import signal; signal.pause()"))
    await operator.start()
    print(operator.process.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_an_operator_goes_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTS_ONE, str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert run.stdout is not None
    async with asyncio.timeout(30):
        pid = int(await run.stdout.readline())
    assert is_alive(pid)

    run.send_signal(signal.SIGKILL)
    await run.wait()

    async def gone() -> bool:
        return not is_alive(pid)

    try:
        await eventually(gone, "the operator is gone", deadline_s=10)
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
