"""What a resize changes of a pod: cpu and memory of its containers, and nothing of what the pod otherwise is.

Facts: Kubernetes documentation "Resize CPU and Memory Resources assigned to Containers"; the words are a real server's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from localkube.errors import FieldError, forbidden_field, invalid_value
from localkube.schema.defaults import default_pod_spec, qos_class
from localkube.schema.limits import check_pod_spec

Obj = dict[str, Any]
_NOTHING: Mapping[str, Any] = {}
_RESIZABLE = ("cpu", "memory")
_LISTS = ("containers", "initContainers")
_ONLY = "only cpu and memory resources are mutable"


def resized_spec(old: Obj, asked: Obj) -> Obj:
    """*old* with the resources that *asked* wants. What else it says is dropped without a word, as on a real server.

    Containers that do not match those of *old* are taken as they are, so that the check can refuse them by name.
    *asked* is the caller's own: it is given its defaults.
    """
    default_pod_spec(asked)
    spec = dict(old)
    for field in _LISTS:
        before, now = old.get(field) or [], asked.get(field) or []
        if len(before) != len(now):
            return asked
        if now:
            spec[field] = _resized(before, now)
    return spec


def _resized(before: Sequence[Obj], now: Sequence[Obj]) -> Sequence[Obj]:
    if [one.get("name") for one in before] != [one.get("name") for one in now]:
        return now
    containers = []
    for old, new in zip(before, now, strict=True):
        container = {name: value for name, value in old.items() if name != "resizePolicy"}
        container["resources"] = new.get("resources") or {}
        if new.get("resizePolicy"):
            container["resizePolicy"] = new["resizePolicy"]
        containers.append(container)
    return containers


def check_resize(new: Obj, old: Obj) -> list[FieldError]:
    spec, before = new["spec"], old["spec"]
    found = check_pod_spec(spec, "spec")
    if (has := (old.get("status") or _NOTHING).get("qosClass")) != qos_class(spec):
        found.append(invalid_value("spec", has, "Pod QOS Class may not change as a result of resizing"))
    if misplaced := _misplaced(spec, before):
        return found + misplaced
    for field in _LISTS:
        for index, (container, former) in enumerate(zip(spec.get(field) or (), before.get(field) or (), strict=True)):
            found += _check_container(container, former, f"spec.{field}[{index}]", field)
    return found


def _misplaced(spec: Obj, before: Obj) -> list[FieldError]:
    found: list[FieldError] = []
    for field in _LISTS:
        now, former = spec.get(field) or (), before.get(field) or ()
        if len(now) != len(former):
            found.append(forbidden_field(f"spec.{field}", f"{field} may not be added or removed on resize"))
            continue
        found += [
            forbidden_field(f"spec.{field}[{index}].name", f"{field} may not be renamed or reordered on resize")
            for index, (one, other) in enumerate(zip(now, former, strict=True))
            if one.get("name") != other.get("name")
        ]
    return found


def _check_container(container: Obj, former: Obj, where: str, field: str) -> list[FieldError]:
    resources, before = container.get("resources") or _NOTHING, former.get("resources") or _NOTHING
    if field == "initContainers" and former.get("restartPolicy") != "Always":
        advice = "resources for non-sidecar init containers are immutable"
        return [] if resources == before else [forbidden_field(f"{where}.resources", advice)]
    found = [
        forbidden_field(f"{where}.resources.{part}", f"resource {part} cannot be removed")
        for part in ("requests", "limits")
        if (before.get(part) or {}).keys() - (resources.get(part) or {}).keys()
    ]
    if _other_resources(resources) != _other_resources(before) or container.get("resizePolicy") != former.get(
        "resizePolicy"
    ):
        found.append(forbidden_field("spec", _ONLY))
    return found


def _other_resources(resources: Mapping[str, Any]) -> Obj:
    left: Obj = {"claims": resources.get("claims") or []}
    for part in ("requests", "limits"):
        left[part] = {name: value for name, value in (resources.get(part) or {}).items() if name not in _RESIZABLE}
    return left
