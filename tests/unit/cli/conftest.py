"""An API server with our definitions and no operator; and a line typed to it, as the console script gets it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from localkube.cluster import build_kubeconfig
from localkube.registry import Registry
from localkube.server.app import ApiServer
from tdredis.cli import main
from tdredis.kube.client import Client
from tdredis.kube.kubeconfig import load_config
from tdredis.kube.resources import NAMESPACES, resource_of
from tests.e2e.world import install_crds, sample, standby

NAMESPACE = "redis"
Obj = dict[str, Any]


@dataclass(frozen=True)
class Typed:
    """What a line comes to."""

    code: int
    out: str
    err: str


@dataclass
class Shell:
    """Commands are typed to *kubeconfig*'s server, beside which *client* looks."""

    kubeconfig: Path
    client: Client
    server: ApiServer
    capsys: pytest.CaptureFixture[str]

    async def type(self, *words: str, server: bool = True) -> Typed:
        """In a thread: a command has a loop of its own, and the server needs this one."""
        self.capsys.readouterr()
        where = ["--kubeconfig", str(self.kubeconfig), "-n", NAMESPACE] if server else []
        try:
            code = await asyncio.to_thread(main, [*words, *where])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = self.capsys.readouterr()
        return Typed(code, out, err)

    async def create(self, manifest: Obj) -> Obj:
        resource = resource_of(manifest["apiVersion"], manifest["kind"])
        return await self.client.create(resource, manifest)

    async def get(self, kind: str, name: str) -> Obj:
        return await self.client.get(resource_of("cache.tongdun.net/v1alpha1", kind), NAMESPACE, name)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Commands say where the log goes, for their process; the next test has its own again."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
async def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet: None) -> AsyncIterator[Shell]:
    registry = Registry()
    server = ApiServer(registry)
    await server.start()
    try:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_bytes(build_kubeconfig(server.url_with_token, server.token))
        async with Client(load_config(kubeconfig), manager="test") as client:
            await install_crds(client)
            await client.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
            yield Shell(kubeconfig, client, server, capsys)
    finally:
        await server.stop()


@pytest.fixture
async def rat(shell: Shell) -> Obj:
    return await shell.create(sample(NAMESPACE))


@pytest.fixture
async def tom(shell: Shell) -> Obj:
    return await shell.create(standby(NAMESPACE))
