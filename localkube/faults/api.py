"""What clients of the API server suffer: refusals, late or lost watch events, a server that is gone."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import msgspec
from aiohttp import web

from localkube.errors import ApiError
from localkube.faults.menu import DelayWatch, DropWatch, Hang, Refuse, StopApi
from localkube.server.app import ApiServer, keep_body

_REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
    422: "Invalid", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip
# The door through which faults are asked for must stay open whatever else is refused.
ADMIN_PREFIX = "/localkube/"


class _Hanging:
    """One fault of requests that are not answered, and those that it has taken."""

    def __init__(self, fault: Hang) -> None:
        self._fault = fault
        self.undone = asyncio.Event()
        self.taken = 0

    def takes(self, path: str, method: str) -> bool:
        fault = self._fault
        if fault.path not in path or (fault.verbs and method not in fault.verbs):
            return False
        if fault.count and self.taken >= fault.count:
            return False
        self.taken += 1
        return True

    async def answer(self, answer: Callable[[], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        given = await answer() if self._fault.after else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._fault.each_s):
                await self.undone.wait()
        # Whoever asked may have gone away meanwhile: a server carries out what it was asked all the same.
        return given if given is not None else await answer()


class ApiFaults:
    """Stands between the server and its clients for as long as some fault is in force."""

    def __init__(self, server: ApiServer, *, random_source: random.Random | None = None) -> None:
        self._server = server
        self._random = random_source or random.Random()  # noqa: S311 - chance, not secrecy
        self._refusals: list[Refuse] = []
        self._watch_faults: list[DelayWatch | DropWatch] = []
        self._hangs: list[_Hanging] = []
        self._outages = 0
        self._spared: set[object] = set()  # connections that outlive an outage: those that hold it
        self.admin: Callable[[str, web.BaseRequest], Awaitable[web.StreamResponse]] | None = None
        server.around = self._around
        server.disturb = self._disturb

    def effect(
        self, fault: StopApi | Refuse | Hang | DelayWatch | DropWatch
    ) -> contextlib.AbstractAsyncContextManager[None]:
        match fault:
            case StopApi():
                return self.stopped(fault)
            case Refuse():
                return self.refusing(fault)
            case Hang():
                return self.hanging(fault)
            case _:
                return self.disturbing(fault)

    @contextlib.asynccontextmanager
    async def refusing(self, fault: Refuse) -> AsyncIterator[None]:
        self._refusals.append(fault)
        try:
            yield
        finally:
            self._refusals.remove(fault)

    @contextlib.asynccontextmanager
    async def hanging(self, fault: Hang) -> AsyncIterator[None]:
        hanging = _Hanging(fault)
        self._hangs.append(hanging)
        try:
            yield
        finally:
            self._hangs.remove(hanging)
            hanging.undone.set()

    @contextlib.asynccontextmanager
    async def disturbing(self, fault: DelayWatch | DropWatch) -> AsyncIterator[None]:
        self._watch_faults.append(fault)
        try:
            yield
        finally:
            self._watch_faults.remove(fault)
            if isinstance(fault, DelayWatch):
                self._server.release_watches()

    @contextlib.asynccontextmanager
    async def stopped(self, fault: StopApi) -> AsyncIterator[None]:
        self._outages += 1
        try:
            if self._outages == 1:
                await self._server.suspend(self._spared)
            yield
        finally:
            self._outages -= 1
            if fault.forget:
                self._server.registry.compact()
            if self._outages == 0:
                await self._server.resume()

    def forget_history(self) -> None:
        self._server.registry.compact()
        self._server.end_watches()

    @contextlib.contextmanager
    def spared(self, connection: object) -> Iterator[None]:
        """*connection* survives outages."""
        self._spared.add(connection)
        try:
            yield
        finally:
            self._spared.discard(connection)

    async def _around(
        self, path: str, request: web.BaseRequest, answer: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if path.startswith(ADMIN_PREFIX) and self.admin is not None:
            return await self.admin(path, request)
        for hanging in self._hangs:
            if hanging.takes(path, request.method):
                await keep_body(request)
                return await hanging.answer(answer)
        struck = self._refusal(path, request.method)
        if struck is None:
            return await answer()
        refused: web.StreamResponse = _refusal_response(struck)
        if struck.after:
            given = await answer()
            # A stream has already been written to: there is no other answer to give.
            refused = given if given.prepared else refused
        if struck.delay_s:
            await asyncio.sleep(struck.delay_s)
        return refused

    @property
    def hung(self) -> int:
        """How many requests the faults in force have let hang so far."""
        return sum(one.taken for one in self._hangs)

    def _refusal(self, path: str, method: str) -> Refuse | None:
        for fault in self._refusals:
            concerned = fault.path in path and (not fault.verbs or method in fault.verbs)
            if concerned and self._strikes(fault.percent):
                return fault
        return None

    def _disturb(self, path: str) -> float | None:
        delay_s = 0.0
        for fault in self._watch_faults:
            if fault.path not in path:
                continue
            if isinstance(fault, DelayWatch):
                delay_s += fault.delay_s
            elif self._strikes(fault.percent):
                return None
        return delay_s

    def _strikes(self, percent: float) -> bool:
        return self._random.uniform(0, 100) < percent


def _refusal_response(fault: Refuse) -> web.Response:
    error = ApiError(fault.code, _REASONS.get(fault.code, "Unknown"), "localkube fault: this request was to be refused")
    headers = {"Retry-After": "1"} if fault.code in (429, 503) else {}
    body = msgspec.json.encode(error.as_status())
    return web.Response(body=body, status=fault.code, content_type="application/json", headers=headers)
