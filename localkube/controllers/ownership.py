"""Decides which objects a controller may treat as its own: it takes in matching orphans and lets go of strangers."""

from __future__ import annotations

from collections.abc import Callable

from localkube.controllers.pods import Obj, build_controller_ref, controller_ref, is_terminating, labels_of
from localkube.registry import Registry
from localkube.selectors import selector_predicate


def claim_children(
    registry: Registry,
    owner: Obj,
    resource: str,
    manager: str,
    may_adopt: Callable[[Obj], bool] = lambda _: True,
) -> list[Obj]:
    """The objects of *resource* that *owner* controls after adoption and release, sorted by name."""
    matches = selector_predicate(owner["spec"].get("selector"))
    uid = owner["metadata"]["uid"]
    own: list[Obj] = []
    for obj in registry.list(resource, owner["metadata"]["namespace"]):
        ref = controller_ref(obj)
        if ref is not None:
            if ref["uid"] != uid:
                continue
            if matches(labels_of(obj)) or is_terminating(owner):
                own.append(obj)
            else:
                _release(registry, resource, obj, uid, manager)
        elif not is_terminating(owner) and not is_terminating(obj) and matches(labels_of(obj)) and may_adopt(obj):
            own.append(_adopt(registry, resource, obj, owner, manager))
    return own


def _adopt(registry: Registry, resource: str, obj: Obj, owner: Obj, manager: str) -> Obj:
    refs = [*(obj["metadata"].get("ownerReferences") or ()), build_controller_ref(owner)]
    return registry.update(resource, _with_owners(obj, refs), manager=manager)


def _release(registry: Registry, resource: str, obj: Obj, uid: str, manager: str) -> None:
    refs = [ref for ref in obj["metadata"]["ownerReferences"] if ref["uid"] != uid]
    registry.update(resource, _with_owners(obj, refs), manager=manager)


def _with_owners(obj: Obj, refs: list[Obj]) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": refs}}
