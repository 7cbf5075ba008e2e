"""A server for one Lease: create, read, and merge patches under a resourceVersion, with faults on demand."""

import asyncio
import json
from typing import Literal, Self

from aiohttp import web

from tests.unit.kube.scripted_server import build_status

Fault = Literal["hang", "500"]


class LeaseStore:
    def __init__(self) -> None:
        self.lease: dict[str, dict[str, object]] | None = None
        self.writes = 0
        self.fault: Fault | None = None
        self.touch_before_next_write = False  # somebody annotates the object between our read and our write
        self.url = ""
        self._version = 0
        self._runner: web.AppRunner | None = None

    @property
    def holder(self) -> object:
        return None if self.lease is None else self.lease["spec"].get("holderIdentity")

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{tail:.*}", self._create)
        app.router.add_get("/{tail:.*}", self._read)
        app.router.add_patch("/{tail:.*}", self._patch)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            await asyncio.sleep(0)

    def put(self, **spec: object) -> None:
        """The lease as somebody else left it."""
        self._store({"metadata": {"name": "l", "namespace": "n"}, "spec": spec})

    def _store(self, lease: dict[str, dict[str, object]]) -> web.Response:
        self._version += 1
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self._version)}}
        return web.json_response(self.lease)

    async def _fail(self) -> web.Response | None:
        if self.fault == "hang":
            await asyncio.Event().wait()
        if self.fault == "500":
            return web.json_response(build_status(500, "InternalError"), status=500)
        return None

    async def _read(self, _: web.Request) -> web.Response:
        if (failed := await self._fail()) is not None:
            return failed
        if self.lease is None:
            return web.json_response(build_status(404, "NotFound"), status=404)
        return web.json_response(self.lease)

    async def _create(self, request: web.Request) -> web.Response:
        if (failed := await self._fail()) is not None:
            return failed
        if self.lease is not None:
            return web.json_response(build_status(409, "AlreadyExists"), status=409)
        self.writes += 1
        return self._store(json.loads(await request.read()))

    async def _patch(self, request: web.Request) -> web.Response:
        if (failed := await self._fail()) is not None:
            return failed
        patch = json.loads(await request.read())
        if self.lease is None:
            return web.json_response(build_status(404, "NotFound"), status=404)
        if self.touch_before_next_write:
            self.touch_before_next_write = False
            self._store(self.lease)
        if patch["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            return web.json_response(build_status(409, "Conflict"), status=409)
        self.writes += 1
        return self._store({**self.lease, "spec": {**self.lease["spec"], **patch["spec"]}})
