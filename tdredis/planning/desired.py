"""Decides which changes of spec wait: for memory, for a role to move, for volumes that stay as large as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from tdredis.api.instance import Instance, InstanceSpec, StorageSpec
from tdredis.manifests.drift import parse_quantity
from tdredis.planning.change import Change, HeldFields
from tdredis.planning.conditions import has_been_ready
from tdredis.planning.limits import MIB
from tdredis.planning.pending import held_changes, held_password
from tdredis.planning.plan import Hold
from tdredis.planning.rollback import go_back
from tdredis.planning.snapshot import Ref, Snapshot
from tdredis.planning.surplus import surplus_pod
from tdredis.planning.volumes import find_made
from tdredis.redis.facts import NodeFacts

HEADROOM = 1.1  # a limit that leaves less than a tenth free would evict or refuse writes at once

InstanceT = TypeVar("InstanceT", bound=Instance)
InstanceT_co = TypeVar("InstanceT_co", bound=Instance, covariant=True)
SnapshotT = TypeVar("SnapshotT", bound=Snapshot)
Decider: TypeAlias = Callable[[SnapshotT, Any], Iterator[HeldFields]]


def capacity_change(
    snapshot: Snapshot,
    spec: InstanceSpec,
    *,
    has_begun: bool,
    pods: int,
    shards: int = 1,
    before: int | None = None,
) -> Iterator[HeldFields]:
    """Less memory only when all *pods* have said that their data fits; more at any time, and any before it *has_begun*:
    as status says, or as keys do, where somebody emptied that.

    *shards*: over how many of them capacity is divided. *before*: what is effective, where it is known.
    """
    has_begun = has_begun or has_keys(snapshot)
    before = _capacity_effective(snapshot, shards) if before is None else before
    if not has_begun or before is None or not spec.capacity or 0 < before <= spec.capacity:
        return
    if not _all_answer(snapshot, pods):
        why = "memory is not lowered before every process has reported how much it uses"
        yield {"capacity": before}, Hold(guard="used_memory_fits", about="spec", why=why)
        return
    needed_mib = _needed_mib(snapshot)
    if spec.maxmemory_mib < needed_mib:
        share = f" gives each shard {spec.maxmemory_mib} MiB," if shards > 1 else " is"
        why = (
            f"capacity {spec.capacity}{share} too little for the data that is there and a tenth more:"
            f" write capacity: {needed_mib * shards} or more"
        )
        yield {"capacity": before}, Hold(guard="used_memory_fits", about="spec", why=why)


def replicas_change(snapshot: Snapshot, replicas: int, *, may_go: Callable[[NodeFacts], bool]) -> Iterator[HeldFields]:
    """A pod is removed when *may_go* says so of its answer, and never when it says nothing.

    A pod that is being removed already is not asked again: it falls silent while it ends, and taking the change back
    for that would only begin it again when the pod is back.
    """

    def must_stay(name: str) -> bool:
        node = snapshot.nodes.get(name)
        if isinstance(node, NodeFacts):
            return not may_go(node)
        return node is not None or snapshot.pods[name].ever_ran

    surplus = (name for name in snapshot.pods if _ordinal(name) > replicas and not _is_scaled_down(snapshot, name))
    kept = max((_replicas_with(snapshot, name) for name in surplus if must_stay(name)), default=replicas)
    if kept > replicas:
        why = (
            f"with replicas: {replicas} a pod would be removed that is a primary or does not answer;"
            " a primary hands over first, to one with a lower number, when all is well"
        )
        yield {"replicas": kept}, Hold(guard="no_primary_is_removed", about="spec", why=why)


def volumes_change(snapshot: Snapshot, spec: InstanceSpec, statefulsets: Iterable[str]) -> Iterator[HeldFields]:
    """Volumes are made with the pods of *statefulsets*: of the storage class that they have then, and never smaller.

    The API server refuses a smaller size; where it is too old for that, this holds it.
    """
    made = find_made(snapshot, statefulsets)
    if made is None:
        return
    if made.storage_class != spec.storage_class:
        previous = made.storage_class or '""'
        why = (
            f"volumes of a running instance stay what they are: write storageclass: {previous} again,"
            " or make another resource and copy the data there"
        )
        yield {"storage_class": made.storage_class}, Hold(guard="volumes_are_unchanged", about="spec", why=why)
    has, wanted = parse_quantity(made.size), parse_quantity(spec.storage.size)
    if made.storage_class and has is not None and wanted is not None and wanted < has:
        why = f"volumes do not shrink: write storage.size: {made.size} or more, or make another resource"
        storage = StorageSpec(size=made.size, retain=spec.storage.retain)
        yield {"storage": storage}, Hold(guard="volumes_do_not_shrink", about="spec", why=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective(Generic[InstanceT_co]):
    """*instance* is the resource with the effective values in its spec; *changes* are put off, because of *holds*."""

    instance: InstanceT_co
    changes: tuple[Change, ...]
    holds: tuple[Hold, ...]


def hold_changes(
    snapshot: SnapshotT,
    instance: InstanceT,
    deciders: Sequence[Decider[SnapshotT]],
    *,
    spec: InstanceSpec | None = None,
) -> Effective[InstanceT]:
    """*deciders* are asked in order, each with what those before it left of spec. *spec*: what they begin with, where
    that is not what *instance* has.
    """
    spec = instance.spec if spec is None else spec
    changes: list[Change] = []
    holds: list[Hold] = []
    if (back := go_back(snapshot, instance, spec)) is not None:
        changes += back.changes
        holds.append(back.hold)
        spec = back.spec
    for decide in deciders:
        for kept, hold in decide(snapshot, spec):
            changes += held_changes(instance, kept, hold)
            holds.append(hold)
            spec = msgspec.structs.replace(spec, **kept)
    for hold in password_hold(snapshot):
        changes.append(held_password(instance, hold))
        holds.append(hold)
    made = instance if back is None else back.instance
    if spec is not made.spec:
        made = msgspec.structs.replace(made, spec=spec)
    return Effective(instance=made, changes=tuple(changes), holds=tuple(holds))


def password_hold(snapshot: Snapshot) -> tuple[Hold, ...]:
    """The effective password stays, whatever spec says."""
    if snapshot.desired_passwords is None or snapshot.passwords.redis == snapshot.desired_passwords.redis:
        return ()
    why = "the password of a running instance is not changed by this version: write the previous secret again"
    return (Hold(guard="password_is_unchanged", about="spec", why=why),)


def has_keys(snapshot: Snapshot) -> bool:
    """Some process has data, whatever status knows of it."""
    return any(isinstance(node, NodeFacts) and node.keys > 0 for node in snapshot.nodes.values())


def _capacity_effective(snapshot: Snapshot, shards: int) -> int | None:
    """MiB; 0: no limit. Where status names none the processes do: before the first Ready, and where it was emptied.
    None: nobody does.
    """
    status = snapshot.resource.status
    if status.capacity:
        return status.capacity
    limits = [node.maxmemory_bytes // MIB for node in snapshot.nodes.values() if isinstance(node, NodeFacts)]
    if not limits:
        return 0 if has_been_ready(status) else None
    return 0 if 0 in limits else max(limits) * shards


def _needed_mib(snapshot: Snapshot) -> int:
    """The maxmemory, in MiB, under which the data of every process fits. Rounded up to three digits of a binary number:
    a sentence in status must not change with every key that is written.
    """
    used = (node.used_memory_bytes for node in snapshot.nodes.values() if isinstance(node, NodeFacts))
    needed = max(1, math.ceil(max(used, default=0) * HEADROOM / MIB))
    grain = 1 << max(0, needed.bit_length() - 3)
    return math.ceil(needed / grain) * grain


def _all_answer(snapshot: Snapshot, wanted: int) -> bool:
    """Every pod there is has a process that answers, and there are *wanted* of them."""
    answers = [node for node in snapshot.nodes.values() if isinstance(node, NodeFacts)]
    return len(answers) == len(snapshot.nodes) == len(snapshot.pods) >= wanted


def _ordinal(pod: str) -> int:
    return int(pod.rpartition("-")[2])


def _replicas_with(snapshot: Snapshot, pod: str) -> int:
    """With how many replicas, at the least, *pod* stays. One that its StatefulSet has beyond what spec asks for stays
    so with one less, and hands over before it goes.
    """
    number = _ordinal(pod)
    return number - 1 if surplus_pod(snapshot, pod.rpartition("-")[0], number) == pod else number


def _is_scaled_down(snapshot: Snapshot, pod: str) -> bool:
    """Its StatefulSet, as it stands in the API server, does not ask for it. Source: kubernetes.io, "StatefulSets"
    (ordinal index, start ordinal).
    """
    live = snapshot.children.get(Ref("StatefulSet", pod.rpartition("-")[0]))
    if live is None or live.statefulset.replicas is None:
        return False
    return not 0 <= _ordinal(pod) - live.statefulset.start < live.statefulset.replicas
