"""Where the API server is and how it is reached: address, TLS, and credentials before every request."""

import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tdredis.kube.credentials import LOOK_AGAIN_S, ConfigError, Credentials, Nobody


@dataclass(frozen=True, slots=True)
class Access:
    """What one request needs: headers with the credentials, and the TLS context (None: plain http)."""

    headers: Mapping[str, str]
    tls: ssl.SSLContext | None


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
        if self._monotonic() - self._ca_looked_at > LOOK_AGAIN_S:
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
