"""Decides that no process outlives the one that started it, not even one started in the moment of its death."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1  # prctl(2)


def tied_to(parent: int, number: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """For `subprocess`'s preexec_fn: the kernel sends *number* when the starting thread of process *parent* ends.

    bubblewrap's --die-with-parent asks for the same, but only once it runs: a parent that is killed before that leaves
    it alive. Here it is asked for before the program is executed, and then looked whether it was already too late.
    """

    def tie() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)

    return tie
