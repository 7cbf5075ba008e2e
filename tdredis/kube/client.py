"""How the operator talks to the API server: one session, a deadline on every call, errors as one tree."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Self, TypeAlias, TypeVar

import aiohttp
import msgspec
import structlog
from yarl import URL

from tdredis.api.json_object import JSONObject
from tdredis.kube import resources
from tdredis.kube.config import Access, ClusterConfig
from tdredis.kube.credentials import ConfigError
from tdredis.kube.errors import (
    ApiError,
    DeadlineExceeded,
    Gone,
    NotFound,
    ServerUnavailable,
    Unauthorized,
    WatchSilent,
    parse_error,
)
from tdredis.kube.request import (
    PAGE,
    PatchKind,
    Propagation,
    Request,
    prepare_apply,
    prepare_create,
    prepare_delete,
    prepare_get,
    prepare_list,
    prepare_patch,
    prepare_watch,
)
from tdredis.kube.resources import Resource

T = TypeVar("T")

# Named here, because inside the class `list` is the verb.
Objects: TypeAlias = list[JSONObject]
Items: TypeAlias = list[msgspec.Raw]

FIELD_MANAGER = "td-redis-operator"
OnWrite = Callable[[str, Resource, str], None]
CONNECTIONS = 100  # at once; who comes later waits, within the deadline of the call
GROUPS_WE_USE = frozenset(resource.group for resource in resources.ALL)

MOST_WARNINGS = 1000  # that are remembered: some name the object, and there is no end of those
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')

log = structlog.get_logger(__name__)

_CUT = (aiohttp.ClientError, OSError)


class ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class ListPage(msgspec.Struct):
    """One page of a list; the items undecoded, so that one that does not decode costs only itself."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None = None  # None: some servers say null for nothing


class _GroupVersion(msgspec.Struct, rename="camel"):
    group_version: str


class _Group(msgspec.Struct):
    name: str
    versions: list[_GroupVersion]


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Served(msgspec.Struct):
    name: str


class _ServedList(msgspec.Struct):
    resources: list[_Served]


_PAGE = msgspec.json.Decoder(ListPage)
_OBJECT = msgspec.json.Decoder(dict)
_GROUPS = msgspec.json.Decoder(_Groups)
_SERVED = msgspec.json.Decoder(_ServedList)


class Client:
    """For one event loop. Every call raises ApiError (see errors.py) and nothing else for what may go wrong outside.

    Nothing is retried here but one 401 after fresh credentials: the queue paces retries, so that they are seen.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        manager: str = FIELD_MANAGER,
        deadline_s: float = 10.0,
        on_write: OnWrite | None = None,
        user_agent: str = FIELD_MANAGER,
    ) -> None:
        """`on_write(verb, resource, outcome)`: after every write; the outcome is "ok" or the error's reason."""
        self._config = config
        self._manager = manager
        self._deadline_s = deadline_s
        self._on_write = on_write
        self._user_agent = user_agent
        self._lazy: aiohttp.ClientSession | None = None
        self._closed = False
        self._warned: OrderedDict[str, None] = OrderedDict()  # said once

    @property
    def manager(self) -> str:
        """The field manager that our applied fields belong to."""
        return self._manager

    def apart(self) -> "Client":
        """Another one of the same server and name, with connections of its own: what must not wait until those of this
        one, which a slow server may hold all, are free.
        """
        return Client(
            self._config,
            manager=self._manager,
            deadline_s=self._deadline_s,
            on_write=self._on_write,
            user_agent=self._user_agent,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self._closed = True
        if self._lazy is not None:
            await self._lazy.close()
            self._lazy = None

    async def get(
        self, resource: Resource, namespace: str | None, name: str, *, subresource: str | None = None
    ) -> JSONObject:
        return _decode_object(await self._call(prepare_get(resource, namespace, name, subresource)))

    async def read(self, resource: Resource, namespace: str | None, name: str, parse: Callable[[bytes], T]) -> T:
        """As `get`, through a parser of objects.py; its msgspec.DecodeError passes through."""
        return parse(await self._call(prepare_get(resource, namespace, name)))

    async def find(self, resource: Resource, namespace: str | None, name: str) -> JSONObject | None:
        """None: the server says that there is none."""
        try:
            return await self.get(resource, namespace, name)
        except NotFound:
            return None

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Objects:
        """All pages. The items carry no apiVersion and kind, as the server sent them."""
        items, _ = await self.list_raw(
            resource, namespace, label_selector=label_selector, field_selector=field_selector
        )
        return [_decode_object(item) for item in items]

    async def list_raw(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
        page: int = PAGE,
        on_page: Callable[[], None] | None = None,
    ) -> tuple[Items, str]:
        """Undecoded items and the resourceVersion of the whole: where a watch goes on. The deadline is for each page.

        A continue token that expired under way starts over without pages, once.
        """
        items: Items = []
        continue_: str | None = None
        limit: int | None = page
        while True:
            request = prepare_list(
                resource,
                namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                limit=limit,
                continue_=continue_,
                metadata_only=metadata_only,
            )
            try:
                got = _decode_page(await self._call(request))
            except Gone:
                if continue_ is None:
                    raise
                items, continue_, limit = [], None, None
                continue
            if on_page is not None:
                on_page()
            items.extend(got.items or ())
            continue_ = got.metadata.continue_
            if not continue_:
                return items, got.metadata.resource_version

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        timeout_s: int = 300,
        silence_s: float = 100.0,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Frames as the server sent them, one JSON object each; ends when the server ends the watch after `timeout_s`.

        `on_open`: the server accepted. ERROR frames are handed out like any other. Raises ServerUnavailable for a cut
        connection, WatchSilent for one that said nothing for `silence_s`. A frame that was cut in its middle is not
        handed out. Close it with `aclosing`: a generator that is left lying keeps its connection.
        """
        request = prepare_watch(
            resource,
            namespace,
            resource_version=resource_version,
            timeout_s=timeout_s,
            label_selector=label_selector,
            field_selector=field_selector,
            metadata_only=metadata_only,
        )
        async with self._opened(request) as response:
            if on_open is not None:
                on_open()
            rest = b""
            while True:
                try:
                    async with asyncio.timeout(silence_s):
                        chunk = await response.content.readany()
                except TimeoutError as error:
                    raise WatchSilent(0, "WatchSilent", f"{resource}: no frame for {silence_s:g} s") from error
                except _CUT as error:
                    raise _unavailable(request, error) from error
                if not chunk:
                    return
                *frames, rest = (rest + chunk).split(b"\n")
                for frame in frames:
                    if frame.strip():
                        yield frame

    async def apply(
        self, resource: Resource, manifest: JSONObject, *, subresource: str | None = None, force: bool = True
    ) -> JSONObject:
        """Server-side apply of everything that we want of this object; fields left out since the last time go."""
        request = prepare_apply(resource, manifest, self._manager, subresource=subresource, force=force)
        return _decode_object(await self._write(resource, request))

    async def create(self, resource: Resource, manifest: JSONObject) -> JSONObject:
        return _decode_object(await self._write(resource, prepare_create(resource, manifest, self._manager)))

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: JSONObject | Objects,
        *,
        kind: PatchKind = "merge",
        subresource: str | None = None,
    ) -> JSONObject:
        """A metadata.resourceVersion inside a merge patch is a precondition: Conflict if the object is newer."""
        request = prepare_patch(resource, namespace, name, patch, self._manager, kind=kind, subresource=subresource)
        return _decode_object(await self._write(resource, request))

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        propagation: Propagation | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_s: int | None = None,
    ) -> None:
        """NotFound if there is none, Conflict if it is not the one of `uid` and `resource_version`."""
        request = prepare_delete(
            resource,
            namespace,
            name,
            propagation=propagation,
            uid=uid,
            resource_version=resource_version,
            grace_s=grace_s,
        )
        await self._write(resource, request)

    async def version(self) -> JSONObject:
        """`major`, `minor`, `gitVersion` of the server."""
        return _decode_object(await self._call(Request("get", "GET", "/version")))

    async def discover(self, groups: frozenset[str] = GROUPS_WE_USE) -> frozenset[tuple[str, str, str]]:
        """(group, version, plural) of every resource that the server serves in these groups, subresources included.

        A group that cannot be asked raises: absent and unanswered must not look alike.
        """
        served = _decode(_GROUPS, await self._call(Request("get", "GET", "/apis")))
        versions = [("", "v1", "/api/v1")] if "" in groups else []
        for group in served.groups:
            if group.name in groups:
                for version in group.versions:
                    _, _, name = version.group_version.rpartition("/")
                    versions.append((group.name, name, f"/apis/{version.group_version}"))
        # All are awaited before one is raised: a question left under way would outlive its client.
        answers = await asyncio.gather(*(self._discover_one(*one) for one in versions), return_exceptions=True)
        found: set[tuple[str, str, str]] = set()
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            found |= answer
        return frozenset(found)

    async def _discover_one(self, group: str, version: str, path: str) -> frozenset[tuple[str, str, str]]:
        try:
            served = _decode(_SERVED, await self._call(Request("get", "GET", path)))
        except NotFound:
            return frozenset()  # a CRD's group, removed between the two questions
        return frozenset((group, version, one.name) for one in served.resources)

    async def _write(self, resource: Resource, request: Request) -> bytes:
        outcome = "Cancelled"
        try:
            answer = await self._call(request)
            outcome = "ok"
        except ApiError as error:
            outcome = error.reason
            raise
        finally:
            if self._on_write is not None:
                self._on_write(request.verb, resource, outcome)
        return answer

    async def _call(self, request: Request) -> bytes:
        """One complete answer within the deadline, credentials and connecting included."""
        try:
            async with asyncio.timeout(self._deadline_s), self._opened(request) as response:
                return await response.read()
        except TimeoutError as error:
            what = f"{request.method} {request.path}: no answer in {self._deadline_s:g} s"
            raise DeadlineExceeded(0, "DeadlineExceeded", what) from error
        except _CUT as error:
            raise _unavailable(request, error) from error

    @asynccontextmanager
    async def _opened(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
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
        except _CUT as error:
            raise _unavailable(request, error) from error
        try:
            yield response
        finally:
            # An answer that was read to its end gave its connection back; any other takes it along.
            response.close()

    async def _send(self, request: Request) -> aiohttp.ClientResponse:
        try:
            access = await self._config.current()
        except ConfigError as error:
            raise Unauthorized(0, "NoCredentials", str(error)) from error
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
                if text not in self._warned:
                    self._warned[text] = None
                    if len(self._warned) > MOST_WARNINGS:
                        self._warned.popitem(last=False)
                    log.warning("the API server warns", words=text)

    def _session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the client is closed")
        if self._lazy is None:
            self._lazy = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=30.0),
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


def _unavailable(request: Request, error: Exception) -> ServerUnavailable:
    return ServerUnavailable(0, "Unreachable", f"{request.method} {request.path}: {type(error).__name__}: {error}")


def _decode(decoder: "msgspec.json.Decoder[T]", body: bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        # A proxy's page of HTML with status 200, a body cut short: nobody could tell it from an outage.
        raise ServerUnavailable(0, "NotKubernetes", f"the answer is not what Kubernetes answers: {error}") from error


def _decode_page(body: bytes) -> ListPage:
    return _decode(_PAGE, body)


def _decode_object(body: bytes | msgspec.Raw) -> JSONObject:
    decoded: JSONObject = _decode(_OBJECT, body)
    return decoded
