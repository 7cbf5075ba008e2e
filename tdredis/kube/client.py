"""What can be asked of the API server, and what comes of it: the verbs, errors as one tree."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Self, TypeAlias, TypeVar

import msgspec

from tdredis.api.json_object import JSONObject
from tdredis.kube import resources
from tdredis.kube.config import ClusterConfig
from tdredis.kube.errors import (
    ApiError,
    DeadlineExceeded,
    Gone,
    NotFound,
    ServerUnavailable,
    WatchSilent,
)
from tdredis.kube.executing import PROTOCOL, Ran, gather_output, prepare_execute
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
from tdredis.kube.resources import PODS, Resource
from tdredis.kube.transport import CONNECTIONS, CUT, OnCall, Transport, unavailable

T = TypeVar("T")

# Named here, because inside the class `list` is the verb.
Objects: TypeAlias = list[JSONObject]
Items: TypeAlias = list[msgspec.Raw]

FIELD_MANAGER = "td-redis-operator"
OnWrite = Callable[[str, Resource, str], None]
GROUPS_WE_USE = frozenset(resource.group for resource in resources.ALL)


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
        on_call: OnCall | None = None,
        user_agent: str = FIELD_MANAGER,
        connections: int = CONNECTIONS,
    ) -> None:
        """`on_write(verb, resource, outcome)`: after every write; the outcome is "ok" or the error's reason.
        `on_call(verb, seconds, outcome)`: after every answer, but those of watches; see transport.py.
        *connections*: at once, watches among them.
        """
        self._config = config
        self._manager = manager
        self._deadline_s = deadline_s
        self._on_write = on_write
        self._on_call = on_call
        self._user_agent = user_agent
        self._transport = Transport(
            config, deadline_s=deadline_s, user_agent=user_agent, connections=connections, on_call=on_call
        )

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
            on_call=self._on_call,
            user_agent=self._user_agent,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    async def get(
        self, resource: Resource, namespace: str | None, name: str, *, subresource: str | None = None
    ) -> JSONObject:
        return _decode_object(await self._transport.call(prepare_get(resource, namespace, name, subresource)))

    async def read(self, resource: Resource, namespace: str | None, name: str, parse: Callable[[bytes], T]) -> T:
        """As `get`, through a parser of objects.py; its msgspec.DecodeError passes through."""
        return parse(await self._transport.call(prepare_get(resource, namespace, name)))

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
                got = _decode_page(await self._transport.call(request))
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
        async with self._transport.opened(request) as response:
            if on_open is not None:
                on_open()
            rest = b""
            while True:
                try:
                    async with asyncio.timeout(silence_s):
                        chunk = await response.content.readany()
                except TimeoutError as error:
                    raise WatchSilent(0, "WatchSilent", f"{resource}: no frame for {silence_s:g} s") from error
                except CUT as error:
                    raise unavailable(request, error) from error
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

    async def execute(
        self, namespace: str, pod: str, container: str, command: Sequence[str], *, deadline_s: float
    ) -> Ran:
        """Runs *command* in a container, without stdin, and waits for its end."""
        request = prepare_execute(namespace, pod, container, command)
        try:
            async with asyncio.timeout(deadline_s), aclosing(self._transport.frames(request, PROTOCOL)) as frames:
                return await gather_output(frames)
        except TimeoutError as error:
            what = f"{command[0]} in pod {pod}: it has not ended in {deadline_s:g} s"
            raise DeadlineExceeded(0, "DeadlineExceeded", what) from error

    async def logs(self, namespace: str, pod: str, container: str, *, tail_lines: int, previous: bool = False) -> bytes:
        """The last lines that a container wrote; *previous*: the one before it, where it was restarted."""
        query = [("container", container), ("tailLines", str(tail_lines)), ("timestamps", "true")]
        query += [("previous", "true")] if previous else []
        return await self._transport.call(Request("logs", "GET", PODS.path(namespace, pod, "log"), tuple(query)))

    async def version(self) -> JSONObject:
        """`major`, `minor`, `gitVersion` of the server."""
        return _decode_object(await self._transport.call(Request("get", "GET", "/version")))

    async def discover(self, groups: frozenset[str] = GROUPS_WE_USE) -> frozenset[tuple[str, str, str]]:
        """(group, version, plural) of every resource that the server serves in these groups, subresources included.

        A group that cannot be asked raises: absent and unanswered must not look alike.
        """
        served = _decode(_GROUPS, await self._transport.call(Request("get", "GET", "/apis")))
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
            served = _decode(_SERVED, await self._transport.call(Request("get", "GET", path)))
        except NotFound:
            return frozenset()  # a CRD's group, removed between the two questions
        return frozenset((group, version, one.name) for one in served.resources)

    async def _write(self, resource: Resource, request: Request) -> bytes:
        outcome = "Cancelled"
        try:
            answer = await self._transport.call(request)
            outcome = "ok"
        except ApiError as error:
            outcome = error.reason
            raise
        finally:
            if self._on_write is not None:
                self._on_write(request.verb, resource, outcome)
        return answer


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
