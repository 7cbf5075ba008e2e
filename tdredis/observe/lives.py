"""Decides when an object read in the pass before need not be read again: when the cache holds the very same."""

from __future__ import annotations

from tdredis.kube.objects import Child
from tdredis.planning.live import Live


class Lives:
    """Of one resource. A cache has another `Child` for every version of an object."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[Child, Live]] = {}  # by identity; the child is kept so that it stays its own
        self._now: dict[int, tuple[Child, Live]] = {}

    def look(self) -> None:
        """A pass begins: what it does not ask for is forgotten with the next."""
        self._before, self._now = self._now, {}

    def of(self, child: Child) -> Live:
        found = self._before.get(id(child)) or (child, Live(child.to_json))
        self._now[id(child)] = found
        return found[1]
