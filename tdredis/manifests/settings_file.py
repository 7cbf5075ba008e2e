"""Decides how the parameters of spec.config stand where a start finds them: as lines that it takes, as what they are.

In the ConfigMap are those that the engines took: what was refused stands nowhere. A parameter that is null is not named
by spec any more, and a process still has it. Those that need a start are in the template of pods: so a pod has what it
was made from, and starts with that whatever is edited, until it is recreated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from tdredis.api.json_object import JSON, JSONObject, object_at, objects_at
from tdredis.manifests.made_of import with_more_made_of
from tdredis.manifests.names import REDIS_CONTAINER
from tdredis.manifests.redis_config import quote

LINES: Final = "settings.conf"
RECORD: Final = "settings.json"
AT_START: Final = "TDREDIS_SETTINGS"  # variable of a Redis container: lines
PATH: Final = "config."  # what a pod was made of, by path
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


def with_settings_at_start(statefulset: JSONObject, settings: Mapping[str, str]) -> JSONObject:
    """*statefulset*, whose Redis processes start with *settings*, and whose pods say so."""
    spec = object_at(statefulset, "spec")
    template = object_at(spec, "template")
    pod = object_at(template, "spec")
    if not settings or all(each["name"] != REDIS_CONTAINER for each in objects_at(pod, "containers")):
        return statefulset
    # "$(" would begin a reference to a variable. Source: kubernetes.io, "Define Dependent Environment Variables".
    variable: JSONObject = {"name": AT_START, "value": render_settings(settings).replace("$(", "$$(")}
    containers: list[JSON] = [_with_variable(each, variable) for each in objects_at(pod, "containers")]
    paths = {f"{PATH}{name}": value for name, value in settings.items()}
    template = {
        **template,
        "metadata": with_more_made_of(object_at(template, "metadata"), paths),
        "spec": {**pod, "containers": containers},
    }
    return {**statefulset, "spec": {**spec, "template": template}}


def _with_variable(container: JSONObject, variable: JSONObject) -> JSONObject:
    if container["name"] != REDIS_CONTAINER:
        return container
    return {**container, "env": [*objects_at(container, "env"), variable]}


def settings_at_start(made_of: Mapping[str, str]) -> dict[str, str]:
    """What pods start with that were made of *made_of*."""
    return {path.removeprefix(PATH): value for path, value in made_of.items() if path.startswith(PATH)}


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
