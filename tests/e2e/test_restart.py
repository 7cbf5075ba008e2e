"""The API server is killed under a running operator, and with it, here, every process of every pod."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tdredis.kube.client import Client
from tdredis.kube.resources import NAMESPACES, REDISCLUSTERS
from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError
from tdredis.redislink.link import connect
from tests.e2e.needs import LOCALKUBE
from tests.e2e.world import BIN, Kube, Operator, eventually, install_crds, sample, until_ready


@asynccontextmanager
async def localkube(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        str(BIN / "localkube"),
        *("up", "--nodes", "3", "--state", str(folder / "state"), "--kubeconfig", str(folder / "kubeconfig")),
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def read(client: Client, namespace: str, key: str) -> object:
    """The value of *key* through the proxy; None while there is no way to it."""
    resource = await client.get(REDISCLUSTERS, namespace, "redis-cluster-rat")
    host, _, port = resource["status"]["clusterIP"].rpartition(":")  # type: ignore[index, call-overload, union-attr]
    try:
        link = await connect(host, int(port), access=Access(("abc",)), timeout_s=2)
        try:
            return await link.call("GET", key, timeout_s=2)
        finally:
            link.close()
    except LinkError:
        return None


@pytest.mark.needs(LOCALKUBE)
async def test_an_operator_outlives_its_api_server_and_heals_what_died_with_it(tmp_path: Path) -> None:
    kube = Kube(
        kubeconfig=tmp_path / "kubeconfig",
        folder=tmp_path,
        images={"tongduncloud/predixy:1.0": "envoyproxy/envoy:latest"},
    )
    async with localkube(tmp_path) as server, kube.client() as client:
        await install_crds(client)
        await client.create(NAMESPACES, {"metadata": {"name": "rat"}})
        async with Operator(kube, "rat") as operator:
            await client.create(REDISCLUSTERS, sample("rat"))
            before = await until_ready(client, "rat")
            host, _, port = before["status"]["clusterIP"].rpartition(":")
            link = await connect(host, int(port), access=Access(("abc",)), timeout_s=5)
            await link.call("SET", "kept", "yes", timeout_s=5)
            link.close()

            server.send_signal(signal.SIGKILL)
            await server.wait()
            async with localkube(tmp_path):

                async def healed() -> bool:
                    return await read(client, "rat", "kept") == b"yes"

                await eventually(healed, "the key is read through the proxy again", deadline_s=120)
                await until_ready(client, "rat")
                assert operator.process is not None
                assert operator.process.returncode is None
