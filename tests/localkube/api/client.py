"""How the tests talk to the server under test: plain HTTP, and the real kubectl."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from localkube.cluster import build_kubeconfig
from localkube.server.app import ApiServer

KUBECTL = Path(sys.executable).with_name("kubectl")
DEADLINE_S = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def message(self) -> str:
        return str(self.body.get("message"))

    def object(self) -> dict[str, Any]:
        assert self.status in (200, 201), self.body
        found: dict[str, Any] = self.body
        return found


class Api:
    def __init__(self, server: ApiServer, session: aiohttp.ClientSession, folder: Path) -> None:
        self.server = server
        self.registry = server.registry
        self._session = session
        self._folder = folder

    async def call(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", **query: str
    ) -> Answer:
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Content-Type": kind} if raw is not None else {}
        async with self._session.request(method, path, data=raw, params=query, headers=headers) as response:
            text = await response.read()
            is_json = response.content_type == "application/json"
            return Answer(response.status, json.loads(text) if is_json else text, dict(response.headers))

    async def get(self, path: str, **query: str) -> Answer:
        return await self.call("GET", path, **query)

    async def create(self, path: str, body: Any, **query: str) -> Answer:
        return await self.call("POST", path, body, **query)

    async def apply(self, path: str, body: Any, manager: str = "me", **query: str) -> Answer:
        return await self.call("PATCH", path, body, "application/apply-patch+yaml", fieldManager=manager, **query)

    async def merge(self, path: str, body: Any, **query: str) -> Answer:
        return await self.call("PATCH", path, body, "application/merge-patch+json", **query)

    @asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator[Watch]:
        async with self._session.get(path, params={"watch": "true", **query}) as response:
            assert response.status == 200
            yield Watch(response)

    @asynccontextmanager
    async def socket(self, path: str, protocol: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with self._session.ws_connect(path, protocols=(protocol,)) as socket:
            assert socket.protocol == protocol
            yield socket

    async def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl said, on both channels; its exit code goes first if it is not 0."""
        config = self._folder / "kubeconfig"
        config.write_bytes(build_kubeconfig(self.server.url_with_token, self.server.token))
        environment = {**os.environ, "KUBECONFIG": str(config), "HOME": str(self._folder)}
        process = await asyncio.create_subprocess_exec(
            KUBECTL,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
        )
        async with asyncio.timeout(DEADLINE_S):
            said, _ = await process.communicate(stdin.encode())
        return (f"exit {process.returncode}: " if process.returncode else "") + said.decode()


class Watch:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> dict[str, Any] | None:
        """The next event; None: the stream is over."""
        async with asyncio.timeout(DEADLINE_S):
            line = await self._response.content.readline()
        found: dict[str, Any] | None = json.loads(line) if line else None
        return found
