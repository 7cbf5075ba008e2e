"""Decides which objects a controller may treat as its own: it takes in matching orphans and lets go of strangers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from localkube.controllers.pods import Obj, build_controller_ref, controller_ref, is_terminating, labels_of
from localkube.registry import Event, Registry
from localkube.selectors import selector_predicate

ObjectKey = tuple[str, str]
MayAdopt = Callable[[Obj], bool]


def _always(_: Obj) -> bool:
    return True


def claim_children(
    registry: Registry, owner: Obj, resource: str, manager: str, may_adopt: MayAdopt = _always
) -> list[Obj]:
    """What *owner* controls after adoption and release, sorted by name. For those who ask seldom: see Children."""
    uid = owner["metadata"]["uid"]
    there = registry.list(resource, owner["metadata"]["namespace"])
    refs = [controller_ref(obj) for obj in there]
    concerned = [
        obj for obj, ref in zip(there, refs, strict=True) if (may_adopt(obj) if ref is None else ref["uid"] == uid)
    ]
    return _settle(registry, resource, manager, owner, concerned)


def _settle(registry: Registry, resource: str, manager: str, owner: Obj, concerned: Sequence[Obj]) -> list[Obj]:
    """*concerned*: what the owner controls, and orphans it may take."""
    matches = selector_predicate(owner["spec"].get("selector"))
    uid, leaving = owner["metadata"]["uid"], is_terminating(owner)

    def written(obj: Obj, refs: Sequence[Obj]) -> Obj:
        changed = {**obj, "metadata": {**obj["metadata"], "ownerReferences": list(refs)}}
        return registry.update(resource, changed, manager=manager)

    own: list[Obj] = []
    for obj in concerned:
        refs = obj["metadata"].get("ownerReferences") or ()
        fits = matches(labels_of(obj))
        if controller_ref(obj) is None:
            if fits and not leaving and not is_terminating(obj):
                own.append(written(obj, [*refs, build_controller_ref(owner)]))
        elif fits or leaving:
            own.append(obj)
        else:
            written(obj, [ref for ref in refs if ref["uid"] != uid])
    return sorted(own, key=lambda obj: str(obj["metadata"]["name"]))


class Children:
    """The objects of one resource by who controls them, exact at every moment: it is kept inside each write.

    Without it every pass over one owner would look at every pod of the namespace.
    """

    def __init__(self, registry: Registry, resource: str, manager: str) -> None:
        self._registry = registry
        self._resource = resource
        self._manager = manager
        self._owned: dict[str, dict[ObjectKey, Obj]] = {}
        self._orphans: dict[str, dict[ObjectKey, Obj]] = {}  # by namespace
        for obj in registry.list(resource):
            self._put(obj)
        registry.on_commit(self._on_commit)

    def of(self, owner: Obj) -> list[Obj]:
        """What *owner* controls now, in no order."""
        return list(self._owned.get(owner["metadata"]["uid"], {}).values())

    def claim(self, owner: Obj, may_adopt: MayAdopt = _always) -> list[Obj]:
        """What *owner* controls after adoption and release, sorted by name."""
        orphans = list(self._orphans.get(owner["metadata"]["namespace"], {}).values())
        own = [*self.of(owner), *(orphan for orphan in orphans if may_adopt(orphan))]
        return _settle(self._registry, self._resource, self._manager, owner, own)

    def _on_commit(self, resource: str, event: Event) -> None:
        if resource != self._resource:
            return
        if event.old is not None:
            self._take(event.old)
        if event.type != "DELETED":
            self._put(event.object)

    def _put(self, obj: Obj) -> None:
        shelf, name = self._shelf(obj)
        shelf.setdefault(name, {})[_key(obj)] = obj

    def _take(self, obj: Obj) -> None:
        shelf, name = self._shelf(obj)
        found = shelf.get(name)
        if found is not None:
            found.pop(_key(obj), None)
            if not found:
                del shelf[name]

    def _shelf(self, obj: Obj) -> tuple[dict[str, dict[ObjectKey, Obj]], str]:
        ref = controller_ref(obj)
        return (self._orphans, obj["metadata"]["namespace"]) if ref is None else (self._owned, ref["uid"])


def _key(obj: Obj) -> ObjectKey:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
