"""Decides when an instance is short of memory: before Redis has to evict keys, and after the kernel had to end one."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from tdredis.manifests.drift import parse_quantity
from tdredis.planning.limits import MIB
from tdredis.planning.sentences import list_names
from tdredis.planning.snapshot import PodFacts, Snapshot
from tdredis.redis.facts import NodeFacts, Unknown

FULL_PERCENT = 90
EASED_PERCENT = 85  # what was full is so until it is clearly not: a condition must not change with every key
STEP_PERCENT = 5  # as coarse as a sentence in status must be that does not change with every key
MOST_PERCENT = 95  # "or more": a cache that is full lives at the limit, now below it and now above
BUILT_POLICY, UNKNOWN_POLICY = "allkeys-lru", "unknown"  # redis.conf's; a process that does not say it
KILL_IS_NEWS_S = 600.0  # a process that the kernel ended and that runs again is told of for so long


class MemoryUse(msgspec.Struct, frozen=True, kw_only=True):
    """Of one Redis process. *limit_bytes*: maxmemory or the container's limit, the lower one; 0: there is none.
    *policy*: maxmemory-policy; "" where the limit is the container's.
    """

    pod: str
    used_bytes: int
    limit_bytes: int
    policy: str = ""

    @property
    def percent(self) -> float:
        return 100 * self.used_bytes / self.limit_bytes if self.limit_bytes else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """Why memory is short, for people."""

    reason: str
    message: str


def memory_uses(snapshot: Snapshot) -> tuple[MemoryUse, ...]:
    """Of all processes that answered, the fullest first, then by name."""
    return tuple(sorted(_uses(snapshot), key=lambda use: (-use.percent, -use.used_bytes, use.pod)))


def _uses(snapshot: Snapshot) -> list[MemoryUse]:
    return [
        _use(name, node, snapshot.pods.get(name))
        for name, node in snapshot.nodes.items()
        if isinstance(node, NodeFacts)
    ]


def _use(name: str, node: NodeFacts, pod: PodFacts | None) -> MemoryUse:
    container = int(parse_quantity(pod.given_limits.get("memory")) or 0) if pod else 0
    limit = min(node.maxmemory_bytes or container, container or node.maxmemory_bytes)
    is_its_own = limit == node.maxmemory_bytes
    policy = (node.maxmemory_policy or UNKNOWN_POLICY) if is_its_own else ""
    return MemoryUse(pod=name, used_bytes=node.used_memory_bytes, limit_bytes=limit, policy=policy)


def memory_pressure(snapshot: Snapshot) -> Pressure | None:
    """None: there is none. While nobody answers, or one that was full does not, it is as it was."""
    if killed := killed_of_late(snapshot):
        what = "was ended by the kernel, which found it over its memory limit (OOMKilled)"
        message = f"{list_names(killed)} {what}: raise resources.limits or memoryOverheadPercent, or lower capacity"
        return Pressure(reason="OOMKilled", message=message)
    before = next((each for each in snapshot.resource.status.conditions if each.type == "MemoryPressure"), None)
    was_full = before is not None and before.status == "True"
    uses = _uses(snapshot)
    if not uses:
        return Pressure(reason=before.reason, message=before.message) if before and was_full else None
    full = [use for use in uses if use.percent >= (EASED_PERCENT if was_full else FULL_PERCENT)]
    if not full:
        silent = [name for name, node in snapshot.nodes.items() if isinstance(node, Unknown)]
        was_near = before if was_full and before and before.reason == "MemoryNearlyFull" else None
        if was_near and any(name in was_near.message for name in silent):
            return Pressure(reason=was_near.reason, message=was_near.message)
        return None
    full.sort(key=lambda use: use.pod)  # a sentence in status must not change with who is a byte fuller
    names = list_names([use.pod for use in full])
    fullest = max(full, key=lambda use: use.percent)
    percent = min(MOST_PERCENT, int(fullest.percent) // STEP_PERCENT * STEP_PERCENT)
    message = (
        f"{names}: {percent} % or more of {fullest.limit_bytes // MIB} MiB are used; {_at_the_limit(fullest.policy)};"
        f" this ends under {EASED_PERCENT} %"
    )
    return Pressure(reason="MemoryNearlyFull", message=message)


def _at_the_limit(policy: str) -> str:
    """What happens, and what to do. Source: redis.io, "Key eviction"; "": the limit is the container's."""
    if not policy:
        return (
            "that is the container's memory limit, at which the kernel ends the process (OOMKilled). Raise"
            " resources.limits or memoryOverheadPercent, or lower capacity"
        )
    by_hand = "" if policy in (BUILT_POLICY, UNKNOWN_POLICY) else ", which was set by hand and goes with the process"
    if policy == "noeviction":
        what = "at maxmemory Redis refuses writes (OOM)"
    elif policy.startswith("volatile"):
        what = "at maxmemory Redis evicts keys that have a time to live, and refuses writes (OOM) when none is left"
    else:
        what = "at maxmemory Redis evicts keys"
    named = "" if policy == UNKNOWN_POLICY else f" (maxmemory-policy {policy}{by_hand})"
    return f"{what}{named}. Raise capacity, or delete keys"


def killed_of_late(snapshot: Snapshot) -> list[str]:
    """Pods whose Redis the kernel ended for want of memory within KILL_IS_NEWS_S."""
    return sorted(
        name
        for name, pod in snapshot.pods.items()
        if pod.oom_killed is not None and snapshot.now - pod.oom_killed < KILL_IS_NEWS_S
    )
