"""Claims about `localkube fault`: what it holds is in force exactly as long as the command lives."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.localkube.faults.conftest import DEADLINE_S, House, eventually

LOCALKUBE = Path(sys.executable).with_name("localkube")
PODS = "/api/v1/namespaces/default/pods"


@asynccontextmanager
async def fault(house: House, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        LOCALKUBE,
        "fault",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "KUBECONFIG": str(house.cluster.kubeconfig)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        return (await process.stdout.readline()).decode().strip()


async def ends(process: asyncio.subprocess.Process) -> tuple[int, str]:
    async with asyncio.timeout(DEADLINE_S):
        rest, _ = await process.communicate()
    return process.returncode or 0, rest.decode().strip()


async def test_ctrl_c_undoes_the_fault(house: House) -> None:
    async with fault(house, "refuse", "--code", "500", "--path", "/pods") as command:
        begun = await said(command), await house.status_of(PODS)
        command.send_signal(signal.SIGINT)
        end = await ends(command)

    assert begun == ("begun: refuse code=500 path=/pods", 500)
    assert end == (0, "undone: refuse code=500 path=/pods")
    assert await house.status_of(PODS) == 200


async def test_a_killed_command_undoes_its_fault(house: House) -> None:
    async with fault(house, "refuse") as command:
        await said(command)
        command.kill()

        await eventually(lambda: answers(house, 200))


async def answers(house: House, status: int) -> bool:
    return await house.status_of(PODS) == status


async def test_a_stopped_server_comes_back_when_the_command_ends(house: House) -> None:
    async with fault(house, "stop-api") as command:
        begun = await said(command)
        with pytest.raises(OSError, match="Cannot connect"):
            await house.status_of(PODS)
        command.send_signal(signal.SIGTERM)
        end = await ends(command)

    assert begun == "begun: stop-api"
    assert end == (0, "undone: stop-api")
    assert await house.status_of(PODS) == 200


async def test_a_fault_may_have_a_time(house: House) -> None:
    async with fault(house, "refuse", "--for", "200ms") as command:
        end = await ends(command)

    assert end == (0, "begun: refuse\nundone: refuse")
    assert await house.status_of(PODS) == 200


async def test_faults_are_listed_and_cleared(house: House) -> None:
    async with fault(house, "refuse", "--path", "/nowhere") as holder:
        await said(holder)
        async with fault(house, "list") as lister:
            listed = await ends(lister)
        async with fault(house, "--clear") as clearer:
            cleared = await ends(clearer)
        end = await ends(holder)

    assert listed == (0, "1: refuse path=/nowhere")
    assert cleared == (0, "undone: 1")
    assert end == (0, "undone: refuse path=/nowhere")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("kill", "absent"), "localkube fault: there is no pod absent in namespace default"),
        (("refuse", "--percent", "300"), "localkube fault: Expected `float` <= 100.0 - at `$.fault.percent`"),
        ((), "localkube fault: say which fault; `localkube fault --help` names them"),
        (("--kubeconfig", "/nowhere", "list"), "localkube fault: /nowhere is no kubeconfig"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_sentence(
    house: House, arguments: tuple[str, ...], message: str
) -> None:
    async with fault(house, *arguments) as command:
        code, text = await ends(command)

    assert code == 1
    assert text.startswith(message)


async def test_only_the_holder_of_the_token_may_cause_faults(house: House) -> None:
    async with house.http.get(f"{house.cluster.server.url}/localkube/v1/faults") as answer:
        assert answer.status == 401
