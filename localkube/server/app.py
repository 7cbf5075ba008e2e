"""What each HTTP request does to the registry, and what comes back: the verbs of the Kubernetes API."""

from __future__ import annotations

import asyncio
import functools
import hmac
import itertools
import re
import secrets
import socket
import time
import traceback
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from aiohttp import web

from localkube import errors
from localkube.apply.patches import json_patch, merge_patch
from localkube.apply.strategic import strategic_patch
from localkube.controllers.pod_security import warnings_about
from localkube.errors import ApiError, bad_request
from localkube.registry import Obj, Registry, check_same_uid
from localkube.schema.quick import certainly_known
from localkube.schema.structural import unknown_fields
from localkube.selectors import parse_field_selector, parse_selector
from localkube.server import discovery, openapi, portforward
from localkube.server.answers import JsonAnswer
from localkube.server.body import parse_json, parse_object, parse_yaml, unsupported_media_type
from localkube.server.eviction import check_eviction
from localkube.server.execing import RunningCommand, check_upgrade, run_command
from localkube.server.reviews import answer_review
from localkube.server.scale import scale_of, with_scale
from localkube.server.tables import Table, columns_of, custom_columns, partial_metadata
from localkube.server.target import Target, parse_target, unknown_path
from localkube.server.watching import Matches, WatchStream, watch_timeout_s

MAX_BODY_BYTES = 3 * 1024 * 1024
# How long the rest of a chunked list stays readable, and how many such rests are kept.
CONTINUE_FOR_S = 300.0
CONTINUES_KEPT = 500
# Deleting one of these answers with the object, of others with a Status, as on a real server.
_DELETE_ANSWERS_OBJECT = frozenset(
    ("pods", "services", "persistentvolumeclaims", "persistentvolumes", "serviceaccounts")
)
# Whoever asks for these is told, in a header of the answer.
DEPRECATED = {"endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"}
_BODY = web.RequestKey("body", bytes)
_OPEN_PATHS = frozenset(("/healthz", "/livez", "/readyz", "/version"))


class KubeletPort(Protocol):
    """What the server asks of the kubelet of a pod's node."""

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        follow: bool = False,
        tail_lines: int | None = None,
        previous: bool = False,
        since_seconds: int | None = None,
        since_time: str | None = None,
        timestamps: bool = False,
        limit_bytes: int | None = None,
    ) -> AsyncIterator[bytes]: ...

    def exec(
        self,
        namespace: str,
        pod: str,
        container: str | None,
        command: list[str],
        *,
        stdin: bool = False,
        tty: bool = False,
    ) -> RunningCommand: ...


@dataclass(frozen=True, slots=True)
class _Rest:
    """What is left of a chunked list: the very objects of its first page's moment."""

    objects: list[Obj]
    version: int
    expires: float


@dataclass(slots=True)
class _Call:
    """One request to a resource, read once. Never changed; frozen, it would cost three times as much to make."""

    target: Target
    query: Mapping[str, str]
    manager: str
    accept: str

    @property
    def dry_run(self) -> bool:
        asked = self.query.get("dryRun")
        if asked not in (None, "", "All"):
            raise errors.invalid(
                "meta.k8s.io", "DeleteOptions", "", [errors.unsupported_value("dryRun", asked, ("All",))]
            )
        return asked == "All"


class ApiServer:
    """Serves one registry on a loopback address, between `start` and `stop`; `url` and `token` are for clients."""

    def __init__(
        self,
        registry: Registry,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        kubelet_for: Callable[[str], KubeletPort | None] = lambda _: None,
    ) -> None:
        self.registry = registry
        self.host = host
        self.port = port
        self.token = token or secrets.token_urlsafe(24)
        self._expected = f"Bearer {self.token}"
        # kubectl sends a bearer token over TLS only: for it, the token is a prefix of every path.
        self._prefix = f"/token/{self.token}"
        self._kubelet_for = kubelet_for
        self._rests: OrderedDict[str, _Rest] = OrderedDict()
        self._tokens = itertools.count(1)
        self._streams: set[WatchStream] = set()
        self._runner: web.ServerRunner | None = None
        self._site: web.BaseSite | None = None
        self._reserved: socket.socket | None = None  # while suspended: nobody else shall get the port
        # For faults: what stands around each answer, and what happens to each change on its way to a watcher.
        self.around: (
            Callable[[str, web.BaseRequest, Callable[[], Awaitable[web.StreamResponse]]], Awaitable[web.StreamResponse]]
            | None
        ) = None
        self.disturb: Callable[[str], float | None] | None = None
        self.requests: dict[str, int] = {}  # by HTTP method: so that a test can say "nobody wrote anything"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def url_with_token(self) -> str:
        """For kubeconfig files: whoever knows this address needs no header."""
        return self.url + self._prefix

    async def start(self) -> None:
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None, keepalive_timeout=300.0), shutdown_timeout=1.0
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, reuse_address=True, backlog=1024)
        await site.start()
        self._site = site
        if not self.port:
            self.port = self._runner.addresses[0][1]

    async def suspend(self, spared: Collection[object] = ()) -> None:
        """As if the process had died: connections are refused, those that stand are cut but for *spared*."""
        if self._runner is None or self._site is None or self._runner.server is None:
            return
        await self._site.stop()
        self._site = None
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((self.host, self.port))
        for connection in tuple(self._runner.server.connections):
            if connection not in spared and connection.transport is not None:
                connection.transport.abort()
        self.end_watches()

    async def resume(self) -> None:
        if self._runner is None or self._reserved is None:
            return
        self._site, self._reserved = web.SockSite(self._runner, self._reserved, backlog=1024), None
        await self._site.start()

    def end_watches(self) -> None:
        for stream in tuple(self._streams):
            stream.end()

    def release_watches(self) -> None:
        """Tells all watchers at once what was being held back."""
        for stream in tuple(self._streams):
            stream.release()

    async def stop(self) -> None:
        self.end_watches()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # ---- every request

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests[request.method] = self.requests.get(request.method, 0) + 1
        try:
            return await self._answer(request)
        except ApiError as error:
            return _json(error.as_status(), error.code)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - one request's bug must not end the server; the client is told
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"{request.method} {request.path} failed", "exception": error}
            )
            where = traceback.extract_tb(error.__traceback__)[-1]
            message = f"localkube bug: {type(error).__name__}: {error} ({where.filename}:{where.lineno})"
            return _json(ApiError(500, "InternalError", message).as_status(), 500)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith(self._prefix + "/"):
            path = path.removeprefix(self._prefix)
        elif path not in _OPEN_PATHS and not path.startswith(("/healthz/", "/livez/", "/readyz/")):
            given = request.headers.get("Authorization", "")
            if not hmac.compare_digest(given.encode(), self._expected.encode()):
                raise ApiError(401, "Unauthorized", "Unauthorized")
        if "Impersonate-User" in request.headers:
            raise errors.not_implemented("impersonation")
        if self.around is not None:
            return await self.around(path, request, lambda: self._answer_to(path, request))
        return await self._answer_to(path, request)

    async def _answer_to(self, path: str, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET" and (answer := self._not_a_resource(path, request)) is not None:
            return answer
        return await self._resource(path, request)

    def _not_a_resource(self, path: str, request: web.BaseRequest) -> web.Response | None:
        path = path.rstrip("/") or "/"
        if path.split("/")[1] in ("healthz", "livez", "readyz"):
            return web.Response(text="ok")
        accept = request.headers.get("Accept", "")
        if path.startswith("/openapi/"):
            found = openapi.answer(path, self.registry, accept)
            if found is None:
                raise unknown_path()
            return web.Response(body=found.body, content_type=found.content_type, headers={"Etag": found.etag})
        found_document = discovery.answer(path, self.registry, accept)
        if found_document is None:
            return None
        document, content_type = found_document
        return web.Response(body=msgspec.json.encode(document), headers={"Content-Type": content_type})

    async def _resource(self, path: str, request: web.BaseRequest) -> web.StreamResponse:
        target = parse_target(path, self.registry.types)
        answer = await self._answer_about(target, request)
        deprecated = DEPRECATED.get(target.rtype.key)
        if deprecated is not None and isinstance(answer, JsonAnswer):
            answer.warn(deprecated)
        return answer

    async def _answer_about(self, target: Target, request: web.BaseRequest) -> web.StreamResponse:
        if target.rtype.review:
            return await self._review(request, target)
        # Most requests ask nothing, and to find that out by parsing the address again would cost more than all of this.
        query: Mapping[str, str] = request.query if "?" in request.raw_path else {}
        manager = query.get("fieldManager") or request.headers.get("User-Agent", "unknown").split("/", 1)[0]
        call = _Call(target, query, manager, request.headers.get("Accept", ""))
        if target.subresource == "exec" and request.method in ("GET", "POST"):
            return await self._exec(request, call)
        if target.subresource == "portforward" and request.method in ("GET", "POST"):
            return await self._forward(request, call)
        if request.method == "GET":
            return await self._look(request, call)
        match request.method:
            case "POST" if target.name is None:
                return self._create(call, await _read(request), request.content_type)
            case "POST" if target.subresource == "eviction":
                return self._evict(call, parse_object(await _read(request), request.content_type))
            case "PUT" if target.name is not None:
                return self._put(call, await _read(request), request.content_type)
            case "PATCH" if target.name is not None:
                return self._patch(call, await _read(request), request.content_type)
            case "DELETE" if target.subresource is None:
                return self._delete(call, await _read(request), request.content_type)
            case method if target.subresource not in (None, "status", "scale", "finalize", "resize"):
                raise errors.not_implemented(f"{method} of {target.rtype.key}/{target.subresource}")
            case _:
                raise _not_allowed()

    async def _look(self, request: web.BaseRequest, call: _Call) -> web.StreamResponse:
        match call.target.subresource:
            case "log":
                return await self._log(request, call)
            case "scale":
                return _json(scale_of(self.registry, call.target.rtype, self._current(call)))
            case None | "status" | "resize":
                if call.query.get("watch") in ("1", "true", "True"):
                    return await self._watch(request, call)
                return self._get(call) if call.target.name else self._list(call)
            case other:
                raise errors.not_implemented(f"GET of {call.target.rtype.key}/{other}")

    def _current(self, call: _Call) -> Obj:
        target = call.target
        return self.registry.get(target.rtype.key, target.namespace, target.name or "")

    # ---- reading

    def _get(self, call: _Call) -> JsonAnswer:
        obj = self._current(call)
        table = self._table(call)
        if table is not None:
            return _json(table.of([obj], {"resourceVersion": obj["metadata"]["resourceVersion"]}))
        if _wants_metadata(call.accept):
            return _json(partial_metadata(obj))
        return self._object(call, obj)

    def _object(self, call: _Call, obj: Obj, status: int = 200, warnings: Sequence[str] = ()) -> JsonAnswer:
        target = call.target
        if target.subresource == "scale":
            return _json(scale_of(self.registry, target.rtype, obj), status)
        if target.version != target.rtype.version:
            return JsonAnswer(msgspec.json.encode({**obj, "apiVersion": target.api_version}), status, warnings)
        return JsonAnswer(self.registry.encoded(obj), status, warnings)

    def _list(self, call: _Call) -> JsonAnswer:
        target, query = call.target, call.query
        if not target.rtype.namespaced and target.namespace is not None:
            raise unknown_path()
        matches = self._matches(call)
        limit = _number(query, "limit")
        token = query.get("continue")
        if token:
            found, version = self._continued(token)
        else:
            version = self.registry.version
            self._check_asked_version(query, version)
            found = self.registry.list(target.rtype.key, target.namespace)
            if matches is not None:
                found = [obj for obj in found if matches(obj)]
        metadata: Obj = {"resourceVersion": str(version)}
        if limit and len(found) > limit:
            metadata["continue"] = self._keep_rest(found[limit:], version)
            if matches is None:
                metadata["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        table = self._table(call)
        if table is not None:
            return _json(table.of(found, metadata))
        if _wants_metadata(call.accept):
            items = [partial_metadata(obj) for obj in found]
            return _json(
                {
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata,
                    "items": items,
                }
            )
        if not target.rtype.custom:
            # Lists of built-in types say kind and version once; clients rely on neither being in the items.
            found = [
                {name: value for name, value in obj.items() if name not in ("apiVersion", "kind")} for obj in found
            ]
        elif target.version != target.rtype.version:
            found = [{**obj, "apiVersion": target.api_version} for obj in found]
        return _json(
            {"kind": target.rtype.list_kind, "apiVersion": target.api_version, "metadata": metadata, "items": found}
        )

    def _check_asked_version(self, query: Mapping[str, str], version: int) -> None:
        asked = query.get("resourceVersion") or "0"
        if not asked.isdigit():
            raise bad_request(f'resourceVersion: Invalid value: "{asked}": a number')
        if int(asked) > version:
            cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            details = {"causes": [cause], "retryAfterSeconds": 1}
            message = f"Too large resource version: {asked}, current: {version}"
            raise ApiError(504, "Timeout", f"Timeout: {message}", details)
        if query.get("resourceVersionMatch") == "Exact" and int(asked) != version:
            raise ApiError(410, "Expired", "The resourceVersion for the provided list is too old.")

    def _keep_rest(self, rest: list[Obj], version: int) -> str:
        token = f"{next(self._tokens)}.{secrets.token_urlsafe(12)}"
        self._rests[token] = _Rest(rest, version, time.monotonic() + CONTINUE_FOR_S)
        if len(self._rests) > CONTINUES_KEPT:
            self._rests.popitem(last=False)
        return token

    def _continued(self, token: str) -> tuple[list[Obj], int]:
        rest = self._rests.get(token)
        if rest is None and not _CONTINUE.fullmatch(token):
            raise bad_request(f"continue key is not valid: {token[:40]!r}")
        if rest is None or rest.expires < time.monotonic():
            message = (
                "The provided continue parameter is too old to display a consistent list result. "
                "You must start a new list without the continue parameter."
            )
            raise ApiError(410, "Expired", message)
        return rest.objects, rest.version

    def _matches(self, call: _Call) -> Matches | None:
        labels, fields = call.query.get("labelSelector"), call.query.get("fieldSelector")
        name = call.target.name
        tests: list[Matches] = []
        if labels:
            by_labels = parse_selector(labels)
            tests.append(lambda obj: by_labels(obj["metadata"].get("labels") or {}))
        if fields:
            tests.append(parse_field_selector(call.target.rtype.key, fields))
        if name:
            tests.append(lambda obj: obj["metadata"]["name"] == name)
        if not tests:
            return None
        if len(tests) == 1:
            return tests[0]
        return lambda obj: all(test(obj) for test in tests)

    def _table(self, call: _Call) -> Table | None:
        if "as=Table" not in call.accept:
            return None
        rtype = call.target.rtype
        custom = self.registry.customs.get(rtype.key)
        columns = custom_columns(custom.versions[call.target.version].columns) if custom else columns_of(rtype)
        return Table(columns, call.query.get("includeObject", "Metadata"))

    async def _watch(self, request: web.BaseRequest, call: _Call) -> web.StreamResponse:
        query = call.query
        stream = WatchStream(
            self.registry,
            call.target,
            self._matches(call),
            bookmarks=query.get("allowWatchBookmarks") in ("1", "true", "True"),
            table=self._table(call),
            metadata_only=_wants_metadata(call.accept),
            disturb=functools.partial(self.disturb, request.path) if self.disturb is not None else None,
        )
        initial = query.get("sendInitialEvents") in ("1", "true", "True")
        asked = query.get("resourceVersion") or "0"
        if not asked.isdigit():
            raise bad_request(f'resourceVersion: Invalid value: "{asked}": a number')
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        if (deprecated := DEPRECATED.get(call.target.rtype.key)) is not None:
            response.headers.add("Warning", f"299 - {msgspec.json.encode(deprecated).decode()}")
        gone: ApiError | None = None
        try:
            stream.begin(None if asked == "0" or initial else int(asked), initial_end=initial)
        except ApiError as error:
            gone = error
        self._streams.add(stream)
        try:
            response.enable_chunked_encoding()
            await response.prepare(request)
            if gone is not None:
                # A real server has already said 200 when it finds out: the refusal is an event of the stream.
                await response.write(b'{"type":"ERROR","object":' + msgspec.json.encode(gone.as_status()) + b"}\n")
            else:
                await stream.run(response, watch_timeout_s(query.get("timeoutSeconds")))
            await response.write_eof()
        except ConnectionError:
            pass  # the watcher went away: nobody to tell
        finally:
            stream.end()
            self._streams.discard(stream)
        return response

    async def _log(self, request: web.BaseRequest, call: _Call) -> web.StreamResponse:
        query = call.query
        pod, container = self._container(call)
        node = pod["spec"].get("nodeName")
        if not node:
            return web.Response(body=b"", content_type="text/plain")
        lines = self._kubelet(node).logs(
            pod["metadata"]["namespace"],
            pod["metadata"]["name"],
            container,
            follow=query.get("follow") in ("1", "true"),
            tail_lines=_number(query, "tailLines"),
            previous=query.get("previous") in ("1", "true"),
            since_seconds=_number(query, "sinceSeconds"),
            since_time=query.get("sinceTime") or None,
            timestamps=query.get("timestamps") in ("1", "true"),
            limit_bytes=_number(query, "limitBytes"),
        )
        # The first piece is read before anything is answered, so that a refusal is a refusal.
        first = await anext(lines, None)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            if first is not None:
                await response.write(first)
                async for piece in lines:
                    await response.write(piece)
            await response.write_eof()
        except ConnectionError:
            pass  # the reader went away: nobody to tell
        return response

    def _container(self, call: _Call) -> tuple[Obj, str]:
        """The pod of a request and the one of its containers that is meant."""
        pod = self._current(call)
        names = [one["name"] for one in (*pod["spec"].get("containers", ()), *pod["spec"].get("initContainers", ()))]
        container = call.query.get("container") or (names[0] if len(pod["spec"].get("containers", ())) == 1 else "")
        if container not in names:
            listed = " ".join(one["name"] for one in pod["spec"].get("containers", ()))
            if container:
                raise bad_request(f"container {container} is not valid for pod {pod['metadata']['name']}")
            raise bad_request(
                f"a container name must be specified for pod {pod['metadata']['name']}, choose one of: [{listed}]"
            )
        return pod, container

    def _kubelet(self, node: str) -> KubeletPort:
        kubelet = self._kubelet_for(node)
        if kubelet is None:
            raise errors.not_implemented(f"talking to pods on {node}: this node has no kubelet in this process")
        return kubelet

    async def _exec(self, request: web.BaseRequest, call: _Call) -> web.StreamResponse:
        check_upgrade(request)
        pod, container = self._container(call)
        node = pod["spec"].get("nodeName")
        if not node:
            raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
        asked = {name: call.query.get(name) in ("1", "true") for name in ("stdin", "stdout", "stderr", "tty")}
        command = self._kubelet(node).exec(
            pod["metadata"]["namespace"],
            pod["metadata"]["name"],
            container,
            request.query.getall("command", []),
            stdin=asked["stdin"],
            tty=asked["tty"],
        )
        return await run_command(request, command, asked)

    async def _forward(self, request: web.BaseRequest, call: _Call) -> web.StreamResponse:
        portforward.check_upgrade(request)
        pod = self._current(call)
        name = pod["metadata"]["name"]
        if not pod["spec"].get("nodeName"):
            raise bad_request(f"pod {name} does not have a host assigned")
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            raise bad_request(f"pod {name} has no address yet")
        ports = portforward.parse_ports(request.query.getall("ports", []))
        forwarded = portforward.ForwardedPod(f"{pod['metadata']['namespace']}/{name}", address)
        return await portforward.forward(request, forwarded, ports)

    # ---- writing

    def _create(self, call: _Call, raw: bytes, content_type: str) -> JsonAnswer:
        target = call.target
        if target.rtype.namespaced and target.namespace is None:
            raise _not_allowed()
        obj = parse_object(raw, content_type)
        self._check_identity(call, obj)
        warnings = self._check_fields(call, obj)
        created = self.registry.create(target.rtype.key, obj, manager=call.manager, dry_run=call.dry_run)
        return self._written(call, created, 201, warnings)

    def _put(self, call: _Call, raw: bytes, content_type: str) -> JsonAnswer:
        target = call.target
        obj = parse_object(raw, content_type)
        if target.subresource == "scale":
            current = self._current(call)
            obj = with_scale(self.registry, target.rtype, current, obj)
            warnings: list[str] = []
        else:
            self._check_identity(call, obj)
            warnings = self._check_fields(call, obj)
        updated = self._update(call, obj)
        return self._written(call, updated, 200, warnings)

    def _written(self, call: _Call, obj: Obj, status: int, warnings: Sequence[str]) -> JsonAnswer:
        about = warnings_about(self.registry, call.target.rtype.key, obj) if call.target.subresource is None else []
        return self._object(call, obj, status, [*warnings, *about])

    def _update(self, call: _Call, obj: Obj) -> Obj:
        target = call.target
        scale = target.subresource == "scale"
        return self.registry.update(
            target.rtype.key,
            obj,
            subresource=None if scale else target.subresource,
            manager=call.manager,
            owned_as="scale" if scale else None,
            dry_run=call.dry_run,
        )

    def _check_identity(self, call: _Call, obj: Obj) -> None:
        """The body must be about what the URL is about; what the body leaves out, the URL says."""
        target = call.target
        kind, api_version = target.rtype.kind, target.api_version
        if obj.get("kind", kind) != kind or obj.get("apiVersion", api_version) != api_version:
            got = f"{obj.get('apiVersion', '')}, Kind={obj.get('kind', '')}"
            raise bad_request(
                f"the object provided is unrecognized: expected {api_version}, Kind={kind}, but got {got}"
            )
        metadata = obj.get("metadata")
        if metadata is None:
            metadata = obj["metadata"] = {}
        if not isinstance(metadata, dict):
            raise bad_request("metadata: must be an object")
        if target.namespace is not None:
            if metadata.setdefault("namespace", target.namespace) not in ("", target.namespace):
                raise bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            metadata["namespace"] = target.namespace
        if target.name is not None and (metadata.get("name") or target.name) != target.name:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})"
            )
        if target.name is not None:
            metadata["name"] = target.name

    def _check_fields(self, call: _Call, obj: Obj, stored: Obj | None = None) -> list[str]:
        """Unknown fields: refused or warned of, as fieldValidation says. *stored*: what a patch made *obj* from."""
        target = call.target
        how = call.query.get("fieldValidation") or "Warn"
        custom = self.registry.customs.get(target.rtype.key)
        warnings = [custom.versions[target.version].deprecation] if custom else []
        if how != "Ignore" and (schema := self.registry.schema_of(target.rtype, target.version)) is not None:
            if stored is not None and target.version == target.rtype.version:
                # What a patch did not touch is the very thing that was stored, without unknown fields.
                obj = {name: value for name, value in obj.items() if value is not stored.get(name)}
            known = certainly_known(schema)(obj)
            unknown = [] if known else [f'unknown field "{path}"' for path in unknown_fields(schema, obj)]
            if unknown and how == "Strict":
                kind = target.rtype.kind
                why = f"strict decoding error: {', '.join(unknown)}"
                raise bad_request(f'{kind} in version "{target.version}" cannot be handled as a {kind}: {why}')
            warnings += unknown
        return [one for one in warnings if one]

    def _patch(self, call: _Call, raw: bytes, content_type: str) -> JsonAnswer:
        target = call.target
        if content_type == "application/apply-patch+yaml":
            return self._apply(call, raw)
        current = self._current(call)
        if target.subresource == "scale":
            subject = scale_of(self.registry, target.rtype, current)
        else:
            subject = {**current, "apiVersion": target.api_version}
        match content_type:
            case "application/json-patch+json":
                patched = json_patch(subject, parse_json(raw))
            case "application/merge-patch+json":
                patched = merge_patch(subject, parse_json(raw))
            case "application/strategic-merge-patch+json":
                schema = self.registry.schema_of(target.rtype, target.version)
                if target.rtype.custom:
                    raise unsupported_media_type(content_type, _PATCHES_OF_CUSTOM)
                patched = strategic_patch(schema or {}, subject, parse_json(raw))
            case other:
                raise unsupported_media_type(other, (*_PATCHES_OF_CUSTOM, "application/strategic-merge-patch+json"))
        if target.subresource == "scale":
            patched = with_scale(self.registry, target.rtype, current, patched)
            warnings: list[str] = []
        else:
            self._check_identity(call, patched)
            check_same_uid(target.rtype, patched["metadata"], current)
            warnings = self._check_fields(call, patched, current)
        return self._written(call, self._update(call, patched), 200, warnings)

    def _apply(self, call: _Call, raw: bytes) -> JsonAnswer:
        target = call.target
        config = parse_yaml(raw)
        if not isinstance(config, dict):
            raise bad_request("the applied configuration is not an object")
        if not call.query.get("fieldManager"):
            missing = errors.required_value("fieldManager", "is required for apply patch")
            raise errors.invalid("meta.k8s.io", "PatchOptions", "", [missing])
        if target.subresource == "scale":
            raise errors.not_implemented("server-side apply on the scale subresource")
        self._check_identity(call, config)
        warnings = self._check_fields(call, config)
        applied, created = self.registry.apply(
            target.rtype.key,
            config,
            manager=call.manager,
            force=call.query.get("force") in ("1", "true", "True"),
            subresource=target.subresource,
            dry_run=call.dry_run,
        )
        return self._written(call, applied, 201 if created else 200, warnings)

    async def _review(self, request: web.BaseRequest, target: Target) -> JsonAnswer:
        if request.method != "POST" or target.name is not None:
            raise _not_allowed()
        asked = parse_object(await _read(request), request.content_type)
        kind = target.rtype.kind
        if asked.get("kind", kind) != kind:
            raise bad_request(f"the object provided is unrecognized: expected Kind={kind}, but got {asked['kind']}")
        asked |= {"kind": kind, "apiVersion": target.api_version}
        answer = answer_review(self.registry, self.token, target.rtype.plural, target.namespace, asked)
        return _json(answer, 201)

    # ---- deleting

    def _delete(self, call: _Call, raw: bytes, content_type: str) -> JsonAnswer:
        options = _delete_options(raw, content_type, call.query)
        target = call.target
        if target.name is not None:
            return self._deleted(call, self._delete_one(call, target.namespace, target.name, options))
        if target.rtype.namespaced and target.namespace is None:
            raise _not_allowed()
        matches = self._matches(call)
        found = [
            obj for obj in self.registry.list(target.rtype.key, target.namespace) if matches is None or matches(obj)
        ]
        version = self.registry.version
        for obj in found:
            self._delete_one(call, obj["metadata"].get("namespace"), obj["metadata"]["name"], options)
        items = {"kind": target.rtype.list_kind, "apiVersion": target.api_version, "items": found}
        return _json({**items, "metadata": {"resourceVersion": str(version)}})

    def _delete_one(self, call: _Call, namespace: str | None, name: str, options: Obj) -> Obj:
        preconditions = options.get("preconditions") or {}
        return self.registry.delete(
            call.target.rtype.key,
            namespace,
            name,
            propagation=options.get("propagationPolicy"),
            grace_s=options.get("gracePeriodSeconds"),
            uid=preconditions.get("uid"),
            resource_version=preconditions.get("resourceVersion"),
            dry_run=call.dry_run or options.get("dryRun") == ["All"],
        )

    def _deleted(self, call: _Call, obj: Obj) -> JsonAnswer:
        rtype = call.target.rtype
        metadata = obj["metadata"]
        still_there = self.registry.find(rtype.key, metadata.get("namespace"), metadata["name"])
        waits = still_there is not None and still_there["metadata"]["uid"] == metadata["uid"]
        if waits or rtype.key in _DELETE_ANSWERS_OBJECT:
            return self._object(call, obj)
        details = {"name": metadata["name"], "kind": rtype.plural, "uid": metadata["uid"]}
        if rtype.group:
            details["group"] = rtype.group
        return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})

    def _evict(self, call: _Call, eviction: Obj) -> JsonAnswer:
        pod = self._current(call)
        options = eviction.get("deleteOptions") or {}
        dry_run = call.dry_run or options.get("dryRun") == ["All"]
        check_eviction(self.registry, pod, dry_run=dry_run)
        self._delete_one(call, call.target.namespace, call.target.name or "", options)
        return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)


_CONTINUE = re.compile(r"\d+\.[\w-]{16}")
_PATCHES_OF_CUSTOM = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")


def _not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


async def keep_body(request: web.BaseRequest) -> None:
    """Reads the body now: it can be answered even when its sender is gone by then. Raises ApiError 413."""
    request[_BODY] = await _read(request)


async def _read(request: web.BaseRequest) -> bytes:
    kept: bytes | None = request.get(_BODY)
    if kept is not None:
        return kept
    if request.content_length is not None and request.content_length > MAX_BODY_BYTES:
        raise ApiError(413, "RequestEntityTooLarge", f"limit is {MAX_BODY_BYTES}", {})
    # Most bodies are there before anybody asks for them.
    raw = request.content.read_nowait() if request.content.is_eof() else await request.content.read()
    if len(raw) > MAX_BODY_BYTES:
        raise ApiError(413, "RequestEntityTooLarge", f"limit is {MAX_BODY_BYTES}", {})
    return raw


def _json(obj: Any, status: int = 200) -> JsonAnswer:
    return JsonAnswer(msgspec.json.encode(obj), status)


def _wants_metadata(accept: str) -> bool:
    return "as=PartialObjectMetadata" in accept


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None or text == "":
        return None
    if not text.lstrip("-").isdigit():
        raise bad_request(f"{name}: {text!r} is not a number")
    return int(text)


def _delete_options(raw: bytes, content_type: str, query: Mapping[str, str]) -> Obj:
    options: Obj = parse_object(raw, content_type) if raw.strip() else {}
    if "propagationPolicy" in query:
        options.setdefault("propagationPolicy", query["propagationPolicy"])
    grace = _number(query, "gracePeriodSeconds")
    if grace is not None:
        options.setdefault("gracePeriodSeconds", grace)
    if options.get("orphanDependents") is not None:
        options.setdefault("propagationPolicy", "Orphan" if options["orphanDependents"] else "Background")
    return options
