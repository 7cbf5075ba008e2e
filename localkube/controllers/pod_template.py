"""Decides what a pod made from a template looks like before its controller adds what is its own."""

from __future__ import annotations

from typing import Any

from localkube.controllers.pods import Obj, build_controller_ref
from localkube.registry import copy_of


def build_pod(template: Obj, owner: Obj) -> Obj:
    """A new pod of *owner*, not yet named. A private copy: the caller may go on to change it."""
    copied = copy_of(template)
    described = copied.get("metadata") or {}
    metadata: dict[str, Any] = {
        "namespace": owner["metadata"]["namespace"],
        "generateName": f"{owner['metadata']['name']}-",
        "labels": dict(described.get("labels") or {}),
        "ownerReferences": [build_controller_ref(owner)],
    }
    if described.get("annotations"):
        metadata["annotations"] = described["annotations"]
    if described.get("finalizers"):
        metadata["finalizers"] = described["finalizers"]
    return {"metadata": metadata, "spec": copied["spec"]}
