"""Decides how a wish reaches the operator: as an edit of the resource, which says what becomes of it."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from tdredis.api.fields import API_VERSION
from tdredis.api.json_object import JSONObject
from tdredis.cli.target import with_client
from tdredis.kube.client import Client
from tdredis.kube.resources import resource_of
from tdredis.planning.handover import HANDOVER
from tdredis.planning.snapshot import Key


def handover(chosen: argparse.Namespace) -> int:
    value = chosen.pod or _now()
    key = _patch(chosen, {"metadata": {"annotations": {HANDOVER: value}}})
    print(f"{key} in namespace {key.namespace} was asked to hand over: {HANDOVER}={value}")
    return 0


def _patch(chosen: argparse.Namespace, patch: JSONObject) -> Key:
    async def work(client: Client, key: Key) -> Key:
        await client.patch(resource_of(API_VERSION, key.kind), key.namespace, key.name, patch)
        return key

    return with_client(chosen, work)


def _now() -> str:
    """A value that was not there before."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
