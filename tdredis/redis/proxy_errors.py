"""Decides whether an error that a proxy answers with says that the proxy itself is at fault.

Source: envoyproxy.io, "Redis", failure modes; redis.io, "Redis cluster specification", and the errors of each command.
"""

from __future__ import annotations

from typing import Final

# Redis says so of itself, and the proxy only passes it on: another proxy would hear the same.
_OF_REDIS: Final = frozenset(("LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "OOM", "MISCONF", "READONLY", "NOREPLICAS"))
# Passwords are on their way to it, by a roll of its Deployment; made anew before that it would have the same.
_OF_PASSWORDS: Final = frozenset(("NOAUTH", "WRONGPASS", "NOPERM", "NOPROTO"))
_WITHOUT_A_CODE: Final = (
    "ERR invalid password",
    "ERR Client sent AUTH",
    "ERR AUTH",
    "ERR max number of clients reached",  # of Redis
)


def is_fault_of_proxy(error: str) -> bool:
    """*error*: the words of an error reply to a read, while every slot has an owner that answers.

    True for what a proxy answers that looks for the cluster where it is no longer: "upstream failure", "no upstream
    host", or MOVED and CLUSTERDOWN of a node that is not one of ours.
    """
    code = error.partition(" ")[0]
    return code not in _OF_REDIS | _OF_PASSWORDS and not error.startswith(_WITHOUT_A_CODE)
