"""One Kubernetes for all end-to-end tests of a worker: localkube, or whatever E2E_KUBECONFIG names."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tdredis.kube.client import Client
from tests.e2e.world import BIN, Kube, install_crds, new_namespace
from tests.kit.engines import localkube_options

SHARED_MEMORY = "/dev/shm"
ROOM_BYTES = 4 * 2**30
ENVOY = {"tongduncloud/predixy:1.0": "envoyproxy/envoy:latest"}
# localkube plays the names of old itself; elsewhere nobody has these images.
STOCK = {
    **ENVOY,
    "tongduncloud/redis-cluster:0.2": "redis:7.0",
    "tongduncloud/redis-standby:1.0": "redis:7.0",
    "tongduncloud/sentinel-standby:latest": "redis:7.0",
    "tongduncloud/redis-exporter:1.0": "oliver006/redis_exporter:v1.45.0",
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips on a foreign Kubernetes only: what localkube lacks of a test's needs is a failure."""
    named = os.environ.get("E2E_KUBECONFIG")
    if not named:
        return
    for marker in item.iter_markers("needs"):
        for need in marker.args:
            if not need.is_met(Path(named)):
                pytest.skip(f"needs {need.what}")


def memory_folder() -> str | None:
    """Where files are in memory, if there is room: a hundred pods write thousands of small ones, and with a slow disk
    tests would wait for that and for nothing else. None: wherever temporary files go.
    """
    try:
        room = os.statvfs(SHARED_MEMORY)
    except FileNotFoundError:
        return None
    return SHARED_MEMORY if room.f_bavail * room.f_frsize >= ROOM_BYTES else None


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    folder = tmp_path_factory.mktemp("e2e")
    named = os.environ.get("E2E_KUBECONFIG")
    if named:
        yield Kube(kubeconfig=Path(named), folder=folder, images=STOCK, is_localkube=False)
        return
    kubeconfig = folder / "kubeconfig"
    # It goes with a killed test run, and its pods with it.
    command = [
        "setpriv",
        "--pdeathsig",
        "TERM",
        str(BIN / "localkube"),
        "up",
        "--nodes",
        "6",
        "--kubeconfig",
        str(kubeconfig),
        *localkube_options(),
        *os.environ.get("E2E_LOCALKUBE", "").split(),  # more options of `localkube up`
    ]
    log = folder / "localkube.log"
    with (
        tempfile.TemporaryDirectory(prefix="e2e-", dir=memory_folder()) as state,
        log.open("wb") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env={**os.environ, "TMPDIR": state}
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline(), log.read_text()
        try:
            yield Kube(kubeconfig=kubeconfig, folder=folder, images=ENVOY)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0


@pytest.fixture(scope="session")
def crds(kube: Kube) -> None:
    """The definitions, once for all tests: no test changes them."""

    async def install() -> None:
        async with kube.client() as client:
            await install_crds(client)

    asyncio.run(install())


@pytest.fixture
async def client(kube: Kube, crds: None) -> AsyncIterator[Client]:
    async with kube.client() as client:
        yield client


@pytest.fixture
async def namespace(client: Client) -> AsyncIterator[str]:
    async with new_namespace(client) as name:
        yield name
