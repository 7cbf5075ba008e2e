"""As whom we speak to the API server: tokens and certificates from files, from a plug-in, renewed while we run."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from tdredis.kube.objects import parse_time

LOOK_AGAIN_S = 10.0  # how long a token or certificate file is believed unchanged
_RENEW_BEFORE_S = 60.0
_PLUGIN_DEADLINE_S = 30.0


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file and the field."""


class Credentials(Protocol):
    """A source of credentials. `identity` is (certificate, key) as PEM, or None."""

    async def current(self) -> "Credential": ...

    def refused(self) -> None:
        """The server answered 401: what is remembered is not to be offered again."""


@dataclass(frozen=True, slots=True)
class Credential:
    headers: Mapping[str, str] = field(default_factory=dict)
    identity: tuple[bytes, bytes] | None = field(default=None, repr=False)


class Nobody:
    """No credentials: a server on loopback, or client certificates given elsewhere."""

    async def current(self) -> Credential:
        return Credential()

    def refused(self) -> None:
        return


@dataclass(frozen=True, slots=True, repr=False)
class Fixed:
    """Credentials that never change: an inline token or certificate, a user name and password."""

    credential: Credential

    async def current(self) -> Credential:
        return self.credential

    def refused(self) -> None:
        return


class Files:
    """A token file and a certificate pair that somebody else renews on disk (the kubelet, cert-manager)."""

    def __init__(
        self,
        *,
        token: Path | None = None,
        identity: tuple[Path, Path] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = token
        self._identity = identity
        self._monotonic = monotonic
        self._known: Credential | None = None
        self._looked_at = 0.0

    async def current(self) -> Credential:
        if self._known is None or self._monotonic() - self._looked_at > LOOK_AGAIN_S:
            try:
                self._known = self._read()
            except OSError as error:
                # Mid-rotation a file may be missing for a moment: what was good stays good until the server refuses it.
                if self._known is None:
                    raise ConfigError(f"cannot read the credentials: {error}") from error
            self._looked_at = self._monotonic()
        return self._known

    def refused(self) -> None:
        self._looked_at = float("-inf")

    def _read(self) -> Credential:
        headers = {}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.read_text().strip()}"
        if self._identity is None:
            return Credential(headers)
        certificate, key = self._identity
        return Credential(headers, (certificate.read_bytes(), key.read_bytes()))


class Plugin:
    """A client-go exec credential plug-in: run when there is nothing, when it expires, and after a 401."""

    def __init__(
        self,
        command: str,
        arguments: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        *,
        api_version: str,
        cluster_info: Mapping[str, object] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._command = command
        self._arguments = arguments
        self._environment = dict(environment or {})
        self._api_version = api_version
        self._cluster_info = cluster_info
        self._now = now
        self._lock = asyncio.Lock()
        self._known: Credential | None = None
        self._expires_at: float | None = None  # None: it said nothing, good until refused

    async def current(self) -> Credential:
        async with self._lock:  # a hundred requests that find it expired start one process
            if self._known is None or (self._expires_at is not None and self._now() >= self._expires_at):
                self._known, self._expires_at = await self._run()
            return self._known

    def refused(self) -> None:
        self._known = None

    async def _run(self) -> tuple[Credential, float | None]:
        spec: dict[str, object] = {"interactive": False}
        if self._cluster_info is not None:
            spec["cluster"] = self._cluster_info
        asked = {"apiVersion": self._api_version, "kind": "ExecCredential", "spec": spec}
        try:
            process = await asyncio.create_subprocess_exec(
                self._command,
                *self._arguments,
                env={**os.environ, **self._environment, "KUBERNETES_EXEC_INFO": json.dumps(asked)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise ConfigError(f"credential plug-in {self._command!r} does not start: {error}") from error
        try:
            async with asyncio.timeout(_PLUGIN_DEADLINE_S):
                out, err = await process.communicate()
        except TimeoutError as error:
            raise ConfigError(
                f"credential plug-in {self._command!r} gave no answer in {_PLUGIN_DEADLINE_S} s"
            ) from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            said = err[-300:].decode("utf-8", "replace").strip()
            raise ConfigError(f"credential plug-in {self._command!r} failed with {process.returncode}: {said}")
        try:
            status = _PLUGIN_ANSWER.decode(out).status
        except msgspec.DecodeError as error:
            raise ConfigError(f"credential plug-in {self._command!r} printed no ExecCredential: {error}") from error
        identity = None
        if status.client_certificate_data and status.client_key_data:
            identity = (status.client_certificate_data.encode(), status.client_key_data.encode())
        if not status.token and identity is None:
            raise ConfigError(f"credential plug-in {self._command!r} gave neither a token nor a certificate")
        headers = {"Authorization": f"Bearer {status.token}"} if status.token else {}
        return Credential(headers, identity), self._renewal_time(status.expiration_timestamp)

    def _renewal_time(self, expires: str | None) -> float | None:
        if expires is None:
            return None
        now, ends = self._now(), parse_time(expires)
        return ends - min(_RENEW_BEFORE_S, (ends - now) / 10)  # a tenth, so that a token of 30 s is not renewed at once


class _PluginStatus(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: str | None = None


class _PluginAnswer(msgspec.Struct):
    status: _PluginStatus


_PLUGIN_ANSWER = msgspec.json.Decoder(_PluginAnswer)
