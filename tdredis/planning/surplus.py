"""Decides what a pod is that a StatefulSet has beyond what spec asks for, for as long as others are recreated.

It keeps a copy of their data. The annotation of the StatefulSet is all that is remembered of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tdredis.api.instance import InstanceSpec
from tdredis.api.json_object import JSONObject, object_at
from tdredis.api.settings import as_texts
from tdredis.manifests.claims import CLAIM
from tdredis.manifests.names import SURPLUS, pods_per_statefulset
from tdredis.planning.loss import is_unkept
from tdredis.planning.rolling import Surplus, ordinal
from tdredis.planning.snapshot import Ref, Snapshot
from tdredis.redis.facts import NodeFacts

ON_END: Final = "shutdown-on-sigterm"  # with nosave what came since the last snapshot goes with the process


def surplus_pod(snapshot: Snapshot, statefulset: str, wanted: int) -> str | None:
    """The pod that *statefulset* has beyond the *wanted* ones, or is to have; None: there is none."""
    live = snapshot.children.get(Ref("StatefulSet", statefulset))
    number = live.statefulset.surplus if live else None
    return None if number is None or number < wanted else f"{statefulset}-{number}"


def condemned_pods(snapshot: Snapshot, wanted: Iterable[str]) -> frozenset[str]:
    """Those of the *wanted* pods that spec asks for no more: they stay until none of them is a primary."""
    count = pods_per_statefulset(snapshot.resource)
    return frozenset(pod for pod in wanted if ordinal(pod) >= count)


def is_seen(snapshot: Snapshot, statefulset: str) -> bool:
    """Its controller knows it as it is now: what pods it makes, and from which template, is settled."""
    live = snapshot.children.get(Ref("StatefulSet", statefulset))
    return live is not None and live.revision is not None


def find_surplus(snapshot: Snapshot, statefulset: str, wanted: int) -> Surplus | None:
    """What *snapshot* says of that pod."""
    name = surplus_pod(snapshot, statefulset, wanted)
    if name is None:
        return None
    pod, live = snapshot.pods.get(name), snapshot.children[Ref("StatefulSet", statefulset)]
    if pod is None:
        return Surplus(pod=name, trouble=snapshot.creation_failures.get(statefulset, ""))
    if pod.trouble is None:
        return Surplus(pod=name)
    is_stuck = not pod.deleting and live.revision is not None and pod.revision != live.revision
    words = f"{pod.trouble.reason}: {pod.trouble.message}" if pod.trouble.message else pod.trouble.reason
    return Surplus(pod=name, trouble=words, is_stuck=is_stuck)


def keeps_data(spec: InstanceSpec) -> bool:
    """A pod that is recreated finds its data again: it has a volume, and its process writes to it."""
    return bool(spec.storage_class) and not is_unkept(spec)


def is_written(spec: InstanceSpec, facts: NodeFacts) -> bool:
    """What the process has, its next start reads from the volume, if there is one: an engine may have refused what
    *spec* says of that.
    """
    config = as_texts(spec.config)
    if config.get("appendonly", "yes").lower() != "no":
        return facts.is_logged is not False
    return facts.saves is not False and "nosave" not in config.get(ON_END, "").lower().split()


def is_claim_going(snapshot: Snapshot, pod: str) -> bool:
    """Somebody deleted the claim of *pod*: its volume goes with the pod that still uses it. Source: kubernetes.io,
    "Persistent Volumes" (storage object in use protection).
    """
    return f"{CLAIM}-{pod}" in snapshot.kept_claims


def with_surplus(snapshot: Snapshot, manifest: JSONObject) -> JSONObject:
    """A surplus pod stays until the plan says otherwise, in a step of its own; more pods by spec take it in. Where no
    pod is wanted at all, it goes with the others.
    """
    if manifest["kind"] != "StatefulSet" or not _replicas(manifest):
        return manifest
    name = str(object_at(manifest, "metadata")["name"])
    return one_more(manifest) if surplus_pod(snapshot, name, _replicas(manifest)) else manifest


def one_more(manifest: JSONObject) -> JSONObject:
    """The StatefulSet *manifest* with one more pod."""
    metadata, replicas = object_at(manifest, "metadata"), _replicas(manifest)
    annotations = object_at(metadata, "annotations") if metadata.get("annotations") else {}
    return {
        **manifest,
        "metadata": {**metadata, "annotations": {**annotations, SURPLUS: str(replicas)}},
        "spec": {**object_at(manifest, "spec"), "replicas": replicas + 1},
    }


def _replicas(manifest: JSONObject) -> int:
    found = object_at(manifest, "spec")["replicas"]
    if not isinstance(found, int):
        raise TypeError(f"replicas is {type(found).__name__}, not a number")
    return found
