"""Claims about pods as real processes: how they begin, what they see, how they end."""

from __future__ import annotations

from .conftest import House, shell


async def test_a_pod_runs_and_completes(house: House) -> None:
    house.run(shell("echo hello; exit 0"), restartPolicy="Never")

    ended = await house.until_ended()

    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    assert house.status()["phase"] == "Succeeded"
    assert await house.said() == "hello\n"
