"""Decides how one resource is followed in several namespaces and no others: a cache each, read as one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from tdredis.api.json_object import JSONObject
from tdredis.kube.cache import Cache
from tdredis.kube.objects import Stored

T = TypeVar("T", bound=Stored)


class Joined(Generic[T]):
    """Reads as a `Cache`. What its index is made of must tell the namespace: objects of two never share a place."""

    def __init__(self, caches: Mapping[str, Cache[T]]) -> None:
        """*caches*: at least one, by namespace."""
        self._by_namespace = dict(caches)
        self.name = next(iter(caches.values())).name

    @property
    def parts(self) -> Sequence[Cache[T]]:
        return tuple(self._by_namespace.values())

    @property
    def undecodable(self) -> Mapping[tuple[str, str], str]:
        return {key: why for cache in self.parts for key, why in cache.undecodable.items()}

    def __len__(self) -> int:
        return sum(len(cache) for cache in self.parts)

    def __iter__(self) -> Iterator[T]:
        return iter(self.all())

    def get(self, namespace: str, name: str) -> T | None:
        cache = self._by_namespace.get(namespace)
        return None if cache is None else cache.get(namespace, name)

    def all(self) -> tuple[T, ...]:
        """By namespace and name."""
        return tuple(each for namespace in sorted(self._by_namespace) for each in self._by_namespace[namespace].all())

    def by_index(self, key: Hashable) -> tuple[T, ...]:
        """As `Cache.by_index`: the same tuple while nothing of it changes."""
        found = (cache.by_index(key) for cache in self.parts)
        return next((each for each in found if each), ())

    def silent_for_s(self) -> float | None:
        """Of the namespace that was not heard of for longest; None: of none was anything heard."""
        heard = [silence for cache in self.parts if (silence := cache.silent_for_s()) is not None]
        return max(heard, default=None)

    def learn(self, answer: JSONObject) -> None:
        metadata = answer.get("metadata")
        cache = self._by_namespace.get(str(metadata.get("namespace"))) if isinstance(metadata, dict) else None
        if cache is not None:
            cache.learn(answer)
