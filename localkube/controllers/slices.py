"""Which EndpointSlices of a Service exist under one manager's name: made, changed and removed as it wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from localkube.controllers.pods import labels_of
from localkube.controllers.settings import MANAGER
from localkube.registry import Obj, Registry

SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


def write_slices(
    registry: Registry, owner: Obj, *, manager: str, labels: Mapping[str, str], wanted: Sequence[Obj]
) -> None:
    """*owner* has the name of the Service and takes the slices with it. *wanted*: `endpoints` and `ports` of each."""
    namespace, name = owner["metadata"]["namespace"], owner["metadata"]["name"]
    mine = {SERVICE_NAME: name, MANAGED_BY: manager}
    full = {**labels, **mine}
    for have, want in zip_longest(registry.list(SLICES, namespace, labels=mine), wanted):
        if have is None:
            ref = {
                "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name, "uid": owner["metadata"]["uid"],
                "controller": True, "blockOwnerDeletion": True,
            }  # fmt: skip
            head = {"generateName": f"{name}-", "namespace": namespace, "labels": full, "ownerReferences": [ref]}
            registry.create(SLICES, {"metadata": head, "addressType": "IPv4", **want}, manager=MANAGER)
        elif want is None:
            registry.delete(SLICES, namespace, have["metadata"]["name"])
        elif any(have.get(part, []) != want[part] for part in want) or labels_of(have) != full:
            again = {**have, **want, "metadata": {**have["metadata"], "labels": full}}
            registry.update(SLICES, again, manager=MANAGER)
