"""Decides which server kubectl talks to: the one CONFORMANCE_KUBECONFIG names, else a localkube of the tests' own."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.conformance.client import Api, parse_kubeconfig
from tests.conformance.namespace import Namespace
from tests.localkube.kubectl.command import Kubectl

NAMED_KUBECONFIG = os.environ.get("CONFORMANCE_KUBECONFIG")
# Older servers have no OpenAPI v3 documents, from which kubectl explains, and no CronJobs of batch/v1.
collect_ignore = ["test_newer_servers.py"] if NAMED_KUBECONFIG else []


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if NAMED_KUBECONFIG is not None:
        yield Path(NAMED_KUBECONFIG)
        return
    directory = tmp_path_factory.mktemp("localkube")
    path, log = directory / "kubeconfig", directory / "log"
    with log.open("wb") as errors:
        localkube = subprocess.Popen(
            [Path(sys.executable).parent / "localkube", "up", "--kubeconfig", path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        try:
            assert localkube.stdout is not None
            assert localkube.stdout.readline(), f"localkube ended at once: {log.read_text()[-4000:]}"
            yield path
        finally:
            localkube.send_signal(signal.SIGTERM)
            try:
                localkube.wait(timeout=20)
            finally:
                localkube.kill()
                localkube.communicate()


@pytest.fixture
async def ns(kubeconfig: Path) -> AsyncIterator[Namespace]:
    """A namespace of the test's own, and what the API says of it without kubectl."""
    async with Api(parse_kubeconfig(kubeconfig)) as api:
        name = f"kubectl-{secrets.token_hex(4)}"
        await api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        try:
            yield Namespace(api, name)
        finally:
            await api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def kubectl(kubeconfig: Path, ns: Namespace, tmp_path: Path) -> Kubectl:
    return Kubectl(kubeconfig, ns.name, tmp_path)
