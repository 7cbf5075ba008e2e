"""`make demo ONCE=1`, and the same with other manifests: the whole waking story on the screen and nothing else."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from tests.e2e.needs import LOCALKUBE
from tests.e2e.world import BIN, SAMPLE, STANDALONE_SAMPLE, STANDBY_SAMPLE

TOLD = {
    SAMPLE: (
        "assign slots 0-5460 to redis-cluster-rat-0-0",
        "attach redis-cluster-rat-2-1 to redis-cluster-rat-2-0",
        "1000 keys written and read through the proxy",
    ),
    STANDBY_SAMPLE: (
        "attach redis-standby-tom-1 to redis-standby-tom-0",
        "1000 keys written and read through the service",
    ),
    STANDALONE_SAMPLE: ("1000 keys written and read through the service",),
}


@pytest.mark.needs(LOCALKUBE)
@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem, marks=() if path is SAMPLE else pytest.mark.long) for path in TOLD]
)
async def test_the_sandbox_shows_a_sample_from_apply_to_deletion_and_leaves_nothing(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        str(BIN / "tdredis"),
        *("sandbox", "--apply", str(path), "--once"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    async with asyncio.timeout(200):
        out, _ = await process.communicate()

    text = out.decode()
    assert process.returncode == 0, text
    for line in (
        *TOLD[path],
        "nothing of it is left in Kubernetes",
        "No process, address or directory is left behind.",
    ):
        assert line in text
