"""How a request becomes an answer of the API server: one session, a deadline, fresh credentials after a 401."""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import aiohttp
import structlog
from yarl import URL

from tdredis.kube.config import Access, ClusterConfig
from tdredis.kube.credentials import ConfigError
from tdredis.kube.errors import (
    ApiError,
    DeadlineExceeded,
    ServerUnavailable,
    TooManyRequests,
    Unauthorized,
    parse_error,
)
from tdredis.kube.request import Request

CONNECTIONS = 100  # at once; who comes later waits, within the deadline of the call
CUT = (aiohttp.ClientError, OSError)
OnCall = Callable[[str, float, str], None]  # verb, seconds, and ok, refused, or failed: 5xx, 429, no answer

MOST_WARNINGS = 1000  # that are remembered: some name the object, and there is no end of those
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')

log = structlog.get_logger(__name__)


class Transport:
    """For one event loop. Raises ApiError (see errors.py) and nothing else for what may go wrong outside."""

    def __init__(
        self,
        config: ClusterConfig,
        *,
        deadline_s: float,
        user_agent: str,
        connections: int = CONNECTIONS,
        on_call: OnCall | None = None,
    ) -> None:
        self._config = config
        self._deadline_s = deadline_s
        self._user_agent = user_agent
        self._connections = connections
        self._on_call = on_call
        self._lazy: aiohttp.ClientSession | None = None
        self._closed = False
        self.warned: OrderedDict[str, None] = OrderedDict()  # said once

    async def close(self) -> None:
        self._closed = True
        if self._lazy is not None:
            await self._lazy.close()
            self._lazy = None

    async def call(self, request: Request) -> bytes:
        """One complete answer within the deadline, credentials and connecting included."""
        if self._on_call is None:
            return await self._call(request)
        begun, outcome = time.perf_counter(), "failed"
        try:
            answer = await self._call(request)
            outcome = "ok"
        except (ServerUnavailable, TooManyRequests):
            raise
        except ApiError:
            outcome = "refused"
            raise
        except asyncio.CancelledError:
            outcome = ""  # whoever asked does not want to know any more
            raise
        finally:
            if outcome:
                self._on_call(request.verb, time.perf_counter() - begun, outcome)
        return answer

    async def _call(self, request: Request) -> bytes:
        try:
            async with asyncio.timeout(self._deadline_s), self.opened(request) as response:
                return await response.read()
        except TimeoutError as error:
            what = f"{request.method} {request.path}: no answer in {self._deadline_s:g} s"
            raise DeadlineExceeded(0, "DeadlineExceeded", what) from error
        except CUT as error:
            raise unavailable(request, error) from error

    @asynccontextmanager
    async def opened(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer's head, after one retry with fresh credentials if it was 401; raises for any other than 2xx."""
        try:
            async with asyncio.timeout(self._deadline_s):
                response = await self._send(request)
                if response.status == 401:
                    response.close()
                    self._config.refused()
                    response = await self._send(request)
                self._hear_warnings(response)
                if response.status >= 300:
                    async with response:
                        raise parse_error(response.status, await response.read(), response.headers)
        except TimeoutError as error:
            what = f"{request.method} {request.path}: no answer in {self._deadline_s:g} s"
            raise DeadlineExceeded(0, "DeadlineExceeded", what) from error
        except CUT as error:
            raise unavailable(request, error) from error
        try:
            yield response
        finally:
            # An answer that was read to its end gave its connection back; any other takes it along.
            response.close()

    async def frames(self, request: Request, protocol: str) -> AsyncGenerator[bytes, None]:
        """The binary messages of a WebSocket, until the server ends it. A refusal raises what the server says; only
        connecting has a deadline of its own. Close it with `aclosing`.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                socket = await self._open_socket(request, protocol)
        except TimeoutError as error:
            what = f"{request.method} {request.path}: no answer in {self._deadline_s:g} s"
            raise DeadlineExceeded(0, "DeadlineExceeded", what) from error
        except aiohttp.WSServerHandshakeError as error:
            # aiohttp has thrown the answer away: the same question without an upgrade has the server's words.
            await self.call(request)
            raise unavailable(request, error) from error
        except CUT as error:
            raise unavailable(request, error) from error
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    yield message.data
            if (cut := socket.exception()) is not None:
                raise ServerUnavailable(0, "Unreachable", f"{request.path}: {type(cut).__name__}: {cut}")
        finally:
            await socket.close()

    async def _open_socket(self, request: Request, protocol: str) -> "aiohttp.ClientWebSocketResponse[bool]":
        for is_last in (False, True):
            access = await self._access()
            try:
                return await self._session().ws_connect(
                    URL(self._config.server + request.path, encoded=True).with_query(request.query),
                    protocols=(protocol,),
                    headers=_headers(request, access),
                    ssl=access.tls if access.tls is not None else True,
                    server_hostname=self._config.tls_server_name if access.tls is not None else None,
                    proxy=self._config.proxy,
                    max_msg_size=2**24,
                )
            except aiohttp.WSServerHandshakeError as error:
                if error.status != 401 or is_last:
                    raise
                self._config.refused()
        raise AssertionError("the last try returns or raises")

    async def _access(self) -> Access:
        try:
            return await self._config.current()
        except ConfigError as error:
            raise Unauthorized(0, "NoCredentials", str(error)) from error

    async def _send(self, request: Request) -> aiohttp.ClientResponse:
        access = await self._access()
        return await self._session().request(
            request.method,
            URL(self._config.server + request.path, encoded=True).with_query(request.query),
            data=request.body,
            headers=_headers(request, access),
            ssl=access.tls if access.tls is not None else True,
            server_hostname=self._config.tls_server_name if access.tls is not None else None,
            proxy=self._config.proxy,
            allow_redirects=False,  # a redirect would carry the token to wherever it points
        )

    def _hear_warnings(self, response: aiohttp.ClientResponse) -> None:
        """Deprecated versions, Pod Security in mode warn, unknown fields. Source: RFC 7234, "Warning", code 299."""
        for header in response.headers.getall("Warning", ()):
            for words in _WARNING.findall(header):
                text = words.replace('\\"', '"')
                if text not in self.warned:
                    self.warned[text] = None
                    if len(self.warned) > MOST_WARNINGS:
                        self.warned.popitem(last=False)
                    log.warning("the API server warns", words=text)

    def _session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the client is closed")
        if self._lazy is None:
            self._lazy = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=30.0),
                timeout=aiohttp.ClientTimeout(total=None),  # the deadlines are ours
                # Uncompressed: inside a cluster the bytes are cheap, and unpacking a page of pods holds up the loop.
                headers={
                    "User-Agent": self._user_agent,
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                },
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=2**18,
            )
        return self._lazy


def _headers(request: Request, access: Access) -> Mapping[str, str]:
    own = {"Content-Type": request.content_type, "Accept": request.accept}
    return {**access.headers, **{name: value for name, value in own.items() if value is not None}}


def unavailable(request: Request, error: Exception) -> ServerUnavailable:
    return ServerUnavailable(0, "Unreachable", f"{request.method} {request.path}: {type(error).__name__}: {error}")
