"""Decides which of two resources has a name that both want for an object: who made it, else who was there first."""

from __future__ import annotations

from tdredis.api.instance import Instance
from tdredis.api.kinds import KINDS, InvalidResourceError, parse
from tdredis.kube.objects import CustomObject
from tdredis.manifests.derived import derived_names
from tdredis.observe.caches import Caches
from tdredis.planning.snapshot import Collision, Key, Ref

Names = frozenset[tuple[str, str]]


class Namesakes:
    """Remembers which names each resource wants, as long as its spec is the same."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._wanted: dict[Key, tuple[str, int, Names]] = {}  # uid and generation that they are of

    def collisions(self, key: Key, instance: Instance) -> tuple[Collision, ...]:
        """What *instance* wants and must leave to others, by kind and name."""
        mine, found = self._own(key, instance), []
        for kind, cache in self._caches.custom.items():
            for other in cache.by_index(key.namespace):
                its_key = Key(kind, key.namespace, other.metadata.name)
                if its_key == key or mine.isdisjoint(names := self._names(its_key, other)):
                    continue
                found += [
                    Collision(ref=Ref(*name), owner=its_key)
                    for name in sorted(mine & names)
                    if self._is_theirs(instance, its_key, other, Ref(*name))
                ]
        return tuple(sorted(found, key=lambda each: (each.ref, each.owner)))

    def _own(self, key: Key, instance: Instance) -> Names:
        uid, generation, names = self._wanted.get(key, ("", 0, frozenset()))
        if (uid, generation) != (instance.metadata.uid, instance.metadata.generation):
            names = derived_names(instance)
            self._wanted[key] = instance.metadata.uid, instance.metadata.generation, names
        return names

    def drop(self, key: Key) -> None:
        self._wanted.pop(key, None)

    def _names(self, key: Key, stored: CustomObject) -> Names:
        meta = stored.metadata
        uid, generation, names = self._wanted.get(key, ("", 0, frozenset()))
        if (uid, generation) != (meta.uid, meta.generation):
            try:
                names = derived_names(parse(KINDS[key.kind], stored.to_bytes()))
            except InvalidResourceError:
                names = frozenset()  # nothing is made of it
            self._wanted[key] = meta.uid, meta.generation, names
        return names

    def _is_theirs(self, instance: Instance, key: Key, other: CustomObject, ref: Ref) -> bool:
        """*other*, which is *key*, has the name *ref* before *instance*."""
        live = self._caches.children[ref.kind].get(key.namespace, ref.name)
        controller = live.metadata.controller if live else None
        if controller is not None and controller.uid in (instance.metadata.uid, other.metadata.uid):
            return controller.uid == other.metadata.uid
        mine = (instance.metadata.creation_timestamp, instance.KIND, instance.name)
        return (other.metadata.creation_timestamp or "", key.kind, key.name) < mine
