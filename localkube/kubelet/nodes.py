"""All nodes of one localkube, started and stopped together."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from localkube.errors import not_found
from localkube.kubelet.addresses import AddressBook
from localkube.kubelet.backoff import Pace
from localkube.kubelet.images import Catalogue
from localkube.kubelet.kubelet import Kubelet, NodeSettings
from localkube.kubelet.volumes import SHARED_MEMORY
from localkube.registry import Registry
from localkube.sized import unmount_below
from localkube.units import quantity_value

_MEMORY_PREFIX = "localkube-"


class Nodes:
    """node-1 ... node-N, one zone each."""

    def __init__(
        self,
        registry: Registry,
        *,
        count: int = 3,
        block: int,
        state_dir: Path,
        cpu: str = "16",
        memory: str = "64Gi",
        pods: int = 110,
        catalogue: Catalogue | None = None,
        pace: Pace | None = None,
        uplink: Callable[[str], Registry] | None = None,
        address_reuse: bool = False,
        empty_dir_size: str | None = None,
    ) -> None:
        """*block* 64..127: second byte of the pods' addresses. *pace*: restart back-off; by default a real one's.

        *uplink*: how the named node reaches the registry; by default directly. *address_reuse*: a pod's address is
        given to the next pod of its node. *empty_dir_size*: emptyDirs are filesystems in memory of that size; None:
        directories.
        """
        self.addresses = AddressBook(block, reuse=address_reuse)
        self._memory_dir = SHARED_MEMORY / f"{_MEMORY_PREFIX}{os.getpid()}-{block}"
        self.block = block
        self.ranges = {f"node-{number}": f"127.{block}.{number}.0/24" for number in range(1, count + 1)}
        shared = catalogue or Catalogue()
        self._state_dir = state_dir
        empty_dir_bytes = None if empty_dir_size is None else round(quantity_value(empty_dir_size) or 0)
        self._kubelets = {
            f"node-{number}": Kubelet(
                registry if uplink is None else uplink(f"node-{number}"),
                NodeSettings(
                    name=f"node-{number}",
                    number=number,
                    block=block,
                    state_dir=state_dir,
                    memory_dir=self._memory_dir,
                    zone=f"zone-{number}",
                    cpu=cpu,
                    memory=memory,
                    pods=pods,
                    pace=pace or Pace(),
                    empty_dir_bytes=empty_dir_bytes,
                ),
                addresses=self.addresses,
                catalogue=shared,
            )
            for number in range(1, count + 1)
        }
        self._registry = registry

    def start(self) -> None:
        _remove_leftovers()
        self._forget_former()
        for kubelet in self._kubelets.values():
            kubelet.start()

    async def stop(self) -> None:
        await asyncio.gather(*(kubelet.stop() for kubelet in self._kubelets.values()))
        unmount_below(self._state_dir / "pods")
        shutil.rmtree(self._memory_dir, ignore_errors=True)

    @property
    def all(self) -> tuple[Kubelet, ...]:
        return tuple(self._kubelets.values())

    def kubelet_for(self, node: str) -> Kubelet:
        """Raises ApiError 404."""
        found = self._kubelets.get(node)
        if found is None:
            raise not_found("nodes", node)
        return found

    def _forget_former(self) -> None:
        """Nodes of a run with more of them: their pods could only wait there for a kubelet that never comes."""
        for node in self._registry.list("nodes"):
            name = node["metadata"]["name"]
            if re.fullmatch(r"node-[0-9]+", name) and name not in self._kubelets:
                self._registry.delete("nodes", None, name)


def _remove_leftovers() -> None:
    """Volumes in memory of a localkube that was killed: nobody else would ever free them."""
    with suppress(FileNotFoundError):
        for folder in SHARED_MEMORY.glob(f"{_MEMORY_PREFIX}*-*"):
            owner = folder.name.removeprefix(_MEMORY_PREFIX).partition("-")[0]
            if owner.isdigit() and not Path(f"/proc/{owner}").exists():
                shutil.rmtree(folder, ignore_errors=True)
