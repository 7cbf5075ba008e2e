"""Volumes that can be full: a filesystem in memory, as large as its claim asked, mounted on the volume's directory."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

# The parameter of a StorageClass, and the annotation of its volumes.
MEDIUM = "medium"
ANNOTATION = "localkube.io/medium"
MEMORY = "Memory"
_SOURCE = "localkube-"  # and the process id: so that whoever finds the mount knows whether anybody still needs it
# linux/mount.h
_MS_REMOUNT, _MNT_DETACH = 32, 2


class CannotMount(Exception):
    """The text says why, for an event."""


def mount_sized(folder: Path, size_bytes: int) -> None:
    """Makes *folder* a filesystem of that size, or an existing one so large. Raises CannotMount."""
    folder.mkdir(parents=True, exist_ok=True)
    again = folder.is_mount()
    options = f"size={size_bytes}" if again else f"size={size_bytes},mode=777"
    libc = ctypes.CDLL(None, use_errno=True)
    source, target = f"{_SOURCE}{os.getpid()}".encode(), os.fsencode(folder)
    if libc.mount(source, target, b"tmpfs", ctypes.c_ulong(_MS_REMOUNT if again else 0), options.encode()) != 0:
        why = os.strerror(ctypes.get_errno())
        raise CannotMount(f"volumes with a size of their own are mounts, which need root: {why}")


def unmount(folder: Path) -> None:
    """What was in it is gone. Nothing happens to a directory that is no mount."""
    if folder.is_mount():
        ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(folder), _MNT_DETACH)


def unmount_below(state: Path) -> None:
    for _, target in _ours():
        if target.is_relative_to(state):
            unmount(target)


def unmount_orphans(state: Path) -> None:
    """Those of processes that are no more, but for what lies below *state*, whose data is found again."""
    for owner, target in _ours():
        if not Path(f"/proc/{owner}").exists() and not target.is_relative_to(state):
            unmount(target)


def _ours() -> Iterator[tuple[int, Path]]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        source, target, kind = line.split()[:3]
        owner = source.removeprefix(_SOURCE)
        if kind == "tmpfs" and source.startswith(_SOURCE) and owner.isdigit():
            yield int(owner), Path(target.encode().decode("unicode_escape"))
