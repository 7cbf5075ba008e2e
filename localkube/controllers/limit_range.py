"""What a container is given by its namespace's LimitRange where its author left it out, and what is too little or much.

Facts: Kubernetes documentation "Limit Ranges"; plugin/pkg/admission/limitranger, whose sentences these are. Limits of
containers and pods are known, those of claims and ratios are refused when they are written.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from localkube.controllers.quantities import parse_quantity
from localkube.controllers.settings import Settings
from localkube.errors import forbidden, not_implemented
from localkube.registry import Obj, Registry
from localkube.schema.defaults import qos_class

RANGES = "limitranges"


class LimitRangeAdmission:
    def __init__(self, registry: Registry, _: Settings) -> None:
        self._registry = registry
        registry.admit(RANGES, _complete)
        registry.admit("pods", self._fill)
        registry.check("pods", self._check)

    def start(self) -> None: ...

    async def stop(self) -> None: ...

    def _fill(self, pod: Obj, old: Obj | None) -> Obj:
        """A new pod's containers get the defaults of the namespace."""
        if old is not None:
            return pod
        filled = False
        for limit in self._limits(pod, "Container"):
            for container in (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]):
                filled |= _give(container, "limits", limit.get("default") or {})
                filled |= _give(container, "requests", limit.get("defaultRequest") or {})
        if filled:
            pod["status"] = {**pod["status"], "qosClass": qos_class(pod["spec"])}
        return pod

    def _check(self, new: Obj, old: Obj | None, subresource: str | None) -> None:
        """Raises ApiError 403."""
        if subresource != "resize" and old is not None:
            return
        said: list[str] = []
        for limit in self._limits(new, "Container"):
            for container in (*new["spec"]["containers"], *(new["spec"].get("initContainers") or ())):
                said += _beyond(limit, "Container", container.get("resources") or {})
        for limit in self._limits(new, "Pod"):
            said += _beyond(limit, "Pod", _together(new))
        if said:
            why = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
            raise forbidden("pods", new["metadata"]["name"], why)

    def _limits(self, pod: Obj, kind: str) -> list[Obj]:
        ranges = self._registry.list(RANGES, pod["metadata"]["namespace"])
        return [one for found in ranges for one in found["spec"].get("limits") or () if one.get("type") == kind]


def _complete(new: Obj, _: Obj | None) -> Obj:
    """Raises ApiError 501 for what would not be kept."""
    for limit in new["spec"].get("limits") or ():
        if limit.get("type") not in ("Container", "Pod"):
            raise not_implemented(f"limits of type {limit.get('type')} in a LimitRange")
        if limit.get("maxLimitRequestRatio"):
            raise not_implemented("maxLimitRequestRatio in a LimitRange")
        if limit["type"] == "Container":
            default = {**(limit.get("max") or {}), **(limit.get("default") or {})}
            request = {**(limit.get("min") or {}), **default, **(limit.get("defaultRequest") or {})}
            for name, value in (("default", default), ("defaultRequest", request)):
                if value:
                    limit[name] = value
    return new


def _give(container: Obj, part: str, defaults: Obj) -> bool:
    resources: Obj = container.setdefault("resources", {})
    missing = {name: value for name, value in defaults.items() if name not in (resources.get(part) or {})}
    if missing:
        resources[part] = {**(resources.get(part) or {}), **missing}
    return bool(missing)


def _beyond(limit: Obj, kind: str, resources: Obj) -> list[str]:
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    said = []
    for name, least in sorted((limit.get("min") or {}).items()):
        words = f"minimum {name} usage per {kind} is {least}"
        if name not in requests:
            said.append(f"{words}.  No request is specified")
        elif _value(requests[name]) < _value(least):
            said.append(f"{words}, but request is {requests[name]}")
        elif name in limits and _value(limits[name]) < _value(least):
            said.append(f"{words}, but limit is {limits[name]}")
    for name, most in sorted((limit.get("max") or {}).items()):
        words = f"maximum {name} usage per {kind} is {most}"
        if name not in limits:
            said.append(f"{words}.  No limit is specified")
        elif _value(limits[name]) > _value(most):
            said.append(f"{words}, but limit is {limits[name]}")
        elif name in requests and _value(requests[name]) > _value(most):
            said.append(f"{words}, but request is {requests[name]}")
    return said


def _together(pod: Obj) -> Obj:
    """Sums of its containers; a part that some container lacks is lacking."""
    total: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
    for part, sums in total.items():
        each = [(one.get("resources") or {}).get(part) or {} for one in pod["spec"]["containers"]]
        for name in {name for one in each for name in one}:
            if all(name in one for one in each):
                sums[name] = str(float(sum((_value(one[name]) for one in each), Fraction(0))))
    return total


def _value(quantity: Any) -> Fraction:
    return parse_quantity(quantity)
