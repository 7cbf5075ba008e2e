"""What it is for a node to die or to be out of reach, and to come back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping

from localkube.errors import ApiError
from localkube.faults.menu import BadFault, FailNode, Lose, PartitionNode
from localkube.faults.network import NetworkFaults
from localkube.faults.uplink import Uplink
from localkube.kubelet import Nodes
from localkube.registry import Registry

LEASES = "leases.coordination.k8s.io"
LEASE_NAMESPACE = "kube-node-lease"


class NodeFaults:
    """One fault at a time a node."""

    def __init__(self, registry: Registry, nodes: Nodes, network: NetworkFaults, uplinks: Mapping[str, Uplink]) -> None:
        self._registry = registry
        self._nodes = nodes
        self._network = network
        self._uplinks = uplinks
        self._unreachable: set[str] = set()

    def check_reachable(self, node: str) -> None:
        """Raises ApiError as the API server does when a kubelet does not answer."""
        if node in self._unreachable:
            raise ApiError(500, "InternalError", f"dial tcp: the kubelet of {node} does not answer: i/o timeout")

    @contextlib.asynccontextmanager
    async def failed(self, fault: FailNode) -> AsyncIterator[None]:
        """Raises BadFault, ApiError 404."""
        kubelet = self._nodes.kubelet_for(fault.node)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self._away(fault.node))
            self._promise(fault.node, fault.noticed_after_s)
            if os.geteuid() == 0:
                # A dead machine is silent. Without this its peers would be told: their connections would be reset.
                silence = Lose(between=(f"node:{fault.node}",), and_=("everyone",))
                await stack.enter_async_context(self._network.losing(silence))
            await kubelet.stop()
            stack.callback(kubelet.start)
            yield

    @contextlib.asynccontextmanager
    async def partitioned(self, fault: PartitionNode) -> AsyncIterator[None]:
        """Raises BadFault, ApiError 404."""
        kubelet = self._nodes.kubelet_for(fault.node)
        uplink = self._uplinks[fault.node]
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self._away(fault.node))
            if not fault.api_only:
                cut = Lose(between=(f"node:{fault.node}",), and_=("everyone",))
                await stack.enter_async_context(self._network.losing(cut))
            self._promise(fault.node, fault.noticed_after_s)
            uplink.cut()
            stack.callback(kubelet.report)
            stack.callback(uplink.mend)
            yield

    @contextlib.contextmanager
    def _away(self, node: str) -> Iterator[None]:
        if node in self._unreachable:
            raise BadFault(f"{node} is already failed or cut off")
        self._unreachable.add(node)
        try:
            yield
        finally:
            self._unreachable.discard(node)

    def _promise(self, node: str, noticed_after_s: int) -> None:
        """How long the node's silence is borne is what its lease says; its kubelet says 40 s again when it is back."""
        lease = self._registry.find(LEASES, LEASE_NAMESPACE, node)
        if lease is not None:
            self._registry.update(LEASES, {**lease, "spec": {**lease["spec"], "leaseDurationSeconds": noticed_after_s}})
