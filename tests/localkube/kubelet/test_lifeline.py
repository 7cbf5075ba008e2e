"""A process that is started while its parent is killed dies with it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

PARENT = """
import os, signal, subprocess, sys
from localkube.kubelet.lifeline import tied_to
tie = tied_to(os.getpid())
def late():
    os.kill(os.getppid(), signal.SIGKILL)  # the parent dies between fork and the request for its death signal
    while os.getppid() == PARENT:
        pass
    tie()
PARENT = os.getpid()
if sys.argv[1] == "late":
    subprocess.Popen(["sleep", "1000", sys.argv[2]], preexec_fn=late)
else:
    subprocess.Popen(["sleep", "1000", sys.argv[2]], preexec_fn=tie)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def survivors(mark: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue  # it ended while we looked
        if command.startswith(b"sleep") and mark.encode() in command:
            found.append(process.name)
    return found


def ends(mark: str) -> bool:
    deadline = time.monotonic() + 10
    while survivors(mark) and time.monotonic() < deadline:
        time.sleep(0.01)  # between two looks, under the deadline above
    return not survivors(mark)


def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    # coreutils' sleep adds its arguments up: a number of our own tells it apart, and is none of anybody else.
    for number, when in ((f"0.{time.time_ns()}1", "in time"), (f"0.{time.time_ns()}2", "late")):
        subprocess.run([sys.executable, "-c", PARENT, when, number], timeout=30, check=False)

        assert ends(number), when
