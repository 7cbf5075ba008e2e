"""Which index of an Indexed Job a pod works on, and which ones are still free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from localkube.controllers.pods import Obj, is_active, phase

INDEX = "batch.kubernetes.io/job-completion-index"
_VARIABLE = {"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}}
# A pod's own name is no longer than a host's.
_LONGEST_STEM = 57


def is_indexed(job: Obj) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def index_of(pod: Obj) -> int | None:
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isdecimal() else None


def done_indexes(pods: Sequence[Obj]) -> list[int]:
    return sorted({index for pod in pods if phase(pod) == "Succeeded" and (index := index_of(pod)) is not None})


def free_indexes(completions: int, pods: Sequence[Obj]) -> list[int | None]:
    """The lowest first: neither done nor worked on."""
    taken = {index_of(pod) for pod in pods if is_active(pod) or phase(pod) == "Succeeded"}
    return [index for index in range(completions) if index not in taken]


def indexes_text(indexes: Iterable[int]) -> str:
    """Sorted indexes as a status has them: `0,2-4`."""
    spans: list[list[int]] = []
    for index in indexes:
        if spans and spans[-1][1] == index - 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def with_index(pod: Obj, job: Obj, index: int) -> Obj:
    """*pod* (private to the caller) as the one that works on *index*."""
    metadata, spec = pod["metadata"], pod["spec"]
    stem = f"{job['metadata']['name']}-{index}"
    metadata["generateName"] = f"{stem[:_LONGEST_STEM]}-"
    metadata["labels"] = {**(metadata.get("labels") or {}), INDEX: str(index)}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), INDEX: str(index)}
    spec.setdefault("hostname", stem)
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        known = container.get("env") or []
        if all(one["name"] != _VARIABLE["name"] for one in known):
            container["env"] = [*known, dict(_VARIABLE)]
    return pod
