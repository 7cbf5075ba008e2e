"""Decides what the name of an image says of its engine, and which engine cannot read another's data.

A tag is a word that anybody may put onto any image. So it can hold a change up, and never prove that one is safe: what
it does not tell is left to the start script, which does not start an engine beside data that it cannot read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

_TAG = re.compile(r"v?(\d{1,2})(?:\.(\d{1,2}))?(?:\.\d+)?(?:[-._+].*)?")
_NAME = re.compile(r"(?:^|[-_.])(redis|valkey)(?:$|[-_.])")
_NO_ENGINE = ("exporter", "insight", "operator", "cluster-proxy", "commander")

# The format of RDB files, which append-only files begin with and replicas are sent, by the first version that writes
# it. Source: rdb.h, RDB_VERSION, of these versions.
_FORMATS: Final[dict[str, tuple[tuple[tuple[int, int], int], ...]]] = {
    "redis": (((5, 0), 9), ((7, 0), 10), ((7, 2), 11), ((7, 4), 12), ((8, 6), 13)),
    "valkey": (((7, 2), 11), ((9, 0), 80)),
}
_OLDEST = 2  # major versions before it were never in an image: a tag such as 0.2 or 1.0 counts something else
_SHARED = 11  # the last format that both families write; from 12 on each reads its own alone


@dataclass(frozen=True, slots=True)
class Engine:
    """*minor* None: the tag does not say, and whatever is newest is meant."""

    family: Literal["redis", "valkey"]
    major: int
    minor: int | None

    def __str__(self) -> str:
        version = f"{self.major}" if self.minor is None else f"{self.major}.{self.minor}"
        return f"{self.family.capitalize()} {version}"


@lru_cache(maxsize=256)
def engine_of(image: str) -> Engine | None:
    """What *image* runs by its name and tag: ``valkey/valkey:8.1-alpine``. None: they do not say."""
    path, _, _digest = image.partition("@")
    name, _, tag = path.rpartition("/")[2].partition(":")
    family = _NAME.search(name.lower())
    version = _TAG.fullmatch(tag)
    if family is None or version is None or int(version[1]) < _OLDEST or any(word in name for word in _NO_ENGINE):
        return None
    minor = version[2]
    found: Literal["redis", "valkey"] = "valkey" if family[1] == "valkey" else "redis"
    return Engine(found, int(version[1]), None if minor is None else int(minor))


def cannot_read(new: Engine, data_of: Engine) -> bool:
    """*new* certainly cannot be relied on to read what *data_of* has written; False: it can, or it cannot be told.

    An engine of a lower major version may read the format and not the types in it; of those only the ones that were
    seen to go back are let through, and only where the tags name them to the minor version.
    """
    least, most = _formats(data_of)[0], _formats(new)[1]
    if new.family != data_of.family and least > _SHARED:
        return True
    if least > most:
        return True
    is_lower = new.family == data_of.family and new.major < data_of.major
    return is_lower and (new.minor is None or data_of.minor is None)


def _formats(engine: Engine) -> tuple[int, int]:
    """The lowest and highest format that it may write: one, where the minor version is known."""
    lowest = (engine.major, engine.minor if engine.minor is not None else 0)
    highest = (engine.major, engine.minor if engine.minor is not None else 99)
    return _format(engine.family, lowest), _format(engine.family, highest)


def _format(family: str, version: tuple[int, int]) -> int:
    known = [number for since, number in _FORMATS[family] if since <= version]
    return known[-1] if known else _FORMATS[family][0][1]
