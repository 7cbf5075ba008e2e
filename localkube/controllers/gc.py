"""What goes when its owner goes: owner references followed in the background, in the foreground, or cut (orphan)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from localkube.controllers.pods import is_terminating
from localkube.controllers.settings import MANAGER, Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.errors import ApiError
from localkube.registry import Event, Obj, Registry

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
# Owners that we saw go: their dependents may be created a moment later, when even their kind may be forgotten.
REMEMBERED_GONE = 10_000


class Ref(NamedTuple):
    """Where an object is stored."""

    resource: str
    namespace: str
    name: str


class GarbageCollector:
    """Hears of every write of every resource: custom kinds come and go while it runs."""

    def __init__(self, registry: Registry, settings: Settings) -> None:  # noqa: ARG002 - all controllers are made alike
        self._registry = registry
        self._queue: KeyedQueue[Ref] = KeyedQueue("garbage collector", self._reconcile)
        self._dependents: dict[str, set[Ref]] = {}  # by the owner's uid
        self._owners: dict[Ref, frozenset[str]] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._running = False

    def start(self) -> None:
        self._running = True
        self._registry.on_commit(self._on_commit)
        for resource, _, obj in self._registry.everything():
            if obj is not None:
                self._note(_ref(resource, obj), obj)

    async def stop(self) -> None:
        self._running = False
        self._queue.stop()

    def _on_commit(self, resource: str, event: Event) -> None:
        if not self._running:
            return
        ref, uid = _ref(resource, event.object), event.object["metadata"]["uid"]
        if event.type != "DELETED":
            self._note(ref, event.object)
            for owner in (event.old or {"metadata": {}})["metadata"].get("ownerReferences") or ():
                if owner["uid"] not in self._owners.get(ref, ()):
                    self._mark_owner(ref, owner)
            return
        self._gone[uid] = None
        if len(self._gone) > REMEMBERED_GONE:
            self._gone.popitem(last=False)
        self._forget(ref)
        for dependent in self._dependents.get(uid, ()):
            self._queue.mark(dependent)
        for owner in event.object["metadata"].get("ownerReferences") or ():
            # An owner that waits in the foreground may have waited for this one.
            self._mark_owner(ref, owner)

    def _note(self, ref: Ref, obj: Obj) -> None:
        metadata = obj["metadata"]
        refs = metadata.get("ownerReferences")
        known = self._owners.get(ref)
        if refs or known:
            now = frozenset(owner["uid"] for owner in refs or ())
            if now != known:
                self._forget(ref)
                for uid in now:
                    self._dependents.setdefault(uid, set()).add(ref)
                if now:
                    self._owners[ref] = now
                self._queue.mark(ref)
        if "deletionTimestamp" in metadata:
            self._queue.mark(ref)

    def _forget(self, ref: Ref) -> None:
        for uid in self._owners.pop(ref, ()):
            dependents = self._dependents[uid]
            dependents.discard(ref)
            if not dependents:
                del self._dependents[uid]

    def _mark_owner(self, dependent: Ref, owner: Obj) -> None:
        resource = self._resource_of(owner)
        if resource is not None:
            namespaced = self._registry.types.get(resource).namespaced
            self._queue.mark(Ref(resource, dependent.namespace if namespaced else "", owner["name"]))

    def _reconcile(self, ref: Ref) -> None:
        obj = self._registry.find(*ref)
        if obj is None:
            return
        finalizers: list[str] = obj["metadata"].get("finalizers") or []
        if is_terminating(obj) and ORPHAN in finalizers:
            self._orphan_dependents(ref, obj)
        elif is_terminating(obj) and FOREGROUND in finalizers:
            self._delete_dependents(ref, obj)
        elif not is_terminating(obj) and obj["metadata"].get("ownerReferences"):
            self._follow_owners(ref, obj)

    def _orphan_dependents(self, ref: Ref, owner: Obj) -> None:
        uid = owner["metadata"]["uid"]
        for dependent in self._dependents_of(uid):
            self._drop_owners(dependent, {uid})
        self._drop_finalizer(ref, ORPHAN)

    def _delete_dependents(self, ref: Ref, owner: Obj) -> None:
        """The owner goes last: after all that claim to block its deletion."""
        uid = owner["metadata"]["uid"]
        blocking = False
        for dependent in self._dependents_of(uid):
            obj = self._registry.find(*dependent)
            if obj is None:
                continue
            blocking = blocking or _blocks(obj, uid)
            self._queue.mark(dependent)
        if not blocking:
            self._drop_finalizer(ref, FOREGROUND)

    def _follow_owners(self, ref: Ref, obj: Obj) -> None:
        solid, absent, waiting = self._sort_owners(ref, obj)
        metadata = obj["metadata"]
        if solid:
            if absent or waiting:
                self._drop_owners(ref, {*absent, *waiting})
            return
        if not absent and not waiting:
            return
        # Background unless its own finalizers ask for more; an owner that waits wants to see all below it gone first.
        policy: str | None = "Background"
        finalizers = metadata.get("finalizers") or ()
        if ORPHAN in finalizers:
            policy = "Orphan"
        elif FOREGROUND in finalizers or (waiting and self._has_blocking(metadata["uid"])):
            policy = "Foreground"
        try:
            self._registry.delete(*ref, propagation=policy, uid=metadata["uid"])
        except ApiError as refused:
            if refused.code != 404:
                raise

    def _sort_owners(self, ref: Ref, obj: Obj) -> tuple[list[str], list[str], list[str]]:
        """The uids of owners that keep the object, that are gone, and that wait for the object to go."""
        solid: list[str] = []
        absent: list[str] = []
        waiting: list[str] = []
        for owner in obj["metadata"]["ownerReferences"]:
            uid = owner["uid"]
            resource = self._resource_of(owner)
            if resource is None:
                # Its kind is unknown: gone if we saw it go, else nobody can tell, and what nobody can tell stays.
                (absent if uid in self._gone else solid).append(uid)
                continue
            namespaced = self._registry.types.get(resource).namespaced
            if namespaced and not ref.namespace:
                solid.append(uid)  # a cluster-wide object cannot be owned from inside a namespace: never collected
                continue
            found = self._registry.find(resource, ref.namespace if namespaced else None, owner["name"])
            if found is None or found["metadata"]["uid"] != uid:
                absent.append(uid)
            elif is_terminating(found) and FOREGROUND in (found["metadata"].get("finalizers") or ()):
                waiting.append(uid)
            else:
                solid.append(uid)
        return solid, absent, waiting

    def _resource_of(self, owner: Obj) -> str | None:
        group, _, _ = owner["apiVersion"].rpartition("/")
        for rtype in self._registry.types:
            if rtype.kind == owner["kind"] and rtype.group == group:
                return rtype.key
        return None

    def _dependents_of(self, uid: str) -> list[Ref]:
        return sorted(self._dependents.get(uid, ()))

    def _has_blocking(self, uid: str) -> bool:
        found = (self._registry.find(*ref) for ref in self._dependents_of(uid))
        return any(obj is not None and _blocks(obj, uid) for obj in found)

    def _drop_owners(self, ref: Ref, uids: set[str]) -> None:
        obj = self._registry.find(*ref)
        if obj is None:
            return
        left = [one for one in obj["metadata"].get("ownerReferences") or () if one["uid"] not in uids]
        self._registry.update(
            ref.resource, {**obj, "metadata": {**obj["metadata"], "ownerReferences": left}}, manager=MANAGER
        )

    def _drop_finalizer(self, ref: Ref, finalizer: str) -> None:
        obj = self._registry.find(*ref)
        if obj is None:
            return
        left = _without(obj["metadata"].get("finalizers") or (), finalizer)
        self._registry.update(
            ref.resource, {**obj, "metadata": {**obj["metadata"], "finalizers": left}}, manager=MANAGER
        )


def _ref(resource: str, obj: Obj) -> Ref:
    metadata = obj["metadata"]
    return Ref(resource, metadata.get("namespace", ""), metadata["name"])


def _blocks(dependent: Obj, owner_uid: str) -> bool:
    return any(
        one["uid"] == owner_uid and one.get("blockOwnerDeletion")
        for one in dependent["metadata"].get("ownerReferences") or ()
    )


def _without(finalizers: Iterable[str], finalizer: str) -> list[str]:
    return [one for one in finalizers if one != finalizer]
