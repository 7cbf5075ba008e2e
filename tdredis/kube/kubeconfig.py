"""Which API server is meant, and as whom: by a kubeconfig, or by the files of the pod that we run in."""

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import yaml

from tdredis.kube.config import ClusterConfig
from tdredis.kube.credentials import ConfigError, Credential, Credentials, Files, Fixed, Nobody, Plugin

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


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
