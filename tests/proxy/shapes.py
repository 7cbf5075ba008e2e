"""Decides with which arguments each command is tried: scenes.txt has one line a command, its scenes behind it.

A scene is one command, or several with " ; " between them, on a connection of its own; "@" before one sends it by
another connection. "~" marks a scene whose keys are in different slots. Every scene begins with the keys of FIXTURE,
and a command that has no line here is one that the proxy does not know: it is tried with some words behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

# Keys with {t} share a slot. s, l, S, z, h and x are on different shards of three.
FIXTURE: Final = (
    "SET s 10",
    "SET word hello",
    "SET float 1.5",
    "SET soon gone PX 100000",
    "SET {t}s1 foobar",
    "SET {t}s2 abcdef",
    "RPUSH l a b c a",
    "RPUSH one only",
    "RPUSH {t}l1 a b",
    "RPUSH {t}l2 c",
    "SADD S a b c",
    "SADD S1 a",
    "SADD {t}S1 a b",
    "SADD {t}S2 b c",
    "SADD numbers 3 1 2",
    "ZADD z 1 a 2 b 3 c",
    "ZADD lex 0 a 0 b 0 c",
    "ZADD {t}z1 1 a 2 b",
    "ZADD {t}z2 3 b 4 c",
    "HSET h f v n 5 r 1.5",
    "HSET h1 f v",
    "XADD x 1-1 f v",
    "XADD x 2-1 f w",
    "XGROUP CREATE x g 0",
    "PFADD {t}p1 a b",
    "PFADD {t}p2 b c",
    "PFADD p a b c",
    "GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
)


@dataclass(frozen=True, slots=True)
class Scene:
    text: str
    across: bool  # its keys are in different slots

    def steps(self, password: str) -> tuple[tuple[bool, tuple[bytes, ...]], ...]:
        """Commands in order, each with whether another connection sends it."""
        found = []
        for part in self.text.split(" ; "):
            words = split_words(part.removeprefix("@"))
            filled = tuple(word.replace(b"{password}", password.encode()) for word in words)
            found.append((part.startswith("@"), filled))
        return tuple(found)


def split_words(text: str) -> tuple[bytes, ...]:
    r"""Words between blanks; one in double quotes is one word, and \xNN and \n in it are those bytes."""
    words: list[bytes] = []
    rest = text
    while rest := rest.lstrip():
        if rest.startswith('"'):
            quoted, _, rest = rest[1:].partition('"')
            words.append(quoted.encode().decode("unicode_escape").encode("latin-1"))
        else:
            word, _, rest = rest.partition(" ")
            words.append(word.encode())
    return tuple(words)


def _parse(lines: str) -> dict[str, tuple[Scene, ...]]:
    found = {}
    for line in lines.strip().splitlines():
        name, *scenes = (part.strip() for part in line.split(" | "))
        found[name] = tuple(Scene(text=scene.removeprefix("~"), across=scene.startswith("~")) for scene in scenes)
    return found


SCENES: Final[Mapping[str, tuple[Scene, ...]]] = MappingProxyType(
    _parse(Path(__file__).with_name("scenes.txt").read_text())
)


def unknown_scenes(name: str) -> tuple[Scene, ...]:
    """For a command without a line: alone, with one word, with three."""
    command = name.upper()
    return tuple(Scene(text=text, across=False) for text in (command, f"{command} s", f"{command} s word none"))
