"""Which loopback address a pod gets: 127.B.n.k, so that pods of one machine never share one."""

from __future__ import annotations

from collections import deque


class AddressesSpent(Exception):
    """Every address of this node is in use."""


class Addresses:
    """The pod addresses of one node. The one freed longest ago is given next, so that none comes back soon."""

    def __init__(self, block: int, node_number: int) -> None:
        """*block* 64..127: the cluster's. *node_number* 1..254."""
        self._prefix = f"127.{block}.{node_number}"
        self._free = deque(range(2, 255))

    @property
    def node(self) -> str:
        return f"{self._prefix}.1"

    @property
    def pod_range(self) -> str:
        return f"{self._prefix}.0/24"

    def take(self) -> str:
        if not self._free:
            raise AddressesSpent(f"no address is free in {self.pod_range}")
        return f"{self._prefix}.{self._free.popleft()}"

    def give_back(self, address: str) -> None:
        self._free.append(int(address.rpartition(".")[2]))
