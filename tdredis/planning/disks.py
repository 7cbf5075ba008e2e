"""Decides what it means that a process cannot write to its disk: who is named, and to whom a primary hands over.

Such a primary refuses writes (MISCONF) until there is room again; a replica whose disk takes what it is sent can take
over, once. Whoever failed lately is no candidate: two disks that fill in turns would hand the primary back and forth.
"""

from __future__ import annotations

from collections.abc import Iterator

from tdredis.api.instance import InstanceSpec
from tdredis.manifests.claims import CLAIM
from tdredis.planning.findings import Finding
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import Snapshot
from tdredis.redis.facts import NodeFacts

FAILED_LATELY_S = 600.0


def may_take_over(facts: NodeFacts) -> bool:
    """Its disk has room: it takes what it is sent, and has for a while."""
    return not facts.write_error and (facts.write_failed_s is None or facts.write_failed_s > FAILED_LATELY_S)


def no_candidate_has_room(primary: str, facts: NodeFacts) -> Hold:
    why = (
        f"{primary} cannot write to its disk ({facts.write_error}) and stays the primary: no replica in sync has had"
        f" free disk space for {FAILED_LATELY_S / 60:g} minutes; free space on its disk"
    )
    return Hold(guard="a_candidate_has_room", why=why)


def disks_that_fail(snapshot: Snapshot, effective: InstanceSpec, primaries: frozenset[str]) -> Iterator[Finding]:
    """Every disk takes what is written. *primaries*: pods whose writes are their clients'. Where data is, the
    *effective* spec says: an edit of storageclass moves none.
    """
    for name, pod in sorted(snapshot.pods.items()):
        node = snapshot.nodes.get(name)
        if isinstance(node, NodeFacts):
            error = node.write_error
        else:  # a process ends when it cannot write what it must know after its end (nodes.conf)
            error = "when it last answered" if pod.uid in snapshot.write_failures else ""
        if not error:
            continue
        refuses = " and refuses writes (MISCONF)" if name in primaries else ""
        yield Finding(
            reason="DiskFull",
            message=f"{name} cannot write to its disk ({error}){refuses}: {_disk(snapshot, effective, name)} is full or"
            " fails; free space on it, and Redis continues by itself",
            serious=name in primaries,
        )


def _disk(snapshot: Snapshot, effective: InstanceSpec, pod: str) -> str:
    claim = f"{CLAIM}-{pod}"
    if claim in snapshot.claims or effective.storage_class:
        return f"the volume of claim {claim}"
    return f"the disk of node {snapshot.pods[pod].node}, on which its emptyDir is,"
