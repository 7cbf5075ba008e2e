"""What a damaged file is to a program that finds it at its next start."""

from __future__ import annotations

import os
import select
from pathlib import Path

from localkube.errors import ApiError
from localkube.faults.menu import BadFault, BreakFile
from localkube.faults.targets import find_pod, node_of
from localkube.kubelet import Nodes
from localkube.registry import Registry

ENDS_WITHIN_S = 5.0


def break_file(registry: Registry, nodes: Nodes, fault: BreakFile) -> None:
    """Raises BadFault. Nothing else of localkube runs meanwhile: a container that is killed finds the file broken."""
    pod = find_pod(registry, fault.pod)
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    kubelet = nodes.kubelet_for(node_of(pod))
    try:
        folder = kubelet.volume_path(namespace, name, fault.volume)
        pid = kubelet.pid(namespace, name, fault.kill) if fault.kill else None
    except ApiError as error:
        raise BadFault(error.message) from error
    target = _only(folder, fault.file)
    if pid is not None:
        _end(pid)
    try:
        _damage(target, fault)
    except OSError as error:
        raise BadFault(f"{fault.file}: {error.strerror}") from error


def _only(folder: Path, pattern: str) -> Path:
    """Raises BadFault."""
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise BadFault(f"{pattern} is not below the volume")
    found = sorted(path for path in folder.glob(pattern) if path.is_file() and not path.is_symlink())
    if not found:
        raise BadFault(f"there is no file {pattern} in the volume")
    return found[-1]


def _end(pid: int) -> None:
    """Raises BadFault."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        os.kill(pid, 9)
        ready, _, _ = select.select([descriptor], [], [], ENDS_WITHIN_S)
    finally:
        os.close(descriptor)
    if not ready:
        raise BadFault(f"process {pid} does not end within {ENDS_WITHIN_S} s")


def _damage(target: Path, fault: BreakFile) -> None:
    size = target.stat().st_size
    left = max(size - fault.size_bytes, 0)
    match fault.how:
        case "truncate":
            os.truncate(target, left)
        case "nuls":
            with target.open("r+b") as file:
                file.seek(left)
                file.write(b"\0" * (size - left))
        case "delete":
            target.unlink()
        case "last-line":
            lines = target.read_bytes().splitlines(keepends=True)
            target.write_bytes(b"".join(lines[:-1]) + fault.text.encode() + b"\n")
        case "garbage":
            target.write_bytes(fault.text.encode() + b"\n")
