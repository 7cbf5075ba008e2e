"""Decides how a Redis pod says which CPUs and memory were asked for when it was made, or when they were last changed.

What it has may be more, less or otherwise: a LimitRange completes pods, a VPA or another webhook changes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import msgspec

from tdredis.manifests.drift import parse_quantity

ASKED: Final = "cache.tongdun.net/asked"  # annotation of a pod: JSON, requests and limits of the Redis container


@dataclass(frozen=True, slots=True)
class Asked:
    """Quantities by name, as the server completes them: who names a limit only requests as much."""

    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)

    def differing(self, other: Asked) -> frozenset[tuple[str, str]]:
        """``("limits", "memory")`` for each of them of which *other* says something else."""
        return frozenset(
            (part, name)
            for part in ("requests", "limits")
            for name in {*getattr(self, part), *getattr(other, part)}
            if parse_quantity(getattr(self, part).get(name)) != parse_quantity(getattr(other, part).get(name))
        )


def asked_for(requests: Mapping[str, str], limits: Mapping[str, str]) -> Asked:
    return Asked(requests={**limits, **requests}, limits={**limits})


def build_asked(asked: Asked) -> str:
    """The annotation's text."""
    return msgspec.json.encode(asked, order="sorted").decode()


def parse_asked(annotations: Mapping[str, str]) -> Asked | None:
    """None: it does not say."""
    text = annotations.get(ASKED)
    return None if text is None else _parse(text)


@lru_cache(maxsize=1024)
def _parse(text: str) -> Asked | None:
    """All pods of an instance say the same, in every pass."""
    try:
        return msgspec.json.decode(text, type=Asked)
    except msgspec.DecodeError:
        return None
