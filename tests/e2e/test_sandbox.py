"""What a newcomer does first: the sandbox, once through, leaves a working story on the screen and nothing else."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from tests.e2e.needs import LOCALKUBE
from tests.e2e.world import BIN, SAMPLE


@pytest.mark.needs(LOCALKUBE)
async def test_the_sandbox_shows_the_sample_from_apply_to_deletion_and_leaves_nothing() -> None:
    process = await asyncio.create_subprocess_exec(
        str(BIN / "tdredis"),
        *("sandbox", "--apply", str(SAMPLE), "--once"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    async with asyncio.timeout(200):
        out, _ = await process.communicate()

    text = out.decode()
    assert process.returncode == 0, text
    for line in (
        "assign slots 0-5460 to redis-cluster-rat-0-0",
        "attach redis-cluster-rat-2-1 to redis-cluster-rat-2-0",
        "1000 keys written and read through the proxy",
        "nothing of it is left in Kubernetes",
        "No process, address or directory is left behind.",
    ):
        assert line in text
