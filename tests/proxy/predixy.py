"""Decides what is said of predixy, by its own source and README and by what was tried.

predixy.txt: the names of its table of commands (src/Command.cpp).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

HAS: Final = frozenset(Path(__file__).with_name("predixy.txt").read_text().split())
_SPECIAL: Final = {
    "dbsize": "error (tried)",
    "hello": "error (tried)",
    "keys": "error (tried)",
    "scan": "right (tried)",
    **dict.fromkeys(("multi", "watch"), "error (tried; README: only before one Sentinel group)"),
    **dict.fromkeys(("exec", "discard", "unwatch"), "error (README: only before one Sentinel group)"),
    **dict.fromkeys(("script exists", "script flush", "script kill", "script help"), "not known"),
}


def predixy_says(command: str) -> str:
    """*command* as the engine names it, in small letters."""
    if command in _SPECIAL:
        return _SPECIAL[command]
    return "has it" if command in HAS or command == "script load" or _of_container(command) else "does not have it"


def _of_container(command: str) -> bool:
    return command.partition(" ")[0] in {"config", "pubsub"}
