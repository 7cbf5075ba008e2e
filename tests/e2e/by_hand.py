"""Some of localkube's faults on a Kubernetes whose pods' processes run on this machine: signals, and packets that are
lost. Needs root. Only the words that the tests use are known.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.e2e.world import Kube, Obj

STANDS_STILL_WITHIN_S = 5.0


def _words(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    faults = parser.add_subparsers(dest="fault", required=True)
    for name in ("freeze", "kill"):
        fault = faults.add_parser(name, exit_on_error=False)
        fault.add_argument("pod")
        fault.add_argument("-c", dest="container", required=True)
    fault = faults.add_parser("cut", exit_on_error=False)
    fault.add_argument("here")
    fault.add_argument("there")
    return parser.parse_args(list(words))


async def strike(kube: Kube, *words: str) -> None:
    """`kill -c CONTAINER NAMESPACE/POD`: its process 1 gets SIGKILL. Raises AssertionError if there is none."""
    wanted = _words(words)
    assert wanted.fault == "kill", words
    pod = await _pod(kube, wanted.pod)
    first = [pid for pid in _processes(pod, wanted.container) if _is_first(pid)]
    assert first, f"no process of {wanted.pod} is on this machine"
    for pid in first:
        os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def fault(kube: Kube, *words: str) -> AsyncIterator[None]:
    """`freeze -c CONTAINER NAMESPACE/POD` or `cut SIDE SIDE`, where a side is pods with commas between."""
    wanted = _words(words)
    if wanted.fault == "freeze":
        async with _frozen(await _pod(kube, wanted.pod), wanted.container):
            yield
    else:
        here, there = [[await _pod(kube, name) for name in side.split(",")] for side in (wanted.here, wanted.there)]
        async with _cut(here, there):
            yield


async def _pod(kube: Kube, name: str) -> Obj:
    namespace, _, pod = name.partition("/")
    code, out, err = await kube.kubectl("get", "pod", "-n", namespace, pod, "-o", "json")
    assert code == 0, err
    found: Obj = json.loads(out)
    return found


def _processes(pod: Obj, container: str = "") -> list[int]:
    """Of *container*, or of all containers of the pod: those whose control group has the container's id."""
    ids = {
        each["containerID"].rpartition("/")[2]
        for each in pod["status"]["containerStatuses"]
        if container in ("", each["name"]) and each.get("containerID")
    }
    found = []
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):  # it ended while we looked
            text = path.read_text()
            if any(each in text for each in ids):
                found.append(int(path.parent.name))
    return found


def _status(pid: int, name: str) -> str:
    """A line of /proc/PID/status; "": the process has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return line.partition(":")[2].strip()
    return ""


def _is_first(pid: int) -> bool:
    return _status(pid, "NSpid").split()[-1:] == ["1"]


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@asynccontextmanager
async def _frozen(pod: Obj, container: str) -> AsyncIterator[None]:
    stopped: set[int] = set()
    try:
        async with asyncio.timeout(STANDS_STILL_WITHIN_S):
            while moving := [pid for pid in _processes(pod, container) if _status(pid, "State")[:1] not in "TZ"]:
                for pid in moving:
                    stopped.add(pid)
                    _signal(pid, signal.SIGSTOP)
                await asyncio.sleep(0.002)
        assert stopped, f"no process of {pod['metadata']['name']} is on this machine"
        yield
    finally:
        for pid in stopped.intersection(_processes(pod, container)):
            _signal(pid, signal.SIGCONT)


@asynccontextmanager
async def _cut(here: Sequence[Obj], there: Sequence[Obj]) -> AsyncIterator[None]:
    """Every packet between two pods passes the network of the pod *here*, in either direction."""
    addresses = [pod["status"]["podIP"] for pod in there]
    async with AsyncExitStack() as stack:
        for pod in here:
            inside = _processes(pod)[0]
            network = os.open(f"/proc/{inside}/ns/net", os.O_RDONLY)  # it is there for as long as somebody has it open
            stack.callback(os.close, network)
            for address in addresses:
                for rule in (("INPUT", "-s", address), ("OUTPUT", "-d", address)):
                    await _firewall(network, "-I", *rule)
                    stack.push_async_callback(_firewall, network, "-D", *rule)
        yield


async def _firewall(network: int, action: str, chain: str, *packets: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *("nsenter", f"--net=/proc/self/fd/{network}", "iptables", "-w", action, chain, *packets, "-j", "DROP"),
        pass_fds=(network,),
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
