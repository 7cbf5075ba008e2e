"""Whether a bound pod may ask for so much at all: a resize beyond what its node could ever give is refused at once.

Facts: Kubernetes 1.36, plugin/pkg/admission/podresize, which is on by default; the sentences are its own.
"""

from __future__ import annotations

from localkube.controllers.fit import requests_of
from localkube.controllers.settings import Settings
from localkube.errors import forbidden
from localkube.registry import Obj, Registry
from localkube.units import quantity_value

# What is counted, and how many of its units a message counts in one.
_COUNTED = {"cpu": 1000, "memory": 1}


class ResizeAdmission:
    def __init__(self, registry: Registry, _: Settings) -> None:
        self._registry = registry
        registry.check("pods", self._check)

    def start(self) -> None: ...

    async def stop(self) -> None: ...

    def _check(self, new: Obj, old: Obj | None, subresource: str | None) -> None:
        """Raises ApiError 403."""
        node_name = new["spec"].get("nodeName")
        if subresource != "resize" or old is None or not node_name:
            return
        if new["metadata"].get("generation") == old["metadata"].get("generation"):
            return
        name = new["metadata"]["name"]
        node = self._registry.find("nodes", None, node_name)
        if node is None:
            raise forbidden("pods", name, f'node "{node_name}" not found')
        asked, offered = requests_of(new), (node.get("status") or {}).get("allocatable") or {}
        beyond = []
        for resource, unit in _COUNTED.items():
            requested = round(asked.get(resource, 0) * unit)
            allocatable = round((quantity_value(offered.get(resource)) or 0) * unit)
            if requested > allocatable:
                beyond.append(f"{resource}, requested: {requested}, allocatable: {allocatable}")
        if beyond:
            why = f"node didn't have enough allocatable resources: {'; '.join(beyond)}"
            raise forbidden("pods", name, why, causes=[{"reason": "NodeCapacity"}])
