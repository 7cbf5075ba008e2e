"""What the scale subresource of an object shows, and what writing it changes in the object."""

from __future__ import annotations

from localkube.errors import bad_request
from localkube.registry import Obj, Registry, copy_of
from localkube.resources import ResourceType
from localkube.schema.crd import ScalePaths
from localkube.schema.jsonpath import find_values
from localkube.selectors import selector_text

_BUILT_IN = ScalePaths(".spec.replicas", ".status.replicas", None)


def _paths(registry: Registry, rtype: ResourceType) -> ScalePaths:
    custom = registry.customs.get(rtype.key)
    if custom is None:
        return _BUILT_IN
    scale = custom.storage.scale
    if scale is None:
        raise ValueError(f"{rtype.key} has no scale subresource")
    return scale


def scale_of(registry: Registry, rtype: ResourceType, obj: Obj) -> Obj:
    paths = _paths(registry, rtype)
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    wanted = find_values(paths.spec_replicas, obj)
    actual = find_values(paths.status_replicas, obj)
    status: Obj = {"replicas": actual[0] if actual else 0}
    if paths is _BUILT_IN:
        status["selector"] = selector_text(obj["spec"].get("selector") or {})
    elif paths.label_selector and (selector := find_values(paths.label_selector, obj)):
        status["selector"] = selector[0]
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": wanted[0]} if wanted else {},
        "status": status,
    }


def with_scale(registry: Registry, rtype: ResourceType, obj: Obj, scale: Obj) -> Obj:
    """A copy of *obj* with the replicas that *scale* wants, and the resourceVersion that *scale* names, if any."""
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        raise bad_request("spec.replicas: must be a number greater than or equal to 0")
    scaled = copy_of(obj)
    *above, last = _paths(registry, rtype).spec_replicas.strip(".").split(".")
    at = scaled
    for step in above:
        at = at.setdefault(step, {})
    at[last] = replicas
    version = (scale.get("metadata") or {}).get("resourceVersion")
    if version:
        scaled["metadata"]["resourceVersion"] = version
    return scaled
