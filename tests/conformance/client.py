"""Speaks to an API server as bare HTTP, so that a claim can be about the wire and not about a client's kindness."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yaml

Obj = dict[str, Any]  # a JSON object as the server sent it
Query = Mapping[str, str | int]

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Access:
    """Where an API server is, and as whom we speak to it; read from a kubeconfig's current context."""

    server: str
    tls: ssl.SSLContext | None
    headers: Mapping[str, str]

    def as_stranger(self) -> Access:
        """The same server with a token that nobody gave us, and no certificate."""
        tls = None
        if self.tls is not None:
            tls = ssl.create_default_context()
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        whole = urlsplit(self.server)  # a path in the address may be the credential
        return Access(f"{whole.scheme}://{whole.netloc}", tls, {"Authorization": "Bearer nobody-gave-me-this"})


def parse_kubeconfig(path: Path) -> Access:
    """Read the current context of a kubeconfig: certificates (inline or file) or a bearer token.

    Raises ValueError for credentials of another sort: exec plugins are the operator's business, not this suite's.
    """
    config: Obj = yaml.safe_load(path.read_text())

    def named(kind: str, name: str) -> Obj:
        found: Obj = next(entry for entry in config[f"{kind}s"] if entry["name"] == name)[kind]
        return found

    def pem(entry: Obj, key: str) -> bytes | None:
        if f"{key}-data" in entry:
            return base64.b64decode(str(entry[f"{key}-data"]))
        if key in entry:
            return (path.parent / str(entry[key])).read_bytes()
        return None

    context = named("context", config["current-context"])
    cluster, user = named("cluster", context["cluster"]), named("user", context["user"])
    if "exec" in user:
        raise ValueError(
            f"{path}: exec credentials are not supported here; name a kubeconfig with a token or certificate"
        )
    tls = None
    if cluster["server"].startswith("https:"):
        tls = ssl.create_default_context()
        if (authority := pem(cluster, "certificate-authority")) is not None:
            tls = ssl.create_default_context(cadata=authority.decode())
        if cluster.get("insecure-skip-tls-verify"):
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        certificate, key = pem(user, "client-certificate"), pem(user, "client-key")
        if certificate and key:
            with tempfile.NamedTemporaryFile() as both:  # ssl reads client certificates from files only
                both.write(certificate + b"\n" + key)
                both.flush()
                tls.load_cert_chain(both.name)
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    return Access(server=cluster["server"].rstrip("/"), tls=tls, headers=headers)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Obj:
        parsed: Obj = json.loads(self.text)
        return parsed

    @property
    def reason(self) -> str:
        """The machine-readable reason of a Status object, e.g. AlreadyExists."""
        return str(self.body.get("reason", ""))

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    def accepted(self) -> Obj:
        """The object of an answer that must have succeeded."""
        assert self.status in {200, 201, 202}, (
            f"expected success, the server answered {self.status}: {self.text[:2000]}"
        )
        return self.body

    def refused(self) -> tuple[int, str]:
        """Code and reason of an answer that must have failed."""
        assert self.status >= 400, f"expected a refusal, the server answered {self.status}: {self.text[:2000]}"
        status = self.body
        assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", self.status)
        return self.status, self.reason


@dataclass(frozen=True, slots=True)
class WatchEvent:
    type: str
    object: Obj

    @property
    def name(self) -> str:
        return str(self.object["metadata"].get("name", ""))

    @property
    def seen(self) -> tuple[str, str]:
        return self.type, self.name


class Watch:
    """An open watch: lines of JSON as they come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self._response = response

    async def next(self, timeout_s: float = 10) -> WatchEvent | None:
        """The next event; None when the server ended the stream in good order."""
        async with asyncio.timeout(timeout_s):
            line = await self._response.content.readline()
        if not line:
            return None
        event = json.loads(line)
        return WatchEvent(event["type"], event["object"])

    async def take(self, count: int, timeout_s: float = 10) -> list[WatchEvent]:
        """Exactly *count* events; the failure says which ones came."""
        events: list[WatchEvent] = []
        try:
            async with asyncio.timeout(timeout_s):
                while len(events) < count:
                    event = await self.next(timeout_s)
                    assert event is not None, f"the stream ended after {[e.seen for e in events]}"
                    events.append(event)
        except TimeoutError:
            raise AssertionError(f"wanted {count} events in {timeout_s} s, saw {[e.seen for e in events]}") from None
        return events

    async def until(self, condition: Callable[[WatchEvent], bool], timeout_s: float = 10) -> list[WatchEvent]:
        """Every event up to the first that fulfils *condition*."""
        events: list[WatchEvent] = []
        try:
            async with asyncio.timeout(timeout_s):
                while not events or not condition(events[-1]):
                    event = await self.next(timeout_s)
                    assert event is not None, f"the stream ended after {[e.seen for e in events]}"
                    events.append(event)
        except TimeoutError:
            raise AssertionError(f"no such event in {timeout_s} s, saw {[e.seen for e in events]}") from None
        return events


class Api:
    """Requests to one API server. Paths are written out: what is asked is part of the claim."""

    def __init__(self, access: Access) -> None:
        self.access = access

    async def __aenter__(self) -> Api:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.access.tls if self.access.tls is not None else False, limit=0),
            headers=dict(self.access.headers),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    def _open(
        self,
        method: str,
        path: str,
        body: object | None = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        query: Query | None = None,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {"Accept": accept}
        data: bytes | None = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._http.request(method, self.access.server + path, data=data, headers=headers, params=query or {})

    async def request(
        self,
        method: str,
        path: str,
        body: object | None = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        query: Query | None = None,
    ) -> Answer:
        async with (
            asyncio.timeout(15),
            self._open(method, path, body, content_type=content_type, accept=accept, query=query) as response,
        ):
            return Answer(response.status, response.headers, await response.text())

    async def get(self, path: str, **query: str | int) -> Answer:
        return await self.request("GET", path, query=query)

    async def read(self, path: str, **query: str | int) -> Obj:
        return (await self.get(path, **query)).accepted()

    async def post(self, path: str, body: object, **query: str | int) -> Answer:
        return await self.request("POST", path, body, query=query)

    async def create(self, path: str, body: object, **query: str | int) -> Obj:
        return (await self.post(path, body, **query)).accepted()

    async def put(self, path: str, body: object, **query: str | int) -> Answer:
        return await self.request("PUT", path, body, query=query)

    async def delete(self, path: str, body: object | None = None, **query: str | int) -> Answer:
        return await self.request("DELETE", path, body, query=query)

    async def patch(self, path: str, body: object, content_type: str = MERGE, **query: str | int) -> Answer:
        return await self.request("PATCH", path, body, content_type=content_type, query=query)

    async def apply(
        self, path: str, body: object, *, manager: str = "first", force: bool = False, **query: str | int
    ) -> Answer:
        if force:
            query["force"] = "true"
        query["fieldManager"] = manager
        return await self.request("PATCH", path, body, content_type=APPLY, query=query)

    @asynccontextmanager
    async def watch(self, path: str, *, accept: str = "application/json", **query: str | int) -> AsyncIterator[Watch]:
        query.setdefault("timeoutSeconds", 60)
        async with self._open("GET", path, accept=accept, query=query | {"watch": "true"}) as response:
            yield Watch(response)

    @asynccontextmanager
    async def stream(self, path: str, **query: str | int) -> AsyncIterator[aiohttp.StreamReader]:
        async with self._open("GET", path, accept="*/*", query=query) as response:
            assert response.status == 200, await response.text()
            yield response.content

    async def until(
        self, path: str, condition: Callable[[Obj], object], timeout_s: float = 60, **query: str | int
    ) -> Obj:
        """Read *path* until it is there and *condition* holds; the failure shows the last answer."""
        last = "nothing"
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    answer = await self.get(path, **query)
                    last = answer.text
                    if answer.status == 200 and condition(answer.body):
                        return answer.body
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"not within {timeout_s} s: GET {path} {query} last said {last[-6000:]}") from None

    async def until_gone(self, path: str, timeout_s: float = 60) -> None:
        """Read *path* until it is a 404."""
        last = "nothing"
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    answer = await self.get(path)
                    if answer.status == 404:
                        return
                    last = answer.text
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"still there after {timeout_s} s: {path}: {last[-6000:]}") from None
