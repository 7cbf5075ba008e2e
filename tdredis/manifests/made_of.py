"""Decides what a pod carries of the spec that it was made from, so that everybody can see what it does not have yet.

A StatefulSet tells by a revision that a pod is of another template, and not what differs, nor whether a person or a new
version of this operator changed it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache, lru_cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, get_type_hints

import msgspec

from tdredis.api.changes import ChangeClass, change_of, field_paths
from tdredis.api.fields import wire_name
from tdredis.api.instance import Instance
from tdredis.api.json_object import JSONObject, object_at
from tdredis.api.kinds import KINDS
from tdredis.manifests.names import PROXY_COMPONENT

MADE_OF: Final = "cache.tongdun.net/made-of"  # annotation of a pod: JSON, values of fields of spec by path
RESTART: Final = "cache.tongdun.net/restart"  # annotation of a resource: another value recreates its pods
_ASKED: Final = "restart"  # what a pod carries of it
_MOST_OF_IT: Final = 64  # letters
# Of these a pod tells by itself, and a running container may get them in place.
SEEN_IN_PODS: Final = ("resources.requests", "resources.limits", "memoryOverheadPercent")
_OF_ALL_PODS: Final = ("dc", "env", "imagePullSecrets")
_OF_PROXIES: Final = ("proxyimage", "proxy.")
_OF_SENTINELS: Final = ("sentinelimage", "sentinel.")


def made_of(instance: Instance, component: str) -> Mapping[str, str]:
    """By path the fields of spec that pods of *component* are made from: texts as they are, whatever is longer as a
    digest. What is empty is left out.
    """
    found = ((path, shown(read(instance.spec))) for path, read in _readers(instance.KIND, component))
    said = {path: text for path, text in found if text}
    if component != PROXY_COMPONENT and instance.spec.image_pull_secrets == ():
        said["imagePullSecrets"] = "none"  # not the same as not to say which
    if component != PROXY_COMPONENT and (asked := instance.metadata.annotations.get(RESTART, "")):
        said[_ASKED] = asked[:_MOST_OF_IT]
    return said


def build_made_of(instance: Instance, component: str) -> dict[str, str]:
    """The annotation."""
    found = made_of(instance, component)
    return {MADE_OF: msgspec.json.encode(found).decode()} if found else {}


def with_more_made_of(metadata: JSONObject, more: Mapping[str, str]) -> JSONObject:
    """*metadata* of a pod template, which is made of *more* by path besides."""
    annotations = object_at(metadata, "annotations") if metadata.get("annotations") else {}
    said = _parse(str(annotations.get(MADE_OF, "{}")))
    made: JSONObject = {MADE_OF: msgspec.json.encode({**said, **more}).decode()}
    return {**metadata, "annotations": {**annotations, **made}}


def parse_made_of(annotations: Mapping[str, str]) -> Mapping[str, str]:
    """What a pod was made from; empty where it does not say so."""
    return _parse(annotations.get(MADE_OF, "{}"))


@lru_cache(maxsize=1024)
def _parse(text: str) -> Mapping[str, str]:
    """All pods of an instance say the same, in every pass."""
    try:
        return MappingProxyType(msgspec.json.decode(text, type=dict[str, str]))
    except msgspec.DecodeError:
        return MappingProxyType({})


@cache  # a pass asks for each pod that is to be recreated, and what a kind has never changes
def fields_of(kind: str, component: str) -> tuple[str, ...]:
    """The paths of spec that its pods of *component* are made from: a change of them needs new pods."""
    return tuple(path for path in field_paths(kind) if _is_of(kind, path, component))


def _is_of(kind: str, path: str, component: str) -> bool:
    if change_of(kind, path).class_ is not ChangeClass.ROLLED or path in SEEN_IN_PODS or path.startswith(_OF_PROXIES):
        return False
    of_sentinels = path.startswith(_OF_SENTINELS)
    match component:
        case "redis":
            return not of_sentinels
        case "sentinel":
            return of_sentinels or path in _OF_ALL_PODS
        case _:
            return False


@cache
def _readers(kind: str, component: str) -> tuple[tuple[str, attrgetter[Any]], ...]:
    spec = get_type_hints(KINDS[kind])["spec"]
    return tuple((path, attrgetter(_attributes(spec, path.split(".")))) for path in fields_of(kind, component))


def _attributes(type_: Any, words: list[str]) -> str:
    hints = get_type_hints(type_)
    attribute = next(each for each in hints if wire_name(each) == words[0])
    return attribute if len(words) == 1 else f"{attribute}.{_attributes(hints[attribute], words[1:])}"


def shown(value: object) -> str:
    """Texts as they are, what is short as JSON, and the rest as a digest: it may be long, or nobody's to read."""
    if isinstance(value, str):
        return value
    if not value:
        return ""
    text = msgspec.json.encode(value, order="sorted")
    return text.decode() if len(text) <= 8 else hashlib.sha256(text).hexdigest()[:8]
