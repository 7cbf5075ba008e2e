"""Objects by namespace and name, and by one more thing that is said of them: what a cache knows."""

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from tdredis.kube.objects import Stored

T = TypeVar("T", bound=Stored)

Key = tuple[str, str]  # (namespace, name)


class Store(Generic[T]):
    """*index* None for an object: it is in no index."""

    def __init__(self, index: Callable[[T], Hashable | None] | None = None) -> None:
        self._index_of = index
        self._objects: dict[Key, T] = {}
        self._index: dict[Hashable, dict[Key, T]] = {}
        self._in_order: dict[Hashable, tuple[T, ...]] = {}  # what `by_index` said, while it is so

    def __len__(self) -> int:
        return len(self._objects)

    def names(self) -> Iterable[Key]:
        return self._objects.keys()

    def get(self, key: Key) -> T | None:
        return self._objects.get(key)

    def all(self) -> tuple[T, ...]:
        """By namespace and name."""
        return _sorted(self._objects)

    def by_index(self, key: Hashable) -> tuple[T, ...]:
        """By namespace and name; () if nothing has this key. The same tuple while nothing of it changes."""
        if key not in self._index:
            return ()
        if key not in self._in_order:
            self._in_order[key] = _sorted(self._index[key])
        return self._in_order[key]

    def place_of(self, new: T) -> Hashable | None:
        """Where the index has it. Raises what the index raises of an object that is not as expected."""
        return None if self._index_of is None else self._index_of(new)

    def put(self, new: T, place: Hashable | None) -> None:
        """*place*: of `place_of`."""
        key = new.metadata.key
        old = self._objects.get(key)
        self._objects[key] = new
        self._reindex(key, old, new, place)

    def remove(self, key: Key) -> T:
        """What it was."""
        old = self._objects.pop(key)
        self._reindex(key, old, None, None)
        return old

    def _reindex(self, key: Key, old: T | None, new: T | None, index: Hashable | None) -> None:
        if self._index_of is None:
            return
        before = None if old is None else self._index_of(old)
        self._in_order.pop(before, None)
        self._in_order.pop(index, None)
        if before is not None and before != index:
            bucket = self._index[before]
            del bucket[key]
            if not bucket:
                del self._index[before]
        if new is not None and index is not None:
            self._index.setdefault(index, {})[key] = new


def _sorted(objects: dict[Key, T]) -> tuple[T, ...]:
    return tuple(objects[key] for key in sorted(objects))
