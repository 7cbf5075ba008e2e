"""Decides which resources a shell offers: those that the API server lists at once, or none. Tab shows no error."""

from __future__ import annotations

import asyncio

from tdredis.api.fields import API_VERSION
from tdredis.api.kinds import KINDS
from tdredis.cli.target import USER_AGENT
from tdredis.kube.client import Client
from tdredis.kube.config import ClusterConfig
from tdredis.kube.credentials import ConfigError
from tdredis.kube.errors import ApiError
from tdredis.kube.kubeconfig import load_config
from tdredis.kube.resources import resource_of
from tdredis.runtime.logs import configure_logs


def list_names(kubeconfig: str | None, context: str | None, namespace: str | None, deadline_s: float) -> list[str]:
    """KIND/NAME, in their order."""
    configure_logs("console", "error")
    try:
        config = load_config(kubeconfig, context)
        return asyncio.run(_list(config, namespace or config.namespace, deadline_s))
    except (ConfigError, ApiError, OSError):
        return []


async def _list(config: ClusterConfig, namespace: str, deadline_s: float) -> list[str]:
    async with Client(config, user_agent=USER_AGENT, deadline_s=deadline_s) as client:
        lists = await asyncio.gather(*(client.list(resource_of(API_VERSION, kind), namespace) for kind in KINDS))
    found: list[str] = []
    for kind, each in zip(KINDS, lists, strict=True):
        found += sorted(f"{kind.lower()}/{one['metadata']['name']}" for one in each)  # type: ignore[index, call-overload]
    return found
