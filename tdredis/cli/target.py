"""Decides which resource of which Kubernetes a command is about, by the words that kubectl has for it too."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from tdredis.api.fields import API_VERSION
from tdredis.api.json_object import JSONObject
from tdredis.api.kinds import KINDS, PLURALS, SHORT_NAMES
from tdredis.cli.errors import CommandError
from tdredis.kube.client import Client
from tdredis.kube.config import ClusterConfig
from tdredis.kube.kubeconfig import load_config
from tdredis.kube.resources import resource_of
from tdredis.planning.snapshot import Key
from tdredis.runtime.logs import configure_logs

SPELLINGS: Final = {spelling: kind for kind in KINDS for spelling in (kind.lower(), PLURALS[kind], SHORT_NAMES[kind])}
USER_AGENT: Final = "tdredis-cli"

T = TypeVar("T")


def read_config(chosen: argparse.Namespace) -> ClusterConfig:
    """The server that is meant. What is logged meanwhile goes to stderr. Raises ConfigError."""
    configure_logs(chosen.log_format, "warning" if chosen.log_level == "info" else chosen.log_level)
    return load_config(chosen.kubeconfig, chosen.context)


def read_key(text: str, namespace: str) -> Key:
    """KIND/NAME. Raises CommandError."""
    kind, slash, name = text.partition("/")
    # kubectl -o name says redisstandby.cache.tongdun.net/redis-tom.
    kind = kind.lower().removesuffix(f".{API_VERSION.partition('/')[0]}")
    if not slash or not name or kind not in SPELLINGS:
        raise CommandError(f"{text!r}: write KIND/NAME, for example rediscluster/redis-cluster-rat")
    return Key(SPELLINGS[kind], namespace, name)


async def find_key(client: Client, text: str, namespace: str) -> Key:
    """KIND/NAME, or NAME, which is looked for. Raises CommandError, ApiError."""
    if "/" in text:
        return read_key(text, namespace)
    found = [kind for kind in KINDS if await client.find(resource_of(API_VERSION, kind), namespace, text) is not None]
    if len(found) == 1:
        return Key(found[0], namespace, text)
    if not found:
        raise CommandError(
            f"there is no RedisCluster, RedisStandby or RedisStandalone {text!r} in namespace {namespace}:"
            " `kubectl get redis -A` lists what there is"
        )
    written = ", ".join(f"{kind.lower()}/{text}" for kind in found)
    raise CommandError(f"{text!r} is the name of several: write one of {written}")


def with_client(chosen: argparse.Namespace, work: Callable[[Client, Key], Awaitable[T]]) -> T:
    """What *work* makes of the resource that is named. Raises CommandError, ApiError, ConfigError."""
    config = read_config(chosen)

    async def connected() -> T:
        async with Client(config, user_agent=USER_AGENT) as client:
            return await work(client, await find_key(client, chosen.resource, chosen.namespace or config.namespace))

    return asyncio.run(connected())


async def get_resource(client: Client, key: Key) -> JSONObject:
    """As the API server has it. Raises NotFound, ApiError."""
    return await client.get(resource_of(API_VERSION, key.kind), key.namespace, key.name)


def read_image_map(texts: Sequence[str]) -> dict[str, str]:
    """FROM=TO, each. Raises CommandError."""
    found = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise CommandError(f"--image-map {text!r}: write FROM=TO")
        found[old] = new
    return found
