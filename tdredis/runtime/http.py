"""What others may ask the running operator: does it answer at all, is it ready, what did it count."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Self

from aiohttp import web

from tdredis.runtime.listening import open_sockets

Probe = Callable[[], str | None]  # None: all is well; else the sentence that says why not


class StatusServer:
    """/healthz, /readyz and /metrics. `async with`, or `start()` and `stop()`."""

    def __init__(self, *, ready: Probe, render_metrics: Callable[[], Iterable[bytes]]) -> None:
        """*render_metrics*: the page in pieces. A failover that is due goes on between two of them."""
        self._ready = ready
        self._render_metrics = render_metrics
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "", port: int = 8080) -> int:
        """Serves on every address of *host* ("": of this machine, by IPv4 and IPv6).

        Returns the port, which `port` 0 leaves to the system. Raises OSError if it is taken.
        """
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        sockets = open_sockets(host, port)
        bound: int = sockets[0].getsockname()[1]
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        for one in sockets:
            await web.SockSite(self._runner, one).start()
        return bound

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _healthz(self, _: web.Request) -> web.Response:
        """That the event loop answers is the health that a restart would mend."""
        return _answer(None)

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self._ready())

    async def _metrics(self, _: web.Request) -> web.Response:
        parts = []
        for part in self._render_metrics():
            parts.append(part)
            await asyncio.sleep(0)
        return web.Response(body=b"".join(parts), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _answer(why_not: str | None) -> web.Response:
    return web.Response(text="ok\n") if why_not is None else web.Response(status=503, text=why_not + "\n")
