"""How a whole JSON answer goes onto the wire: in one write, with the few headers that clients of the API look at."""

from __future__ import annotations

import email.utils
import functools
import json
import time
from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter


class JsonAnswer(web.StreamResponse):
    """As a `web.Response` of this body, without its work on headers that are the same for every answer.

    That work is a tenth of what a small write costs. Requests which are not as nearly all are get a `web.Response`.
    """

    def __init__(self, body: bytes, status: int, warnings: Sequence[str] = ()) -> None:
        super().__init__(status=status)
        self._json = body
        self._warnings = [f"299 - {json.dumps(warning)}" for warning in warnings]
        self._plain: web.Response | None = None
        self._is_written = False

    def warn(self, text: str) -> None:
        self._warnings.append(f"299 - {json.dumps(text)}")

    @property
    def prepared(self) -> bool:
        return self._is_written or (self._plain is not None and self._plain.prepared)

    @property
    def keep_alive(self) -> bool | None:
        return True if self._plain is None else self._plain.keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if request.version != HttpVersion11 or not request.keep_alive or request.method == "HEAD":
            self._plain = web.Response(body=self._json, status=self.status, content_type="application/json")
            for warning in self._warnings:
                self._plain.headers.add("Warning", warning)
            return await self._plain.prepare(request)
        head = _head(self.status, int(time.time()))
        if self._warnings:
            head += "".join(f"Warning: {one}\r\n" for one in self._warnings).encode()
        self._is_written = True
        await request.writer.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(self._json), self._json))
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        if self._plain is not None:
            await self._plain.write_eof(data)


@functools.lru_cache(maxsize=64)
def _head(status: int, second: int) -> bytes:
    date = email.utils.formatdate(second, usegmt=True)
    lines = (f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Content-Type: application/json", f"Date: {date}")
    return "".join(f"{line}\r\n" for line in lines).encode()
