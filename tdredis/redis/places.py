"""Decides how a primary is named and found by whoever moves slots between several."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A primary: *name* for people, and where it is. *host* and *port* are those that other nodes reach it by too.
    *copies*: ids of the other nodes of its shard. One of them may have been the primary when a move was begun.
    """

    name: str
    id: str
    host: str
    port: int
    copies: frozenset[str] = frozenset()

    @property
    def ids(self) -> frozenset[str]:
        return self.copies | {self.id}
