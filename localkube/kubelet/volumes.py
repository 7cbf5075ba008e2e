"""What a pod's volumes hold on disk: written whole, changed in one step, so that no reader sees half a change."""

from __future__ import annotations

import base64
import contextlib
import datetime
import os
import shutil
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localkube.kubelet.environment import Lookup
from localkube.kubelet.fields import FieldProblem, read_field, read_resource
from localkube.sized import CannotMount, mount_sized, unmount_below

Obj = dict[str, Any]
DATA_LINK = "..data"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - emptyDir of medium Memory lives in memory
PAYLOAD_KINDS = ("configMap", "secret", "downwardAPI", "projected")
KINDS = (*PAYLOAD_KINDS, "emptyDir", "persistentVolumeClaim", "hostPath")


class MountProblem(Exception):
    """A volume cannot be set up now; the text is what FailedMount says."""


@dataclass(frozen=True, slots=True)
class File:
    data: bytes
    mode: int


Payload = Mapping[str, File]


def kind_of(volume: Obj) -> str:
    """Which source a volume has; without any it is an emptyDir."""
    return next((key for key in sorted(volume) if key != "name"), "emptyDir")


def build_payload(volume: Obj, pod: Obj, lookup: Lookup, allocatable: Mapping[str, str]) -> Payload:
    """The files of a configMap, secret, downwardAPI or projected volume by relative path. Raises MountProblem."""
    kind = kind_of(volume)
    source = volume[kind]
    mode = source.get("defaultMode", 0o644)
    if kind == "projected":
        files: dict[str, File] = {}
        for one in source.get("sources") or []:
            inner = next(iter(one))
            if inner not in ("configMap", "secret", "downwardAPI"):
                raise MountProblem(f"localkube does not provide projected volumes of {inner}")
            files.update(_files_of(inner, one[inner], mode, pod=pod, lookup=lookup, allocatable=allocatable))
        return files
    return _files_of(kind, source, mode, pod=pod, lookup=lookup, allocatable=allocatable)


def _files_of(
    kind: str, source: Obj, mode: int, *, pod: Obj, lookup: Lookup, allocatable: Mapping[str, str]
) -> dict[str, File]:
    if kind == "downwardAPI":
        return _downward_files(source, mode, pod, allocatable)
    resource = "configmaps" if kind == "configMap" else "secrets"
    name = source.get("secretName") or source.get("name") or ""
    optional = bool(source.get("optional"))
    found = lookup(resource, name)
    if found is None:
        if optional:
            return {}
        raise MountProblem(f'{resource.removesuffix("s")} "{name}" not found')
    data = _data_of(found, resource)
    items = source.get("items")
    if not items:
        return {key: File(value, mode) for key, value in data.items()}
    files: dict[str, File] = {}
    for item in items:
        if item["key"] not in data:
            if optional:
                continue
            raise MountProblem(f"references non-existent {resource.removesuffix('s')} key: {item['key']}")
        _check_relative(item["path"])
        files[item["path"]] = File(data[item["key"]], item.get("mode", mode))
    return files


def _data_of(obj: Obj, resource: str) -> dict[str, bytes]:
    data = obj.get("data") or {}
    if resource == "secrets":
        return {key: base64.b64decode(value) for key, value in data.items()}
    binary = obj.get("binaryData") or {}
    texts = {key: value.encode() for key, value in data.items()}
    return {**texts, **{key: base64.b64decode(value) for key, value in binary.items()}}


def _downward_files(source: Obj, mode: int, pod: Obj, allocatable: Mapping[str, str]) -> dict[str, File]:
    files: dict[str, File] = {}
    for item in source.get("items") or []:
        _check_relative(item["path"])
        try:
            if "fieldRef" in item:
                text = read_field(pod, item["fieldRef"]["fieldPath"])
            else:
                ref = item["resourceFieldRef"]
                container = next(c for c in pod["spec"]["containers"] if c["name"] == ref["containerName"])
                text = read_resource(container, allocatable, ref)
        except (FieldProblem, ValueError) as problem:
            raise MountProblem(str(problem)) from problem
        files[item["path"]] = File(text.encode(), item.get("mode", mode))
    return files


def _check_relative(path: str) -> None:
    if path.startswith("/") or ".." in path.split("/"):
        raise MountProblem(f"invalid path: {path}")


def write_payload(folder: Path, payload: Payload, *, group: int | None = None) -> bool:
    """Makes *folder* show exactly *payload*, in one step. Returns whether anything changed.

    The files live in a dated directory; `..data` points to it and is replaced by rename; names lead through `..data`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    data_link = folder / DATA_LINK
    if data_link.is_symlink() and _same(data_link, payload):
        return False
    moment = datetime.datetime.now(datetime.UTC).strftime("..%Y_%m_%d_%H_%M_%S.%f")
    fresh = folder / moment
    fresh.mkdir(mode=0o755)
    for name, file in payload.items():
        target = fresh / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Private from its first byte: the file may be a secret.
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(file.data)
        if group is not None:
            os.chown(target, -1, group)
        target.chmod(file.mode | (0o040 if group is not None else 0))
    old = folder / data_link.readlink() if data_link.is_symlink() else None
    next_link = folder / "..data_tmp"
    next_link.unlink(missing_ok=True)
    next_link.symlink_to(moment)
    next_link.rename(data_link)
    tops = {name.split("/", 1)[0] for name in payload}
    for top in tops:
        if not (folder / top).is_symlink():
            (folder / top).symlink_to(f"{DATA_LINK}/{top}")
    for entry in folder.iterdir():
        if not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _same(data_link: Path, payload: Payload) -> bool:
    root = data_link.resolve()
    seen = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    if seen != set(payload):
        return False
    return all(
        (root / name).read_bytes() == file.data
        and stat.S_IMODE((root / name).stat().st_mode) & ~0o040 == file.mode & ~0o040
        for name, file in payload.items()
    )


class PodVolumes:
    """The volumes of one pod below *folder*. Paths of this machine; mounting them is the sandbox's work."""

    def __init__(
        self,
        folder: Path,
        memory_folder: Path,
        lookup: Lookup,
        allocatable: Mapping[str, str],
        *,
        empty_dir_bytes: int | None = None,
    ) -> None:
        """*empty_dir_bytes*: each emptyDir is a filesystem in memory of that size; None: a directory."""
        self._folder = folder
        self._empty_dir_bytes = empty_dir_bytes
        self._memory_folder = memory_folder
        self._lookup = lookup
        self._allocatable = allocatable
        self._paths: dict[str, Path] = {}
        self._shown: dict[str, tuple[Payload, int | None]] = {}  # what was written last

    @property
    def names(self) -> Collection[str]:
        """Those that are set up."""
        return self._paths.keys()

    def path(self, name: str) -> Path:
        return self._paths[name]

    def prepare(self, pod: Obj) -> list[str]:
        """Sets up every volume. Returns a sentence for each that is not possible now; may be called again."""
        problems = []
        for volume in pod["spec"].get("volumes") or []:
            try:
                self._paths[volume["name"]] = self._prepare_one(volume, pod)
            except MountProblem as problem:
                problems.append(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {problem}')
        return problems

    def refresh(self, pod: Obj) -> None:
        """Brings the files up to date. What has vanished or does not fit keeps its last content, as on a real node."""
        group = _fs_group(pod)
        for volume in pod["spec"].get("volumes") or []:
            if kind_of(volume) in PAYLOAD_KINDS and volume["name"] in self._paths:
                with contextlib.suppress(MountProblem):
                    self._show(volume, pod, self._paths[volume["name"]], group)

    def remove(self) -> None:
        if self._empty_dir_bytes is not None:
            unmount_below(self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)
        self.remove_memory()

    def remove_memory(self) -> None:
        shutil.rmtree(self._memory_folder, ignore_errors=True)

    def _prepare_one(self, volume: Obj, pod: Obj) -> Path:
        kind = kind_of(volume)
        group = _fs_group(pod)
        folder: Path = self._folder / volume["name"]
        match kind:
            case "configMap" | "secret" | "downwardAPI" | "projected":
                # In memory, as a node has Secrets: they are many small files, and some are never to be on a disk.
                folder = self._memory_folder / volume["name"]
                self._show(volume, pod, folder, group)
                return folder
            case "emptyDir":
                if (volume["emptyDir"] or {}).get("medium") == "Memory":
                    folder = self._memory_folder / volume["name"]
                elif self._empty_dir_bytes is not None and not folder.is_mount():
                    try:
                        mount_sized(folder, self._empty_dir_bytes)
                    except CannotMount as problem:
                        raise MountProblem(str(problem)) from problem
                _make_shared(folder, group)
                return folder
            case "persistentVolumeClaim":
                return self._claimed_folder(volume[kind]["claimName"], group)
            case "hostPath":
                return _host_path(volume[kind])
            case _:
                raise MountProblem(f"localkube does not provide volumes of type {kind}")

    def _show(self, volume: Obj, pod: Obj, folder: Path, group: int | None) -> None:
        """Raises MountProblem. Whatever happens to a pod asks for it, and mostly nothing has changed."""
        payload = build_payload(volume, pod, self._lookup, self._allocatable)
        if self._shown.get(volume["name"]) != (payload, group):
            write_payload(folder, payload, group=group)
            self._shown[volume["name"]] = (payload, group)

    def _claimed_folder(self, claim_name: str, group: int | None) -> Path:
        claim = self._lookup("persistentvolumeclaims", claim_name)
        if claim is None:
            raise MountProblem(f'persistentvolumeclaim "{claim_name}" not found')
        volume_name = claim["spec"].get("volumeName")
        if not volume_name or (claim.get("status") or {}).get("phase") != "Bound":
            raise MountProblem(f'persistentvolumeclaim "{claim_name}" is not bound')
        volume = self._lookup("persistentvolumes", volume_name)
        if volume is None:
            raise MountProblem(f'persistentvolume "{volume_name}" not found')
        source = volume["spec"].get("hostPath") or volume["spec"].get("local")
        if source is None:
            raise MountProblem(f'localkube does not provide the volume type of persistentvolume "{volume_name}"')
        folder = Path(source["path"])
        _make_shared(folder, group)
        return folder


def _fs_group(pod: Obj) -> int | None:
    group: int | None = (pod["spec"].get("securityContext") or {}).get("fsGroup")
    # Only root may give files away.
    return group if os.geteuid() == 0 else None


def _make_shared(folder: Path, group: int | None) -> None:
    existed = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    if not existed or group is not None:
        folder.chmod(0o2777 if group is not None else 0o777)
    if group is not None:
        os.chown(folder, -1, group)


def _host_path(source: Obj) -> Path:
    path = Path(source["path"])
    wanted = source.get("type") or ""
    if wanted == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    if wanted == "FileOrCreate":
        path.touch(exist_ok=True)
    if wanted in ("Directory", "DirectoryOrCreate") and not path.is_dir():
        raise MountProblem(f"hostPath type check failed: {path} is not a directory")
    if wanted in ("File", "FileOrCreate") and not path.is_file():
        raise MountProblem(f"hostPath type check failed: {path} is not a file")
    if not path.exists():
        raise MountProblem(f"hostPath type check failed: {path} does not exist")
    return path


def sub_path(volume: Path, relative: str, *, create: bool) -> Path:
    """The file or directory *relative* inside a volume; a missing one becomes a directory, or raises MountProblem."""
    _check_relative(relative)
    target = volume / relative
    resolved = target.resolve()
    if not resolved.is_relative_to(volume.resolve()):
        raise MountProblem(f"subpath {relative} leads out of the volume")
    if not resolved.exists():
        if not create:
            raise MountProblem(f'failed to prepare subPath for volumeMount "{volume.name}": {relative} does not exist')
        resolved.mkdir(parents=True)
        resolved.chmod(0o777)
    return resolved
