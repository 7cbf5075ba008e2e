"""What can go wrong between us and a Redis process: one tree, so that a caller catches as wide as it can answer for.

LinkError
├── Unreachable        no connection, or it was lost before the answer came
├── NoAnswer           the deadline passed
└── Refused            Redis answered with an error; `code` is its first word (ERR, NOAUTH, WRONGPASS, ...)
    └── NoFreeConnection   it has as many clients as it may have, and closes the connection
"""

from __future__ import annotations

import re
from typing import Final

_OUT_OF_MEMORY: Final = re.compile(r"\bOOM\b")


class LinkError(Exception):
    """Any failure to get an answer from a Redis process."""


class Unreachable(LinkError):
    """There is no connection: refused, reset, or closed before the answer. *refused*: nobody listens at the address,
    as the kernel that has it says; with the pod's address in place that means that the process is dead. *accepted*:
    somebody took the connection and closed it without a word.
    """

    def __init__(self, message: str, *, refused: bool = False, accepted: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        self.accepted = accepted


class NoAnswer(LinkError):
    """Connected, but silent beyond the deadline."""


class Refused(LinkError):
    """Redis answered with an error reply."""

    @property
    def code(self) -> str:
        return str(self).partition(" ")[0]

    @property
    def is_of_the_password(self) -> bool:
        """It is another password, or there must be one. Redis before 6, predixy and Envoy answer without a code."""
        return self.code in ("WRONGPASS", "NOAUTH") or "invalid password" in str(self)

    @property
    def is_of_memory(self) -> bool:
        """A node is at maxmemory: the one that answers, or the one that it spoke to (MIGRATE)."""
        return is_of_memory(str(self))


class NoFreeConnection(Refused):
    """Redis has no connection left (maxclients). It lives: this is neither silence nor death."""


def is_of_memory(words: str) -> bool:
    """Whether *words* of an engine say that a node is at maxmemory: "OOM command not allowed ...", alone or quoted."""
    return _OUT_OF_MEMORY.search(words) is not None
