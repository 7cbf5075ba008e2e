"""Decides how long a pod that is recreated is given to end, where its process writes the data only then.

Without an append-only file all that came since the last snapshot is in memory, and SIGTERM writes a snapshot: who is
killed in the middle of that loses it. The delete request says how long, not the pod's template: another template would
recreate the pods of every instance. Source: kubernetes.io, "Pod Lifecycle" (termination of pods).
"""

from __future__ import annotations

from typing import Final

from tdredis.api.instance import Instance, InstanceSpec
from tdredis.api.settings import as_texts
from tdredis.manifests.redis_pods import grace_of
from tdredis.planning.limits import MIB
from tdredis.planning.snapshot import PodFacts, Snapshot
from tdredis.planning.steps import ReplacePod
from tdredis.redis.facts import NodeFacts

# Of memory, at the least: a slow disk, shared with others. Engines write a hundred and more.
SAVES_MIB_PER_S: Final = 10


def replace_pod(snapshot: Snapshot, instance: Instance, pod: PodFacts, why: str) -> ReplacePod:
    """*instance*: what holds of spec (effective) says whether there is a volume."""
    return ReplacePod(pod=pod.name, uid=pod.uid, grace_s=grace_s(snapshot, instance, pod.name), why=why)


def grace_s(snapshot: Snapshot, instance: Instance, pod: str) -> int | None:
    """None: the pod's own. It is the most that the process is given: who has written all ends sooner."""
    facts = snapshot.nodes.get(pod)
    if not isinstance(facts, NodeFacts) or not _writes_when_it_ends(instance.spec, facts):
        return None
    return grace_of(instance) + -(-facts.used_memory_bytes // (SAVES_MIB_PER_S * MIB))


def _writes_when_it_ends(spec: InstanceSpec, facts: NodeFacts) -> bool:
    """A snapshot, and to a volume, where its next start finds it."""
    is_logged = facts.is_logged
    if is_logged is None:
        is_logged = as_texts(spec.config).get("appendonly", "yes").lower() != "no"
    return bool(spec.storage_class) and not is_logged and facts.saves is not False
