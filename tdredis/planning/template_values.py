"""Decides which values of spec pods are made from, how they are written down, and how earlier ones take their place.

How many there are is written down with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar, get_type_hints

import msgspec

from tdredis.api.changes import field_paths
from tdredis.api.instance import Instance, InstanceSpec
from tdredis.api.kinds import KINDS
from tdredis.api.settings import as_texts
from tdredis.manifests.made_of import RESTART, SEEN_IN_PODS, fields_of
from tdredis.manifests.names import REDIS_COMPONENT, SENTINEL_COMPONENT
from tdredis.manifests.settings_file import PATH as SETTING
from tdredis.planning.change import COUNTS
from tdredis.redis.parameters import is_read_at_start

Values: TypeAlias = Mapping[str, Any]  # as JSON has them, by path of spec; what is not there is as by default
ASKED: Final = "restart"  # the annotation that asks for new pods is none of spec, and pods are made from it too
_CAPACITY: Final = "capacity"  # a memory limit may follow it
_SIZE: Final = "size"  # of a cluster: capacity is that of all shards
_DIGITS: Final = 16

InstanceT = TypeVar("InstanceT", bound=Instance)
SpecT = TypeVar("SpecT", bound=InstanceSpec)


def values_of(instance: Instance) -> Values:
    """What pods of *instance* are made from. Of config the parameters that some engine reads at its start alone."""
    spec: dict[str, Any] = msgspec.to_builtins(instance.spec)
    defaults = _defaults(instance.KIND)
    found = {path: _read(spec, path) for path in _paths(instance.KIND)}
    values = {path: value for path, value in found.items() if value != defaults[path]}
    at_start = {name: text for name, text in as_texts(instance.spec.config).items() if is_read_at_start(name)}
    values |= {f"{SETTING}{name}": text for name, text in at_start.items()}
    if asked := instance.metadata.annotations.get(RESTART, ""):
        values[ASKED] = asked
    return values


def edited(values: Values, good: Values) -> Values:
    """What *values* say otherwise than *good*, by path; None: the default."""
    paths = {path for path in {*values, *good} if values.get(path) != good.get(path)} - {_SIZE, *COUNTS}
    if ASKED not in values:
        paths.discard(ASKED)  # a request that was taken back asks for nothing
    if values.get(_SIZE) != good.get(_SIZE):
        paths.discard(_CAPACITY)  # the same sum is another share
    return {path: values.get(path) for path in sorted(paths)}


def count_of(kind: str, values: Values, path: str) -> int:
    """How many pods *values* ask for in the field *path*."""
    return int(values.get(path, _defaults(kind)[path]))


def write(values: Values) -> str:
    return msgspec.json.encode(values, order="sorted").decode()


@lru_cache(maxsize=1024)
def read(text: str) -> Values:
    """What `write` was given; nothing for what is no such text. It stays the same for as long as all is well."""
    try:
        return MappingProxyType(msgspec.json.decode(text, type=dict[str, Any]))
    except msgspec.DecodeError:
        return MappingProxyType({})


def digest(values: Values) -> str:
    """Of nothing it is nothing."""
    return hashlib.sha256(write(values).encode()).hexdigest()[:_DIGITS] if values else ""


def with_values(spec: SpecT, paths: Iterable[str], good: Values) -> SpecT:
    """*spec* with what *good* says of *paths*; what it says nothing of is as by default."""
    made: dict[str, Any] = msgspec.to_builtins(spec)
    for path in paths:
        if path.startswith(SETTING):
            _put(made["config"], (path.removeprefix(SETTING),), good.get(path))
        elif path != ASKED:
            _put(made, path.split("."), good.get(path))
    return msgspec.convert(made, type(spec))


def with_request(instance: InstanceT, paths: Iterable[str], good: Values) -> InstanceT:
    """*instance*, asked for new pods as *good* was, where *paths* say that this is another request."""
    if ASKED not in paths:
        return instance
    others = {name: text for name, text in instance.metadata.annotations.items() if name != RESTART}
    annotations = {**others, **({RESTART: str(good[ASKED])} if ASKED in good else {})}
    metadata = msgspec.structs.replace(instance.metadata, annotations=annotations)
    return msgspec.structs.replace(instance, metadata=metadata)


@cache
def _paths(kind: str) -> tuple[str, ...]:
    of_pods = {*fields_of(kind, REDIS_COMPONENT), *fields_of(kind, SENTINEL_COMPONENT), *SEEN_IN_PODS, _CAPACITY}
    ours = {*of_pods, _SIZE, *COUNTS}
    return tuple(path for path in field_paths(kind) if path in ours)


@cache
def _defaults(kind: str) -> Values:
    spec = get_type_hints(KINDS[kind])["spec"]
    required = (each for each in msgspec.structs.fields(spec) if each.required)
    bare = {each.encode_name: 0 if get_type_hints(spec)[each.name] is int else "" for each in required}
    made = msgspec.to_builtins(msgspec.convert(bare, spec))
    return {path: None if path in bare else _read(made, path) for path in _paths(kind)}


def _read(made: Any, path: str) -> Any:
    for name in path.split("."):
        made = made.get(name) if isinstance(made, dict) else None
    return made


def _put(made: dict[str, Any], words: Iterable[str], value: Any) -> None:
    *above, last = words
    for name in above:
        made = made.setdefault(name, {})
    if value is None:
        made.pop(last, None)
    else:
        made[last] = value
