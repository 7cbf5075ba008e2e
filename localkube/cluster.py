"""A whole small Kubernetes in one process: what is started, in which order, and that nothing of it stays behind."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec
import yaml

from localkube.controllers import Controllers, Settings, start_all
from localkube.errors import ApiError
from localkube.faults import Admin, BadFault, Faults
from localkube.faults.firewall import Firewall
from localkube.faults.silence import Silence
from localkube.faults.uplink import Uplink
from localkube.journal import Journal
from localkube.kubelet import Catalogue, Kubelet, Nodes
from localkube.kubelet.backoff import Pace
from localkube.kubelet.preflight import check_sandbox
from localkube.registry import Registry
from localkube.server.app import ApiServer

# The second byte of the pods' addresses, 127.B.n.k; Service addresses begin 64 higher.
BLOCKS = range(64, 128)
GoneAddresses = Literal["silent", "refused"]
NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class _Identity(msgspec.Struct):
    """What clients and objects hold on to across restarts."""

    token: str
    port: int
    block: int


class Cluster:
    """`async with Cluster(nodes=3) as cluster:` and `cluster.kubeconfig` is a file that any client understands.

    *state*: a directory that outlives this cluster; by default a temporary one. *pace*: restart back-off of containers.
    *empty_dir_size*: emptyDirs are filesystems of that size, which can be full. *address_reuse*: an address is given
    out again at once. *gone_addresses*: what a connection to an address meets that no pod has; by default it is silent
    where that is possible.
    *catalogue*: which programs play which images.
    Raises RuntimeError, with what to do, where pods cannot be fenced in.
    """

    def __init__(
        self,
        *,
        nodes: int = 3,
        state: Path | None = None,
        kubeconfig: Path | None = None,
        port: int = 0,
        node_cpu: str = "16",
        node_memory: str = "64Gi",
        node_pods: int = 110,
        pace: Pace | None = None,
        address_reuse: bool = False,
        empty_dir_size: str | None = None,
        gone_addresses: GoneAddresses | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        check_sandbox()
        self._keep_state = state is not None
        self.state = state or Path(tempfile.mkdtemp(prefix="localkube-"))
        self.state.mkdir(parents=True, exist_ok=True)
        self._identity_file = self.state / "identity.json"
        self.kubeconfig = kubeconfig or self.state / "kubeconfig"
        known = self._known_identity()
        self._claim, block = claim_block(known.block if known else None)
        self.registry = Registry()
        self.server = ApiServer(
            self.registry,
            port=port or (known.port if known else 0),
            token=known.token if known else secrets.token_urlsafe(24),
            kubelet_for=self._kubelet_or_none,
        )
        self.block = block
        self._uplinks: dict[str, Uplink] = {}
        self.nodes = Nodes(
            self.registry,
            count=nodes,
            block=block,
            state_dir=self.state,
            cpu=node_cpu,
            memory=node_memory,
            pods=node_pods,
            catalogue=catalogue,
            pace=pace,
            address_reuse=address_reuse,
            empty_dir_size=empty_dir_size,
            uplink=lambda name: self._uplinks.setdefault(name, Uplink(self.registry)),
        )
        firewall = Firewall(block)
        self._silence = Silence(self.nodes.addresses, self.nodes.ranges.values(), firewall)
        self._gone_addresses = gone_addresses
        self.faults = Faults(
            self.registry, self.nodes, self.server, self._uplinks, firewall=firewall, silence=self._silence
        )
        Admin(self.faults)
        self._journal = Journal(self.state / "journal.jsonl") if self._keep_state else None
        self._controllers: Controllers | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        if self._journal is not None:
            self._journal.open(self.registry)
        for name in NAMESPACES:
            if self.registry.find("namespaces", None, name) is None:
                self.registry.create("namespaces", {"metadata": {"name": name}})
        self._controllers = start_all(self.registry, Settings(block=self.block, state_dir=self.state))
        if self._gone_addresses != "refused":
            try:
                self._silence.begin()
            except BadFault as error:
                if self._gone_addresses == "silent":
                    raise RuntimeError(f"addresses that are gone cannot be silent: {error}") from error
        self.nodes.start()
        await self.server.start()
        identity = _Identity(self.server.token, self.server.port, self.block)
        _write_private(self._identity_file, msgspec.json.encode(identity))
        _write_private(self.kubeconfig, build_kubeconfig(self.server.url_with_token, self.server.token))

    async def stop(self) -> None:
        """Ends every process and closes every port; removes the state unless it was asked for."""
        await self.faults.clear()
        await self.server.stop()
        await self.nodes.stop()
        self._silence.end()
        if self._controllers is not None:
            await self._controllers.stop()
            self._controllers = None
        if self._journal is not None:
            self._journal.close()
        self._claim.close()
        if not self._keep_state:
            shutil.rmtree(self.state, ignore_errors=True)

    def kubelet_for(self, node: str) -> Kubelet:
        """Raises ApiError 404."""
        return self.nodes.kubelet_for(node)

    def _kubelet_or_none(self, node: str) -> Kubelet | None:
        self.faults.nodes.check_reachable(node)
        try:
            return self.nodes.kubelet_for(node)
        except ApiError:
            return None

    def _known_identity(self) -> _Identity | None:
        if not self._identity_file.exists():
            return None
        return msgspec.json.decode(self._identity_file.read_bytes(), type=_Identity)


def claim_block(wanted: int | None) -> tuple[socket.socket, int]:
    """An address block no other localkube of this machine uses: held by a listening socket, so that death frees it.

    Raises RuntimeError when there is none, or *wanted* is taken.
    """
    first = os.getpid() % len(BLOCKS)
    candidates = [wanted] if wanted is not None else [*BLOCKS[first:], *BLOCKS[:first]]
    for block in candidates:
        claim = socket.socket()
        try:
            claim.bind((f"127.{block}.255.254", 1023 if os.geteuid() == 0 else 61023))
            claim.listen(1)
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return claim, block
    taken = f"block {wanted} of this state directory" if wanted is not None else "every address block"
    raise RuntimeError(f"{taken} is in use: another localkube runs with it")


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def build_kubeconfig(url: str, token: str) -> bytes:
    name = "localkube"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        "current-context": name,
    }
    return yaml.safe_dump(config, sort_keys=False).encode()
