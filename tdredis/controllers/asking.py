"""Decides how a person's wish reaches the operator: as an annotation of the resource, which anybody may write."""

from __future__ import annotations

from tdredis.api.fields import API_VERSION
from tdredis.api.json_object import JSONObject
from tdredis.kube.client import Client
from tdredis.kube.config import ClusterConfig
from tdredis.kube.resources import resource_of
from tdredis.planning.handover import HANDOVER
from tdredis.planning.snapshot import Key


async def ask_for_handover(config: ClusterConfig, key: Key, value: str) -> None:
    """*value*: the pod that is to be the primary, or anything that was not asked before. Raises ApiError."""
    async with Client(config) as client:
        patch: JSONObject = {"metadata": {"annotations": {HANDOVER: value}}}
        await client.patch(resource_of(API_VERSION, key.kind), key.namespace, key.name, patch)
