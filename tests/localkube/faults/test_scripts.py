"""Claims: commands begin late in a pod while a fault says so, and whoever has no patience meets that."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.localkube.faults.conftest import House, eventually

LATE_S = 3.0  # more than a busy machine takes to begin a command
IDLE = "trap 'exit 0' TERM; while :; do sleep 0.05; done"


async def exec_s(house: House, *command: str) -> float:
    """How long a command takes in the pod."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    running = house.cluster.kubelet_for("node-1").exec("default", "p", "c", list(command))
    async for _ in running.output():
        pass
    assert await running.wait() == 0
    return loop.time() - began


async def test_what_is_run_in_a_pod_begins_late(house: House) -> None:
    await house.run("p", IDLE)

    async with house.faults.scripts_slowed("p", LATE_S, text="stop.sh"):
        slow, other = await exec_s(house, "sh", "-c", ": stop.sh"), await exec_s(house, "true")
    after = await exec_s(house, "sh", "-c", ": stop.sh")

    assert slow >= LATE_S
    assert other < LATE_S
    assert after < LATE_S


async def test_a_slow_hook_takes_from_the_grace_period(house: House) -> None:
    container: dict[str, Any] = {
        "name": "c",
        "image": "busybox",
        "command": ["sh", "-c", IDLE],
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "echo too late > /data/said"]}}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volumes = [{"name": "data", "hostPath": {"path": str(house.cluster.state), "type": "Directory"}}]
    await house.run("p", "", containers=[container], volumes=volumes, terminationGracePeriodSeconds=1)

    async with house.faults.scripts_slowed("default/*", 600):
        house.cluster.registry.delete("pods", "default", "p")
        await house.until(lambda: house.cluster.registry.find("pods", "default", "p") is None)

    assert not (house.cluster.state / "said").exists()


async def test_a_slow_probe_times_out(house: House) -> None:
    container: dict[str, Any] = {
        "name": "c",
        "image": "busybox",
        "command": ["sh", "-c", IDLE],
        "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1, "failureThreshold": 1},
    }
    await house.run("p", "", containers=[container])

    async with house.faults.scripts_slowed("p", 600, container="c"):
        await house.until(lambda: not house.is_ready("p"))
    await house.until(lambda: house.is_ready("p"))


async def test_a_container_itself_may_start_late(house: House) -> None:
    folder = house.cluster.state
    container: dict[str, Any] = {
        "name": "c",
        "image": "busybox",
        "command": ["sh", "-c", f"echo up >> /data/starts; {IDLE}"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volumes = [{"name": "data", "hostPath": {"path": str(folder), "type": "Directory"}}]
    await house.run("p", "", containers=[container], volumes=volumes)
    await eventually(lambda: says(folder / "starts", "up\n"))

    async with house.faults.scripts_slowed("p", 600, start=True):
        house.faults.kill("p")
        await house.until(lambda: house.restarts("p") == 1)
        assert said(folder / "starts") == "up\n"


async def says(file: Path, text: str) -> bool:
    return said(file) == text


def said(file: Path) -> str:
    return file.read_text() if file.exists() else ""
