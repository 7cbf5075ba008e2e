"""A localkube of a benchmark's own, in its own process."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.world import BIN, Kube

DEADLINE_S = 60.0


@asynccontextmanager
async def localkube(
    folder: Path, *, nodes: int = 3, restart_pace: float = 1.0, options: tuple[str, ...] = ()
) -> AsyncIterator[Kube]:
    kubeconfig = folder / "kubeconfig"
    with (folder / "localkube.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(BIN / "localkube"),
            *("up", "--nodes", str(nodes), "--state", str(folder / "state"), "--kubeconfig", str(kubeconfig)),
            *("--restart-pace", str(restart_pace)),
            *options,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)
        yield Kube(kubeconfig=kubeconfig, folder=folder, images={"tongduncloud/predixy:1.0": "envoyproxy/envoy:latest"})
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), DEADLINE_S)
