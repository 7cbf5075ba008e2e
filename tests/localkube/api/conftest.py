"""An API server over an empty store, without controllers and nodes: what is seen is the server's own doing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from localkube.registry import Registry
from localkube.server.app import ApiServer
from tests.localkube.api.client import Api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    registry = Registry()
    registry.create("namespaces", {"metadata": {"name": "default"}})
    server = ApiServer(registry)
    await server.start()
    headers = {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(server.url, headers=headers) as session:
        yield Api(server, session, tmp_path)
    await server.stop()
