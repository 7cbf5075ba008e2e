"""Decides which kinds there are, and how an object of the API server becomes one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from tdredis.api.instance import Instance
from tdredis.api.rediscluster import RedisCluster
from tdredis.api.redisstandalone import RedisStandalone
from tdredis.api.redisstandby import RedisStandby

KINDS: Final[Mapping[str, type[Instance]]] = {kind.KIND: kind for kind in (RedisCluster, RedisStandby, RedisStandalone)}
PLURALS: Final[Mapping[str, str]] = {
    "RedisCluster": "redisclusters",
    "RedisStandby": "redisstandbies",
    "RedisStandalone": "redisstandalones",
}
SHORT_NAMES: Final[Mapping[str, str]] = {"RedisCluster": "rdc", "RedisStandby": "rdsb", "RedisStandalone": "rdsa"}

InstanceT = TypeVar("InstanceT", bound=Instance)


class InvalidResourceError(ValueError):
    """The object cannot be read as a resource of its kind; the message names the field, never its value."""


def parse(kind: type[InstanceT], json: bytes | Mapping[str, object]) -> InstanceT:
    """Read a resource as the API server sent it (bytes), or decoded. Unknown fields are ignored.

    Raises InvalidResourceError if a required field is missing or a field has the wrong type; a value out of bounds is
    readable, and `validation.problems` names it.
    """
    try:
        if isinstance(json, bytes):
            return msgspec.json.decode(json, type=kind)
        return msgspec.convert(json, kind)
    except msgspec.DecodeError as error:
        raise InvalidResourceError(str(error)) from None
