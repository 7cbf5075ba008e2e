"""Decides how a wish reaches the operator: as an edit of the resource, or an annotation, that anybody may write; what
comes of it stands in status.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Final

from tdredis.api.fields import API_VERSION
from tdredis.api.json_object import JSONObject
from tdredis.cli.target import with_client
from tdredis.kube.client import Client
from tdredis.kube.resources import STATEFULSETS, resource_of
from tdredis.manifests.made_of import RESTART
from tdredis.planning.handover import HANDOVER
from tdredis.planning.snapshot import Key

# What `kubectl rollout restart` writes into the template of pods.
RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"


def handover(chosen: argparse.Namespace) -> int:
    value = chosen.pod or _now()
    key = _patch(chosen, {"metadata": {"annotations": {HANDOVER: value}}})
    print(f"{key} in namespace {key.namespace} was asked to hand over: {HANDOVER}={value}")
    return 0


def restart(chosen: argparse.Namespace) -> int:
    if chosen.statefulset:
        return _restart_one(chosen)
    key = _patch(chosen, {"metadata": {"annotations": {RESTART: _now()}}})
    print(f"{key} in namespace {key.namespace}: its pods are recreated one by one, replicas first; see `status {key}`")
    return 0


def pause(chosen: argparse.Namespace) -> int:
    key = _patch(chosen, {"spec": {"paused": True}})
    print(f"{key} in namespace {key.namespace}: the operator looks and reports, and changes nothing, until `resume`")
    return 0


def resume(chosen: argparse.Namespace) -> int:
    key = _patch(chosen, {"spec": {"paused": False}})
    print(f"{key} in namespace {key.namespace}: the operator carries out spec and heals again")
    return 0


def _restart_one(chosen: argparse.Namespace) -> int:
    name = chosen.statefulset

    async def work(client: Client, key: Key) -> Key:
        template: JSONObject = {"metadata": {"annotations": {RESTARTED_AT: _now()}}}
        await client.patch(STATEFULSETS, key.namespace, name, {"spec": {"template": template}}, kind="strategic")
        return key

    key = with_client(chosen, work)
    print(f"statefulset/{name} of {key}: its pods are recreated one by one; see `status {key}`")
    return 0


def _patch(chosen: argparse.Namespace, patch: JSONObject) -> Key:
    async def work(client: Client, key: Key) -> Key:
        await client.patch(resource_of(API_VERSION, key.kind), key.namespace, key.name, patch)
        return key

    return with_client(chosen, work)


def _now() -> str:
    """A value that was not there before."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
