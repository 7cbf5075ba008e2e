"""Claims about faults of processes: killed, frozen, and going on as if nothing had been."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from pathlib import Path

import pytest

from localkube.faults import BadFault
from localkube.faults.menu import Freeze, Refuse
from localkube.faults.processes import processes_of
from tests.localkube.faults.conftest import House, eventually

SERVER = "exec redis-server --bind $(hostname -i) --port 6379 --protected-mode no --save ''"


def states(house: House, pod: str) -> set[str]:
    first = house.cluster.kubelet_for("node-1").pid("default", pod, None)
    return {Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in processes_of(first)}


async def ping(address: str, within_s: float = 0.2) -> bool:
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection(address, 6379)
            try:
                writer.write(b"PING\r\n")
                return await reader.readline() == b"+PONG\r\n"
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def restarted(house: House, times: int) -> bool:
    return house.restarts("p") == times


async def test_a_killed_process_is_started_again(house: House) -> None:
    await house.run("p", "exec sleep 1000")

    house.faults.kill("p")

    await house.until(lambda: house.restarts("p") == 1)
    ended = house.pod("p")["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert ended["exitCode"] == 137


async def test_a_container_that_is_over_its_memory_limit_says_so_and_the_next_end_does_not(house: House) -> None:
    await house.run("p", "exec sleep 1000")
    for count, oom in enumerate((True, False), start=1):
        house.faults.kill("p", oom=oom)
        await house.until(partial(restarted, house, count))
        ended = house.pod("p")["status"]["containerStatuses"][0]["lastState"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled" if oom else "Error")
    with pytest.raises(BadFault, match="no other signal"):
        house.faults.kill("p", signal="USR1", oom=True)


async def test_any_signal_can_be_sent(house: House) -> None:
    await house.run("p", "trap 'exit 7' USR1; while :; do sleep 0.05; done")
    await eventually(lambda: catches(house, signal.SIGUSR1))

    house.faults.kill("default/p", signal="USR1")

    await house.until(lambda: house.restarts("p") == 1)
    assert house.pod("p")["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 7


async def catches(house: House, number: signal.Signals) -> bool:
    return bool(caught(house) >> (number - 1) & 1)


def caught(house: House) -> int:
    first = house.cluster.kubelet_for("node-1").pid("default", "p", None)
    lines = Path(f"/proc/{first}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("SigCgt")).split()[1], 16)


async def test_a_process_is_found_by_its_name(house: House) -> None:
    await house.run("p", "sleep 1000; exit 5")
    await eventually(lambda: names_hold(house, "sleep"))

    house.faults.kill("p", process="sleep")

    await house.until(lambda: house.restarts("p") == 1)
    assert house.pod("p")["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 5


def names(house: House) -> set[str]:
    first = house.cluster.kubelet_for("node-1").pid("default", "p", None)
    return {Path(f"/proc/{pid}/comm").read_text().strip() for pid in processes_of(first)}


async def names_hold(house: House, name: str) -> bool:
    return name in names(house)


async def test_a_frozen_pod_accepts_and_does_not_answer_and_goes_on_when_thawed(house: House) -> None:
    address = await house.run("p", SERVER)
    await eventually(lambda: ping(address))

    async with house.faults.frozen("p"):
        during = await ping(address), states(house, "p")

    await eventually(lambda: ping(address, 5.0))
    assert during == (False, {"T"})
    assert house.restarts("p") == 0


async def test_all_processes_of_a_frozen_container_stand_still(house: House) -> None:
    await house.run("p", "sleep 1000 & sleep 1000 & wait")

    async with house.faults.frozen("p", container="c"):
        during = states(house, "p")

    assert during == {"T"}
    assert "T" not in states(house, "p")


async def test_a_frozen_pod_that_is_killed_meanwhile_is_no_trouble(house: House) -> None:
    await house.run("p", "exec sleep 1000")

    async with house.faults.frozen("p"):
        house.faults.kill("p")
        await house.until(lambda: house.restarts("p") == 1)

    assert house.faults.standing == []


@pytest.mark.parametrize(
    ("pod", "number", "message"),
    [
        ("absent", "KILL", "there is no pod absent in namespace default"),
        ("p", "BANG", "BANG is no signal"),
        ("a/b/c", "KILL", "'a/b/c' is no pod: write NAME or NAMESPACE/NAME"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_sentence(house: House, pod: str, number: str, message: str) -> None:
    await house.run("p", "exec sleep 1000")

    with pytest.raises(BadFault, match=message):
        house.faults.kill(pod, signal=number)


async def test_the_end_of_localkube_undoes_what_is_in_force(house: House) -> None:
    await house.run("p", "exec sleep 1000")
    faults = (Freeze(pod="p"), Refuse(percent=100))
    standing = [await house.faults.begin(fault) for fault in faults]

    undone = await house.faults.clear()

    assert undone == 2
    assert all(one.undone.is_set() for one in standing)
    assert "T" not in states(house, "p")
