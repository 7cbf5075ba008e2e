"""Decides what a wish in spec would take, whatever the kind: memory for the data, volumes as they were made."""

from __future__ import annotations

import math

from tdredis.api.instance import InstanceSpec, StorageSpec
from tdredis.manifests.drift import parse_quantity
from tdredis.planning.objects import MIB
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import Ref, Snapshot
from tdredis.redis.facts import NodeFacts

HEADROOM = 1.1  # a limit that leaves less than a tenth free would evict or refuse writes at once


def needed_mib(snapshot: Snapshot) -> int:
    """The maxmemory, in MiB, under which the data of every process fits. Rounded up to three digits of a binary number:
    a sentence in status must not change with every key that is written.
    """
    used = (node.used_memory_bytes for node in snapshot.nodes.values() if isinstance(node, NodeFacts))
    needed = max(1, math.ceil(max(used, default=0) * HEADROOM / MIB))
    grain = 1 << max(0, needed.bit_length() - 3)
    return math.ceil(needed / grain) * grain


def all_answer(snapshot: Snapshot, wanted: int) -> bool:
    """Every pod there is has a process that answers, and there are *wanted* of them."""
    answers = [node for node in snapshot.nodes.values() if isinstance(node, NodeFacts)]
    return len(answers) == len(snapshot.nodes) == len(snapshot.pods) >= wanted


def volumes_wish(snapshot: Snapshot, spec: InstanceSpec, statefulset: str) -> tuple[str, StorageSpec, Hold] | None:
    """Storage class and storage as the pods of *statefulset* have them, and why they stay; None: nothing else is
    wished, or there are no pods yet. Volumes are made with their pods, and stay as they were made.
    """
    claims = _claims(snapshot, statefulset)
    if claims is None:
        return None
    name, size = claims
    same_size = parse_quantity(size) == parse_quantity(spec.storage.size)  # the server writes 1024Gi as 1Ti
    if name == spec.storage_class and (not name or same_size):
        return None
    again = f"storageclass: {name!r}" + (f" and storage.size: {size}" if name else "")
    why = f"the volumes of a running instance are not changed by this version: write {again} again"
    storage = StorageSpec(size=size, retain=spec.storage.retain) if name else spec.storage
    return name, storage, Hold(guard="volumes_are_unchanged", why=why)


def password_hold(snapshot: Snapshot) -> tuple[Hold, ...]:
    """The password in force stays, whatever spec says."""
    if snapshot.wished is None or snapshot.passwords.redis == snapshot.wished.redis:
        return ()
    why = "the password of a running instance is not changed by this version: write the former secret again"
    return (Hold(guard="password_is_unchanged", why=why),)


def _claims(snapshot: Snapshot, statefulset: str) -> tuple[str, str] | None:
    """Storage class and size that the pods have, both "" on an emptyDir; None: there is no StatefulSet yet."""
    live = snapshot.children.get(Ref("StatefulSet", statefulset))
    spec = live.get("spec") if live else None
    if not isinstance(spec, dict):
        return None
    match spec.get("volumeClaimTemplates"):
        case [{"spec": {"storageClassName": str(name), "resources": {"requests": {"storage": str(size)}}}}]:
            return name, size
        case _:
            return "", ""
