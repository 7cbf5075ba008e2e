"""Decides when what was made in the pass before is taken as it is: when it would be made of the very same."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """Of one resource. Holds what the present pass and the one before asked for, and what that was made of, and no
    more; passwords may be among it. Who has it drops it with the resource.
    """

    def __init__(self) -> None:
        self._before: dict[Hashable, tuple[tuple[object, ...], Any]] = {}
        self._now: dict[Hashable, tuple[tuple[object, ...], Any]] = {}

    def begin(self) -> None:
        """A pass begins: what the last one did not ask for is forgotten."""
        self._before, self._now = self._now, {}

    def end(self) -> None:
        """The pass is over: what it did not ask for is forgotten already, whenever the next one begins."""
        self._before = {}

    def once(self, what: Hashable, made_of: tuple[object, ...], make: Callable[[], T]) -> T:
        """What *make* returns, or returned under the name *what* when all of *made_of* was equal. It goes by nothing
        else: whatever it reads that may differ from one pass to the next is in *made_of*.
        """
        found = self._now.get(what) or self._before.get(what)
        if found is None or found[0] != made_of:
            found = made_of, make()
        self._now[what] = found
        result: T = found[1]
        return result

    def recall(self, what: Hashable, made_of: tuple[object, ...]) -> Any:
        """As `once`, of what is not made in one go, or not always kept: what `keep` was told of it. None: nothing."""
        found = self._now.get(what) or self._before.get(what)
        return found[1] if found is not None and found[0] == made_of else None

    def keep(self, what: Hashable, made_of: tuple[object, ...], found: object) -> None:
        """*found* was made of *made_of*, and is wanted in the pass that follows."""
        self._now[what] = made_of, found
