"""An API server that plays an exact script over real HTTP: the n-th request gets the n-th answer."""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self, TypeAlias

from aiohttp import web

from tdredis.api.json_object import JSONObject
from tdredis.kube.client import Client
from tdredis.kube.config import ClusterConfig

Act: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def said(self) -> str:
        return f"{self.method} {self.path}"


class ScriptedServer:
    """`async with ScriptedServer(act, act, ...) as server`. A request after the last act hangs until the end."""

    def __init__(self, *acts: Act, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Seen] = []
        self._acts = deque(acts)
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self._transports: set[asyncio.Transport] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @property
    def played(self) -> bool:
        return not self._acts

    def queries(self, verb: str) -> list[dict[str, str]]:
        """Of the "list" or "watch" requests."""
        return [seen.query for seen in self.requests if ("watch" in seen.query) == (verb == "watch")]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{tail:.*}", self._play)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=self._tls, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            for transport in self._transports:
                transport.abort()
            for _ in range(3):
                await asyncio.sleep(0)  # an aborted transport closes its socket only when the loop turns

    async def _play(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._transports.add(request.transport)
        self.requests.append(
            Seen(
                request.method,
                request.rel_url.raw_path,
                dict(request.query),
                dict(request.headers),
                await request.read(),
            )
        )
        act = self._acts.popleft() if self._acts else hang()
        return await act(request)


def answer(body: JSONObject | str, status: int = 200, headers: dict[str, str] | None = None) -> Act:
    async def act(_: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers, content_type="application/json")

    return act


def refuse(status: int, reason: str, message: str = "no", headers: dict[str, str] | None = None) -> Act:
    return answer(build_status(status, reason, message), status, headers)


def hang() -> Act:
    async def act(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets this event")

    return act


def stream(*pieces: bytes, then: str = "hang") -> Act:
    """`then`: "end" in order, "cut" the connection, or "hang"."""

    async def act(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if then == "cut":
            assert request.transport is not None
            request.transport.abort()
        elif then == "hang":
            await asyncio.Event().wait()
        return response

    return act


def build_status(code: int, reason: str, message: str = "no") -> JSONObject:
    return {"kind": "Status", "code": code, "reason": reason, "message": message, "status": "Failure"}


def build_object(name: str, version: int, **parts: object) -> JSONObject:
    """A ConfigMap whose uid is its name, unless `uid` says otherwise; `labels` go where labels go."""
    metadata: JSONObject = {
        "name": name,
        "namespace": "n",
        "uid": str(parts.pop("uid", name)),
        "resourceVersion": str(version),
    }
    if (labels := parts.pop("labels", None)) is not None:
        metadata["labels"] = labels  # type: ignore[assignment]  # a test may put in what no server would
    return {"metadata": metadata, **parts}  # type: ignore[dict-item]  # the same


def build_list(version: int, *items: JSONObject, continue_: str = "") -> JSONObject:
    metadata: JSONObject = {"resourceVersion": str(version)}
    if continue_:
        metadata["continue"] = continue_
    return {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": list(items)}


def frame(type_: str, body: JSONObject) -> bytes:
    return json.dumps({"type": type_, "object": body}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    return frame("BOOKMARK", {"kind": "ConfigMap", "metadata": {"resourceVersion": str(version)}})


def connect(server: ScriptedServer, deadline_s: float = 5.0) -> Client:
    return Client(ClusterConfig(server.url), deadline_s=deadline_s)
