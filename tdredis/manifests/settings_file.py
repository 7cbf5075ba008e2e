"""Decides how the parameters of spec.config stand in the ConfigMap: as lines that a start takes, and as what they are.

They are those that the engines took, or that need a restart: what was refused stands nowhere. A parameter that is null
is not named by spec any more, and a process still has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from tdredis.api.json_object import JSONObject, object_at
from tdredis.manifests.redis_config import quote

LINES: Final = "settings.conf"
RECORD: Final = "settings.json"
# Parameters of several words, by how many of them stand on a line; 0: all. Others are one word, blanks and all.
_WORDS: Final = {
    "client-output-buffer-limit": 4,
    "save": 2,
    "oom-score-adj-values": 0,
    "latency-tracking-info-percentiles": 0,
}

Settings = Mapping[str, str | None]


def with_settings(config_map: JSONObject, settings: Settings) -> JSONObject:
    """*config_map* of an instance, with the files that are made of *settings*."""
    if not settings:
        return config_map
    files = {LINES: render_settings(settings), RECORD: json.dumps(dict(sorted(settings.items())), indent=1) + "\n"}
    return {**config_map, "data": {**object_at(config_map, "data"), **files}}


def render_settings(settings: Settings) -> str:
    lines = (line for name, value in sorted(settings.items()) if value is not None for line in _lines(name, value))
    return "".join(f"{line}\n" for line in lines)


def parse_settings(config_map: JSONObject) -> dict[str, str | None]:
    """What `with_settings` was given; empty for what is no such file."""
    match config_map:
        case {"data": {"settings.json": str(text)}}:
            return _parse(text)
        case _:
            return {}


def _parse(text: str) -> dict[str, str | None]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if value is None or isinstance(value, str)}


def _lines(name: str, value: str) -> Iterator[str]:
    words = value.split()
    if name not in _WORDS or not words:
        yield f"{name} {quote(value)}"
        return
    several = _WORDS[name] or len(words)
    for at in range(0, len(words), several):
        yield f"{name} {' '.join(words[at : at + several])}"
