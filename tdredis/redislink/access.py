"""How a Redis process is entered: decided once for each resource, and known to nobody but the connections."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Access:
    """*passwords_to_try*, in this order, until one is accepted; "" is none. *tls* None: without.

    More than one is needed while a password changes, and to find out which one a process has.
    """

    passwords_to_try: tuple[str, ...] = field(default=("",), repr=False)
    tls: ssl.SSLContext | None = None


OPEN = Access()
