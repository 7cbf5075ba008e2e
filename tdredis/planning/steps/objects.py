"""Decides what can be done to an object in the API server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tdredis.api.json_object import JSONObject
from tdredis.planning.snapshot import Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """Make the object be as *manifest* says, by server-side apply."""

    barrier: ClassVar[bool] = False
    ref: Ref
    manifest: JSONObject
    why: str
    is_new: bool = False  # we know of none: what is found under this name after all may be somebody else's

    def __str__(self) -> str:
        return f"apply {self.ref}"

    def __repr__(self) -> str:  # the manifest of a Secret must not reach a traceback
        return f"Apply(ref={self.ref!r}, why={self.why!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Delete an object of ours that the spec no longer asks for."""

    barrier: ClassVar[bool] = False
    ref: Ref
    api_version: str
    uid: str
    why: str

    def __str__(self) -> str:
        return f"delete {self.ref}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacePod:
    """Delete a pod without which nothing is lost, so that its StatefulSet makes it from the present template.
    *grace_s*: how long it is given to end; None: as long as its own spec says.
    """

    barrier: ClassVar[bool] = True
    pod: str
    uid: str
    grace_s: int | None = None
    why: str

    def __str__(self) -> str:
        return f"replace pod {self.pod}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizePod:
    """Change requests and limits of a running container in place. Source: kubernetes.io, "Resize CPU and Memory
    Resources assigned to Containers" (since 1.33).
    """

    barrier: ClassVar[bool] = False
    pod: str
    uid: str
    container: str
    requests: tuple[tuple[str, str], ...]
    limits: tuple[tuple[str, str], ...]
    record: str = ""  # its annotation ASKED from then on
    why: str

    def __str__(self) -> str:
        return f"resize pod {self.pod}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Delete a StatefulSet and leave its *pods* (names and uids) as they are: one of its name that is made anew adopts
    them. *owner*: an ownerReference that they get before, so that they go with the resource if nobody ever does.
    *notes*: by pod, an annotation that keeps what only the StatefulSet knew of it.
    Source: kubernetes.io, "Use Cascading Deletion in a Cluster" (orphaned dependents), "StatefulSets".
    """

    barrier: ClassVar[bool] = True
    ref: Ref
    api_version: str
    uid: str
    pods: tuple[tuple[str, str], ...]
    owner: JSONObject
    notes: tuple[tuple[str, str], ...] = ()
    why: str

    def __str__(self) -> str:
        return f"delete {self.ref} without its pods"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeVolume:
    """Have a volume claim ask for another size. Source: kubernetes.io, "Persistent Volumes" (expanding persistent
    volumes claims).
    """

    barrier: ClassVar[bool] = False
    claim: str
    uid: str
    size: str
    why: str

    def __str__(self) -> str:
        return f"resize the volume of claim {self.claim} to {self.size}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreLabels:
    """Put labels of ours back onto a pod of ours, from which somebody removed them, or changed them."""

    barrier: ClassVar[bool] = False
    pod: str
    uid: str
    labels: tuple[tuple[str, str], ...]
    why: str

    def __str__(self) -> str:
        return f"put labels back onto pod {self.pod}"
