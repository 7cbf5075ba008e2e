"""What a full disk is to one pod, without filling this machine's."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from localkube.faults.menu import BadFault, FillVolume
from localkube.faults.targets import find_pod, node_of
from localkube.kubelet import Nodes
from localkube.registry import Registry

FILLER = ".localkube-filler"
# What the pod frees meanwhile is filled again this soon.
TOP_UP_S = 0.1


@contextlib.asynccontextmanager
async def filled(registry: Registry, nodes: Nodes, fault: FillVolume) -> AsyncIterator[None]:
    """Raises BadFault, ApiError."""
    pod = find_pod(registry, fault.pod)
    metadata = pod["metadata"]
    folder = nodes.kubelet_for(node_of(pod)).volume_path(metadata["namespace"], metadata["name"], fault.volume)
    if not folder.is_mount():
        raise BadFault(
            f"volume {fault.volume} shares this machine's disk, and filling it would fill the machine: give the pod a "
            "claim of a StorageClass of provisioner localkube.io/directory with the parameter medium: Memory, or start "
            "localkube with --empty-dir-size"
        )
    filler = folder / FILLER
    descriptor = os.open(filler, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _top_up(descriptor, folder, fault.leave_bytes)
        task = asyncio.create_task(_keep_full(descriptor, folder, fault.leave_bytes), name=f"fill {folder}")
        try:
            yield
        finally:
            task.cancel()
    finally:
        os.close(descriptor)
        filler.unlink(missing_ok=True)


async def _keep_full(descriptor: int, folder: Path, leave_bytes: int) -> None:
    while True:
        await asyncio.sleep(TOP_UP_S)
        _top_up(descriptor, folder, leave_bytes)


def _top_up(descriptor: int, folder: Path, leave_bytes: int) -> None:
    room = os.statvfs(folder)
    more = room.f_bavail * room.f_frsize - leave_bytes
    if more > 0:
        with contextlib.suppress(OSError):  # the pod was quicker: the room is gone all the same
            os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, more)
