"""Where the API server is and as whom we speak to it: in-cluster files or a kubeconfig, renewed while we run."""

import asyncio
import base64
import binascii
import contextlib
import json
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec
import yaml

from tdredis.kube.objects import parse_time

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LOOK_AGAIN_S = 10.0  # how long a token or certificate file is believed unchanged
_RENEW_BEFORE_S = 60.0
_PLUGIN_DEADLINE_S = 30.0


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file and the field."""


@dataclass(frozen=True, slots=True)
class Access:
    """What one request needs: headers with the credentials, and the TLS context (None: plain http)."""

    headers: Mapping[str, str]
    tls: ssl.SSLContext | None


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
        if self._known is None or self._monotonic() - self._looked_at > _LOOK_AGAIN_S:
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


class ClusterConfig:
    """One API server and one identity. `current()` before every request; `refused()` after a 401."""

    def __init__(
        self,
        server: str,
        credentials: Credentials | None = None,
        *,
        ca: bytes | Path | None = None,
        verify: bool = True,
        tls_server_name: str | None = None,
        proxy: str | None = None,
        namespace: str = "default",
        extra_headers: Mapping[str, str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server = server.rstrip("/")
        self.namespace = namespace
        self.proxy = proxy
        self.tls_server_name = tls_server_name
        self._credentials: Credentials = credentials or Nobody()
        self._ca = ca
        self._verify = verify
        self._extra_headers = dict(extra_headers or {})
        self._monotonic = monotonic
        self._context: ssl.SSLContext | None = None
        self._context_for: tuple[bytes | None, tuple[bytes, bytes] | None] | None = None
        self._ca_known: bytes | None = None
        self._ca_looked_at = float("-inf")

    def __repr__(self) -> str:
        return f"<ClusterConfig {self.server}>"

    async def current(self) -> Access:
        """Raises ConfigError if the credentials cannot be had."""
        credential = await self._credentials.current()
        headers = {**self._extra_headers, **credential.headers}
        return Access(headers, self._tls(credential.identity) if self.server.startswith("https:") else None)

    def refused(self) -> None:
        self._credentials.refused()

    def _tls(self, identity: tuple[bytes, bytes] | None) -> ssl.SSLContext:
        wanted = (self._read_ca(), identity)
        if self._context is None or wanted != self._context_for:
            # A new context, and with it new connections: what is under way on the old ones ends undisturbed.
            self._context = build_tls(*wanted, verify=self._verify)
            self._context_for = wanted
        return self._context

    def _read_ca(self) -> bytes | None:
        if not isinstance(self._ca, Path):
            return self._ca
        if self._monotonic() - self._ca_looked_at > _LOOK_AGAIN_S:
            try:
                self._ca_known = self._ca.read_bytes()
            except OSError as error:
                if self._ca_known is None:
                    raise ConfigError(f"cannot read the certificate authority {self._ca}: {error}") from error
            self._ca_looked_at = self._monotonic()
        return self._ca_known


def build_tls(ca: bytes | None, identity: tuple[bytes, bytes] | None, *, verify: bool = True) -> ssl.SSLContext:
    """Raises ConfigError for PEM that does not load. `ca` None: the machine's own authorities."""
    try:
        context = ssl.create_default_context(cadata=ca.decode() if ca else None)
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if identity is not None:
            # OpenSSL reads a key only from a file: ours is readable by us alone and gone after the line.
            with tempfile.NamedTemporaryFile(prefix="tdredis-") as pem:
                pem.write(b"\n".join(identity))
                pem.flush()
                context.load_cert_chain(pem.name)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"a certificate or key does not load: {error}") from error
    return context


def load_config(kubeconfig: str | Path | None = None, context: str | None = None) -> ClusterConfig:
    """The given kubeconfig, else that of KUBECONFIG, else the pod's service account, else ~/.kube/config.

    Raises ConfigError with a sentence that says what is missing where.
    """
    if kubeconfig is not None:
        return load_kubeconfig((Path(kubeconfig),), context)
    if listed := os.environ.get("KUBECONFIG"):
        return load_kubeconfig(tuple(Path(part) for part in listed.split(os.pathsep) if part), context)
    if "KUBERNETES_SERVICE_HOST" in os.environ and context is None:
        return load_in_cluster()
    return load_kubeconfig((Path.home() / ".kube" / "config",), context)


def load_in_cluster(directory: Path = SERVICE_ACCOUNT, environment: Mapping[str, str] | None = None) -> ClusterConfig:
    """The identity of the pod that we run in. Raises ConfigError outside of one."""
    environment = os.environ if environment is None else environment
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (directory / "token").exists():
        raise ConfigError(f"not in a pod: KUBERNETES_SERVICE_HOST or {directory}/token is missing")
    namespace = directory / "namespace"
    return ClusterConfig(
        f"https://{f'[{host}]' if ':' in host else host}:{port}",
        Files(token=directory / "token"),
        ca=directory / "ca.crt",
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
    )


class _Cluster(msgspec.Struct, rename="kebab"):
    server: str
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None
    proxy_url: str | None = None
    directory: Path = Path()


class _Variable(msgspec.Struct):
    name: str
    value: str


class _Exec(msgspec.Struct, rename="camel"):
    command: str
    api_version: str
    args: list[str] | None = None
    env: list[_Variable] | None = None
    provide_cluster_info: bool = False


class _User(msgspec.Struct, rename="kebab"):
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = msgspec.field(name="tokenFile", default="")
    username: str = ""
    password: str = ""
    exec: _Exec | None = None
    auth_provider: dict[str, object] | None = None
    impersonate: str = msgspec.field(name="as", default="")
    impersonate_groups: list[str] = msgspec.field(name="as-groups", default_factory=list)
    directory: Path = Path()


class _Context(msgspec.Struct):
    cluster: str
    user: str = ""
    namespace: str = "default"


class _NamedCluster(msgspec.Struct):
    name: str
    cluster: _Cluster


class _NamedUser(msgspec.Struct):
    name: str
    user: _User | None = None


class _NamedContext(msgspec.Struct):
    name: str
    context: _Context


class _Kubeconfig(msgspec.Struct, rename="kebab"):
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None
    current_context: str = ""


def load_kubeconfig(paths: tuple[Path, ...], context: str | None = None) -> ClusterConfig:
    """Several files merge as kubectl merges them: for every name the first file that has it wins."""
    clusters: dict[str, _Cluster] = {}
    users: dict[str, _User] = {}
    contexts: dict[str, _Context] = {}
    for path in paths:
        if len(paths) > 1 and not path.exists():
            continue
        read = _read_kubeconfig(path)
        for cluster in read.clusters or ():
            cluster.cluster.directory = path.parent
            clusters.setdefault(cluster.name, cluster.cluster)
        for user in read.users or ():
            its = user.user or _User()
            its.directory = path.parent
            users.setdefault(user.name, its)
        for named in read.contexts or ():
            contexts.setdefault(named.name, named.context)
        context = context or read.current_context
    where = os.pathsep.join(map(str, paths))
    if not context or context not in contexts:
        raise ConfigError(f"{where}: no context {context!r}; there are: {', '.join(sorted(contexts)) or 'none'}")
    chosen = contexts[context]
    if chosen.cluster not in clusters:
        raise ConfigError(f"{where}: context {context!r} names cluster {chosen.cluster!r}, which is not there")
    if chosen.user and chosen.user not in users:
        raise ConfigError(f"{where}: context {context!r} names user {chosen.user!r}, which is not there")
    return _build_config(clusters[chosen.cluster], users.get(chosen.user, _User()), chosen.namespace, where)


def _read_kubeconfig(path: Path) -> _Kubeconfig:
    try:
        return msgspec.convert(yaml.safe_load(path.read_text()) or {}, _Kubeconfig)
    except OSError as error:
        raise ConfigError(f"cannot read the kubeconfig: {error}") from error
    except yaml.YAMLError as error:
        # Without the parser's excerpt: the line it quotes may be a token.
        raise ConfigError(f"{path}: not YAML") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error


def _build_config(cluster: _Cluster, user: _User, namespace: str, where: str) -> ClusterConfig:
    ca: bytes | Path | None = None
    if cluster.certificate_authority_data:
        ca = _decoded(cluster.certificate_authority_data, where, "certificate-authority-data")
    elif cluster.certificate_authority:
        ca = cluster.directory / cluster.certificate_authority
    extra: dict[str, str] = {}
    if user.impersonate:
        extra["Impersonate-User"] = user.impersonate
    if user.impersonate_groups:
        raise ConfigError(f"{where}: as-groups is not supported, impersonate a user without groups")
    return ClusterConfig(
        cluster.server,
        _build_credentials(cluster, user, where),
        ca=ca,
        verify=not cluster.insecure_skip_tls_verify,
        tls_server_name=cluster.tls_server_name,
        proxy=cluster.proxy_url,
        namespace=namespace,
        extra_headers=extra,
    )


def _build_credentials(cluster: _Cluster, user: _User, where: str) -> Credentials:
    if user.auth_provider is not None:
        raise ConfigError(f"{where}: auth-provider is gone from Kubernetes since 1.26, use an exec plug-in")
    if user.exec is not None:
        return _build_plugin(user.exec, cluster, user.directory)
    certificate: bytes | Path | None = _inline_or_file(
        user.client_certificate_data, user.client_certificate, user.directory, where, "client-certificate-data"
    )
    key = _inline_or_file(user.client_key_data, user.client_key, user.directory, where, "client-key-data")
    if (certificate is None) != (key is None):
        raise ConfigError(f"{where}: a client certificate needs its key, and a key its certificate")
    # Inline wins over a file, as in kubectl; a file is re-read because somebody renews it.
    token_file = None
    headers: dict[str, str] = {}
    if user.token:
        headers["Authorization"] = f"Bearer {user.token}"
    elif user.token_file:
        token_file = user.directory / user.token_file
    elif user.username:
        pair = base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    if isinstance(certificate, Path) and isinstance(key, Path) and not headers:
        return Files(token=token_file, identity=(certificate, key))
    if token_file is not None and certificate is None:
        return Files(token=token_file)
    if token_file is not None:
        raise ConfigError(f"{where}: tokenFile together with an inline certificate is not supported, use one of them")
    if certificate is None or key is None:
        return Fixed(Credential(headers)) if headers else Nobody()
    return Fixed(Credential(headers, (_content(certificate, where), _content(key, where))))


def _build_plugin(plugin: _Exec, cluster: _Cluster, directory: Path) -> Plugin:
    # A command with a slash is relative to the kubeconfig, as for kubectl; without one it is looked up on PATH.
    command = str(directory / plugin.command) if "/" in plugin.command else plugin.command
    info: dict[str, object] | None = None
    if plugin.provide_cluster_info:
        info = {
            "server": cluster.server,
            "certificate-authority-data": cluster.certificate_authority_data,
            "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        }
    environment = {variable.name: variable.value for variable in plugin.env or ()}
    return Plugin(command, tuple(plugin.args or ()), environment, api_version=plugin.api_version, cluster_info=info)


def _inline_or_file(data: str, file: str, directory: Path, where: str, name: str) -> bytes | Path | None:
    if data:
        return _decoded(data, where, name)
    return directory / file if file else None


def _content(source: bytes | Path, where: str) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise ConfigError(f"{where}: {error}") from error


def _decoded(data: str, where: str, name: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"{where}: {name} is not base64") from error
