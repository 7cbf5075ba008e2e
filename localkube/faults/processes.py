"""Which processes of this machine a container is, and what a signal to them does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from localkube.errors import ApiError
from localkube.faults.menu import BadFault, Freeze, Kill, signal_named
from localkube.faults.targets import find_pod, node_of
from localkube.kubelet import Nodes
from localkube.registry import Registry

STANDS_STILL_WITHIN_S = 5.0
LOOK_S = 0.002


def kill(registry: Registry, nodes: Nodes, fault: Kill) -> None:
    """Raises BadFault."""
    number = signal_named(fault.signal)
    pod = find_pod(registry, fault.pod)
    kubelet = nodes.kubelet_for(node_of(pod))
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    try:
        if fault.oom:
            if fault.process is not None or number != signal.SIGKILL:
                raise BadFault("oom kills process 1, and with no other signal")
            kubelet.kill_for_memory(namespace, name, fault.container)
            return
        if fault.process is None:
            kubelet.signal(namespace, name, fault.container, number)
            return
        first = kubelet.pid(namespace, name, fault.container)
    except ApiError as error:
        raise BadFault(error.message) from error
    called = [pid for pid in processes_of(first) if _name_of(pid) == fault.process]
    if not called:
        raise BadFault(f"no process of pod {name} is called {fault.process}")
    for pid in called:
        _signal(pid, number)


@contextlib.asynccontextmanager
async def frozen(registry: Registry, nodes: Nodes, fault: Freeze) -> AsyncIterator[None]:
    """Raises BadFault."""
    pod = find_pod(registry, fault.pod)
    kubelet = nodes.kubelet_for(node_of(pod))
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    names = [fault.container] if fault.container else [one["name"] for one in pod["spec"]["containers"]]
    try:
        firsts = [kubelet.pid(namespace, name, one) for one in names]
    except ApiError as error:
        raise BadFault(error.message) from error
    stopped: dict[int, int] = {}  # process id -> its pidfd: the number alone may be another process's by then
    try:
        await _still(firsts, stopped)
        yield
    finally:
        for descriptor in stopped.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGCONT)
            os.close(descriptor)


async def _still(firsts: Sequence[int], stopped: dict[int, int]) -> None:
    """Until every process stands still: a busy machine hears a signal later. Raises BadFault."""
    try:
        async with asyncio.timeout(STANDS_STILL_WITHIN_S):
            while True:
                for first in firsts:
                    _stop_all(first, stopped)
                if not any(_moves(pid) for pid in stopped):
                    return
                await asyncio.sleep(LOOK_S)
    except TimeoutError as error:
        raise BadFault(f"its processes do not stand still within {STANDS_STILL_WITHIN_S} s") from error


def _moves(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("T", "t", "Z", "X")


def _stop_all(first: int, stopped: dict[int, int]) -> None:
    # A process that is not yet stopped may start another one meanwhile: look again until there is no new one.
    while fresh := [pid for pid in processes_of(first) if pid not in stopped]:
        for pid in fresh:
            try:
                stopped[pid] = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(stopped[pid], signal.SIGSTOP)


def processes_of(pid: int) -> Iterator[int]:
    """Every process in the process-id namespace of *pid*, lowest first."""
    with contextlib.suppress(OSError):
        wanted = Path(f"/proc/{pid}/ns/pid").readlink()
        for one in sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{one}/ns/pid").readlink() == wanted:
                    yield one


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
