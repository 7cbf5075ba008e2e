"""How a command is started in a container: without a copy of localkube, and so that it goes with it."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from .conftest import House, shell


async def test_localkube_is_not_copied_for_a_command(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python copies its process for whatever is to run in the copy before the program does. Every connection of every
    Service waits for that, and probes are many.
    """
    house.run(shell("sleep 1000"))
    await house.until_ready()
    asked: list[dict[str, Any]] = []
    start = subprocess.Popen.__init__

    def told(self: subprocess.Popen[bytes], *args: Any, **options: Any) -> None:
        asked.append(options)
        start(self, *args, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", told)

    assert await house.exec("echo", "here") == (0, "here\n")
    assert [options.get("preexec_fn") for options in asked] == [None]
