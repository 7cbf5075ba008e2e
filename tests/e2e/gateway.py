"""What stands between a pod and the API server, where localkube has one administrator and no TLS: TLS, the token of a
ServiceAccount, and RBAC. Whoever lacks a right is refused; what was used is remembered.
"""

from __future__ import annotations

import contextlib
import secrets
import ssl
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web

from localkube.cluster import Cluster
from localkube.server.target import Target, parse_target
from tests.e2e.world import Obj

ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
DEADLINE_S = 30
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, order=True)
class Right:
    """As a rule of a role says it; *resource* with its subresource: "pods/resize"."""

    verb: str
    group: str
    resource: str


@dataclass
class Gateway:
    """`async with`: `port` speaks HTTPS on 127.0.0.1; `folder` is what a pod of the account finds at ACCOUNT_FOLDER."""

    cluster: Cluster
    namespace: str
    account: str
    folder: Path
    used: Counter[Right] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.account}"

    async def __aenter__(self) -> Self:
        self._token = secrets.token_urlsafe(24)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None), connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
        )
        self._server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._write_account())
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()  # a pod that is gone does not answer TLS's goodbye
        await self._runner.cleanup()
        await self._session.close()

    def _write_account(self) -> ssl.SSLContext:
        """The account's folder, and the TLS of a server that its ca.crt vouches for."""
        self.folder.mkdir(parents=True)
        key, certificate = self.folder.parent / "gateway.key", self.folder / "ca.crt"
        command = [
            *("openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-days", "2", "-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE_S)
        (self.folder / "token").write_text(self._token)
        (self.folder / "namespace").write_text(self.namespace)
        for path in (self.folder, *self.folder.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)  # the pod's user is nobody here
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return _status(401, "Unauthorized", "Unauthorized")
        body = await request.read()
        if _is_about_objects(request.path):
            target = parse_target(request.path, self.cluster.registry.types)
            for right in self._needed(request, target):
                self.used[right] += 1
                if not await self._allows(right, target):
                    message = (
                        f'{target.rtype.plural} "{target.name or ""}" is forbidden: User "{self.user}" cannot '
                        f'{right.verb} resource "{right.resource}" in API group "{right.group}"'
                    )
                    self.refused.append(message)
                    return _status(403, "Forbidden", message)
        return await self._forward(request, body)

    def _needed(self, request: web.BaseRequest, target: Target) -> list[Right]:
        resource = "/".join(filter(None, (target.rtype.plural, target.subresource)))
        if request.method == "GET":
            watched = request.query.get("watch") in ("1", "true")
            verb = "get" if target.name else "watch" if watched else "list"
        else:
            verb = _VERBS[request.method]
        needed = [Right(verb, target.rtype.group, resource)]
        applied = request.content_type == "application/apply-patch+yaml" and target.subresource is None
        # As the API server: an apply that makes the object needs the right to make one.
        if applied and self.cluster.registry.find(target.rtype.key, target.namespace, target.name or "") is None:
            needed.append(Right("create", target.rtype.group, resource))
        return needed

    async def _allows(self, right: Right, target: Target) -> bool:
        plural, _, subresource = right.resource.partition("/")
        asked: Obj = {"verb": right.verb, "group": right.group, "resource": plural, "subresource": subresource}
        asked |= {"namespace": target.namespace or "", "name": target.name or ""}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": self.user,
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "resourceAttributes": asked,
            },
        }
        url = f"{self.cluster.server.url_with_token}/apis/authorization.k8s.io/v1/subjectaccessreviews"
        async with self._session.post(url, json=review) as answer:
            answer.raise_for_status()
            return bool((await answer.json())["status"]["allowed"])

    async def _forward(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        kept = {
            name: request.headers[name] for name in ("Accept", "Content-Type", "User-Agent") if name in request.headers
        }
        url = self.cluster.server.url_with_token + request.raw_path
        async with self._session.request(request.method, url, data=body or None, headers=kept) as answer:
            reply = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
            # A watch whose reader is gone, or whose server is.
            with contextlib.suppress(ConnectionError, aiohttp.ClientPayloadError):
                await reply.prepare(request)
                async for chunk in answer.content.iter_any():
                    await reply.write(chunk)
                await reply.write_eof()
            return reply


def _is_about_objects(path: str) -> bool:
    """Not discovery, which everybody may ask."""
    parts = path.strip("/").split("/")
    return len(parts) > 3 or (parts[0] == "api" and len(parts) == 3)


def _status(code: int, reason: str, message: str) -> web.Response:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }
    return web.json_response(status, status=code)
