"""Decides which API server the claims are held against: the one CONFORMANCE_KUBECONFIG names, else a localkube."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.client import Access, Api, Obj, parse_kubeconfig
from tests.conformance.namespace import Namespace

NAMED_KUBECONFIG = os.environ.get("CONFORMANCE_KUBECONFIG")
NODES = 3
NOT_APPLICABLE = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs_version(version): the least Kubernetes version that has what is claimed")
    config.addinivalue_line("markers", "needs_users: not for a localkube of an ordinary user, who has one user to give")


async def _read_version(access: Access) -> tuple[int, int]:
    async with Api(access) as api:
        found = re.match(r"v(\d+)\.(\d+)", (await api.read("/version"))["gitVersion"])
        assert found is not None
        return int(found[1]), int(found[2])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A claim about what a named server is too old for is not made; localkube has to fulfil all that its user can."""
    if NAMED_KUBECONFIG is None:
        if os.geteuid() != 0:
            _leave_out(config, items, lambda item: item.get_closest_marker("needs_users") is not None, "one user")
        return
    if not any(item.get_closest_marker("needs_version") for item in items):
        return
    major, minor = asyncio.run(_read_version(parse_kubeconfig(Path(NAMED_KUBECONFIG))))

    def is_too_young(item: pytest.Item) -> bool:
        marker = item.get_closest_marker("needs_version")
        return marker is not None and tuple(map(int, marker.args[0].split("."))) > (major, minor)

    _leave_out(config, items, is_too_young, f"v{major}.{minor}")


def _leave_out(
    config: pytest.Config, items: list[pytest.Item], concerned: Callable[[pytest.Item], bool], whom: str
) -> None:
    left_out = [item for item in items if concerned(item)]
    items[:] = [item for item in items if not concerned(item)]
    config.hook.pytest_deselected(items=left_out)
    config.stash[NOT_APPLICABLE] = [f"not applicable to {whom}: {item.nodeid.rpartition('/')[2]}" for item in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(NOT_APPLICABLE, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def access(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """The server under test. localkube runs in a process of its own: a claim cannot see more than HTTP shows."""
    if NAMED_KUBECONFIG is not None:
        yield parse_kubeconfig(Path(NAMED_KUBECONFIG))
        return
    directory = tmp_path_factory.mktemp("localkube")
    kubeconfig, log = directory / "kubeconfig", directory / "log"
    program = Path(sys.executable).parent / "localkube"
    with log.open("wb") as output:
        localkube = subprocess.Popen(
            # When somebody kills pytest itself, no fixture tidies up: the server has to go with it.
            ["setpriv", "--pdeathsig", "TERM", program, "up", "--nodes", str(NODES), "--kubeconfig", kubeconfig],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
        )
        try:
            assert localkube.stdout is not None
            ready = localkube.stdout.readline()  # its one line says that it is ready; its end is an empty one
            assert ready, f"localkube ended at once: {log.read_text()[-4000:]}"
            yield parse_kubeconfig(kubeconfig)
        finally:
            localkube.send_signal(signal.SIGTERM)
            try:
                localkube.wait(timeout=20)
            finally:
                localkube.kill()
                localkube.communicate()


@pytest.fixture
async def api(access: Access) -> AsyncIterator[Api]:
    async with Api(access) as api:
        yield api


@pytest.fixture
async def ns(api: Api) -> AsyncIterator[Namespace]:
    """A namespace of the test's own, removed afterwards without waiting for it."""
    made: Obj = await api.create(
        "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "conformance-"}}
    )
    namespace = Namespace(api, made["metadata"]["name"])
    try:
        yield namespace
    finally:
        await api.delete(f"/api/v1/namespaces/{namespace.name}")


@pytest.fixture(scope="session")
def version(access: Access) -> tuple[int, int]:
    """Of the server under test: where versions differ, a claim is about what that one says."""
    return asyncio.run(_read_version(access))


@pytest.fixture
def unique() -> str:
    """A name that no other test uses, for what has no namespace."""
    return f"c{secrets.token_hex(4)}"
