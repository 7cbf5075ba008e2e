"""Claims about how localkube's own end ends its pods, and how a new life takes them up again."""

from __future__ import annotations

import asyncio
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from localkube.kubelet import Nodes

from .conftest import House, shell

ONE_POD = """
import asyncio, os, pathlib, sys
from localkube.kubelet import Nodes
from localkube.registry import Registry

async def main():
    registry = Registry()
    registry.create("namespaces", {"metadata": {"name": "default"}})
    nodes = Nodes(registry, count=1, block=int(sys.argv[2]), state_dir=pathlib.Path(sys.argv[1]))
    nodes.start()
    container = {
        "name": "c", "image": "busybox", "command": ["sh", "-c", "sleep 1000 & echo $POD_IP; id -u; wait"],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "securityContext": {"runAsUser": 33} if sys.argv[3] == "33" else {},
    }
    registry.create("pods", {"metadata": {"name": "p", "namespace": "default"},
                             "spec": {"nodeName": "node-1", "containers": [container]}})
    kubelet = nodes.kubelet_for("node-1")
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if "running" in str(registry.get("pods", "default", "p").get("status")):
            break
    told = kubelet.logs("default", "p", "c", follow=True)
    said = [(await anext(told)).decode().strip() for _ in range(2)]
    process = kubelet.exec("default", "p", "c", ["id", "-u"])
    inside = b"".join([data async for _, data in process.output()]).decode().strip()
    print(kubelet.pid("default", "p", "c"), *said, inside, flush=True)
    await asyncio.sleep(1000)

if sys.argv[4:]:
    # After all imports: our own code and interpreter may lie where only root can read.
    os.setgroups([])
    os.setresgid(*3 * [int(sys.argv[4])])
    os.setresuid(*3 * [int(sys.argv[4])])
asyncio.run(main())
"""


def start_one_pod(folder: str, block: int, *, user: int = 0, ordinary: int | None = None) -> subprocess.Popen[str]:
    arguments = [folder, str(block), str(user), *([str(ordinary)] if ordinary else [])]
    return subprocess.Popen([sys.executable, "-c", ONE_POD, *arguments], stdout=subprocess.PIPE, text=True, cwd="/")


def wait_for_end(pid: int) -> bool:
    """Whether the process ends within the deadline."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


def read_line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


@pytest.mark.parametrize("user", [0, pytest.param(33, marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root"))])
def test_no_pod_outlives_a_killed_localkube(tmp_path: Path, block: int, user: int) -> None:
    with start_one_pod(str(tmp_path), block, user=user) as localkube:
        pid = int(read_line(localkube)[0])

        localkube.send_signal(signal.SIGKILL)

        assert wait_for_end(pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
def test_an_ordinary_user_can_run_pods(block: int) -> None:
    uid = pwd.getpwnam("nobody").pw_uid
    folder = tempfile.mkdtemp(prefix="localkube-test-")
    try:
        os.chown(folder, uid, -1)
        with start_one_pod(folder, block, ordinary=uid) as localkube:
            pid, address, shown, inside = read_line(localkube)
            localkube.kill()

            assert address.startswith("127.")
            assert (shown, inside) == ("0", "0")
            assert wait_for_end(int(pid))
    finally:
        shutil.rmtree(folder)


async def test_a_stopped_node_leaves_no_process_and_its_next_life_restarts_the_pod(house: House) -> None:
    mounts = [{"name": "v", "mountPath": "/v"}]
    house.run(
        shell("echo life >> /v/lives; cat /v/lives; sleep 1000", volumeMounts=mounts),
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    await house.until_said("life")
    await house.until_ready()
    pid = house.kubelet.pid("default", "p", "c")

    await house.nodes.stop()
    assert await asyncio.to_thread(wait_for_end, pid)
    house.nodes = Nodes(house.registry, count=1, block=house.block, state_dir=house.folder)
    house.nodes.start()
    await house.until(lambda: house.container()["restartCount"] == 1 and house.is_ready())

    assert house.container()["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    await house.until_said("life\nlife\n")
    await house.nodes.stop()


async def test_a_pod_deleted_while_its_node_was_down_goes_when_it_returns(house: House) -> None:
    house.run(shell("sleep 1000"))
    await house.until_ready()
    await house.nodes.stop()

    house.registry.delete("pods", "default", "p")
    house.nodes = Nodes(house.registry, count=1, block=house.block, state_dir=house.folder)
    house.nodes.start()

    await house.until_gone()
    await house.nodes.stop()
