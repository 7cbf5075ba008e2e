"""Decides what keeping a Kubernetes object as it should be means for any kind, and reads what the API server said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tdredis.api.json_object import JSON, JSONObject
from tdredis.manifests.drift import difference, stamp
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import PodFacts, Ref, Snapshot
from tdredis.planning.steps import Apply, Remove, ReplacePod, Step

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What one rule says: steps to take, holds on what it would not do."""

    steps: tuple[Step, ...] = ()
    holds: tuple[Hold, ...] = ()


def keep(snapshot: Snapshot, wanted: Iterable[JSONObject]) -> Ruling:
    """Every wanted object is there and says what it should."""
    steps = []
    for manifest in map(stamp, wanted):
        ref = ref_of(manifest)
        live = snapshot.children.get(ref)
        if live is None:
            steps.append(Apply(ref=ref, manifest=manifest, is_new=True, why="it does not exist"))
        elif (path := difference(manifest, live)) is not None:
            steps.append(Apply(ref=ref, manifest=manifest, why=f"{path} is not as the spec wants it"))
    return Ruling(steps=tuple(steps))


def remove(snapshot: Snapshot, unwanted: Iterable[JSONObject], why: str) -> tuple[Remove, ...]:
    """Steps for those of *unwanted* that are there."""
    steps = []
    for manifest in unwanted:
        ref = ref_of(manifest)
        live = snapshot.children.get(ref)
        if live is not None:
            version, uid = str(manifest["apiVersion"]), str(metadata_of(live).get("uid", ""))
            steps.append(Remove(ref=ref, api_version=version, uid=uid, why=why))
    return tuple(steps)


def replace_troubled(pod: PodFacts, because: str) -> ReplacePod:
    assert pod.trouble is not None  # noqa: S101 only troubled pods are replaced
    why = f"{because}, {pod.trouble.reason}, and its template has changed since"
    return ReplacePod(pod=pod.name, uid=pod.uid, why=why)


def outdated_pods(snapshot: Snapshot, statefulset: str, pods: Iterable[PodFacts]) -> list[PodFacts]:
    """Those of *pods* with trouble that were made of a template that has changed since."""
    revision = _update_revision(snapshot.children.get(Ref("StatefulSet", statefulset)))
    return [pod for pod in pods if pod.trouble and not pod.deleting and revision and pod.revision != revision]


def _update_revision(statefulset: JSONObject | None) -> str | None:
    """The revision of the present template; None while the StatefulSet's controller has not seen it yet."""
    if statefulset is None:
        return None
    status, metadata = statefulset.get("status"), statefulset.get("metadata")
    if not isinstance(status, dict) or not isinstance(metadata, dict):
        return None
    if status.get("observedGeneration") != metadata.get("generation"):
        return None
    revision = status.get("updateRevision")
    return revision if isinstance(revision, str) else None


def ref_of(manifest: JSONObject) -> Ref:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)  # noqa: S101 our own builders made it
    return Ref(str(manifest["kind"]), str(metadata["name"]))


def service_ip(service: JSONObject | None) -> str | None:
    """clusterIP of a Service as the API server gave it; None: no such Service, or headless."""
    spec = service.get("spec") if service else None
    address = spec.get("clusterIP") if isinstance(spec, dict) else None
    return address if isinstance(address, str) and address not in ("", "None") else None


def metadata_of(live: JSONObject | None) -> JSONObject:
    metadata = live.get("metadata") if live else None
    return metadata if isinstance(metadata, dict) else {}


def annotations_of(live: JSONObject | None) -> JSONObject:
    found = metadata_of(live).get("annotations")
    return found if isinstance(found, dict) else {}


def target_pods(node: JSON) -> list[str]:
    """Names of the pods that endpoints, of either API, refer to."""
    if isinstance(node, dict):
        target = node.get("targetRef")
        own = [str(target.get("name"))] if isinstance(target, dict) else []
        return own + [name for value in node.values() for name in target_pods(value)]
    if isinstance(node, list):
        return [name for value in node for name in target_pods(value)]
    return []


def list_names(pods: Sequence[str]) -> str:
    """A few names, and how many more: a sentence stays a sentence with 200 pods."""
    return ", ".join(pods[:3]) + (f" and {len(pods) - 3} more" if len(pods) > 3 else "")
