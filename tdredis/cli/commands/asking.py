"""Decides how a wish reaches the operator: as an edit of the resource, or an annotation, that anybody may write; what
comes of it stands in status.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tdredis.api.fields import API_VERSION
from tdredis.api.json_object import JSONObject
from tdredis.cli.errors import CommandError
from tdredis.cli.pods import Pod, is_own, list_pods
from tdredis.cli.target import get_resource, with_client
from tdredis.kube.client import Client
from tdredis.kube.resources import STATEFULSETS, resource_of
from tdredis.manifests.made_of import RESTART
from tdredis.manifests.names import REDIS_COMPONENT
from tdredis.planning.handover import HANDOVER, OTHERS_THAT_SENTINELS_MAY_CHOOSE
from tdredis.planning.live import RESTARTED_AT
from tdredis.planning.snapshot import Key


def handover(chosen: argparse.Namespace) -> int:
    value = chosen.pod or _now()

    async def work(client: Client, key: Key) -> Key:
        resource = await get_resource(client, key)
        check_handover(key, resource, await list_pods(client, key, REDIS_COMPONENT), chosen.pod)
        await _annotate(client, key, HANDOVER, value)
        return key

    key = with_client(chosen, work)
    print(f"{key} in namespace {key.namespace} was asked to hand over: {HANDOVER}={value}")
    return 0


def check_handover(key: Key, resource: Mapping[str, Any], pods: Sequence[Pod], to: str | None) -> None:
    """*pods*: of Redis. Raises CommandError for what the operator would only hold (planning.handover)."""
    names = ", ".join(pod.name for pod in pods) or "none at the moment"
    if key.kind == "RedisStandalone" and len(pods) < 2:  # while it is recreated there is a second one
        raise CommandError(f"{key} has one pod, and nobody to hand over to: `restart {key}` recreates it")
    if to is not None and to not in {pod.name for pod in pods}:
        raise CommandError(f"{to} is no Redis pod of {key}: it has {names}")
    others = resource["spec"].get("replicas", 1)  # while it is recreated there is one more, which goes again
    if to is not None and key.kind == "RedisStandby" and others >= OTHERS_THAT_SENTINELS_MAY_CHOOSE:
        raise CommandError(f"Sentinels choose among {others} replicas of {key}: write `handover {key}` without a pod")
    if to is None and key.kind == "RedisCluster":
        shards = {pod.shard for pod in pods}
        if len(shards) > 1 or resource["spec"].get("size", 0) != 1:
            raise CommandError(
                f"{key} has several primaries: write `handover {key} POD`, who is to be one; its pods: {names}"
            )


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
        uid = (await get_resource(client, key))["metadata"]["uid"]  # type: ignore[index, call-overload]
        listed: Sequence[Mapping[str, Any]] = await client.list(STATEFULSETS, key.namespace)
        own = sorted(each["metadata"]["name"] for each in listed if is_own(each["metadata"], key, str(uid)))
        if name not in own:
            raise CommandError(f"{name} is no StatefulSet of {key}: it has {', '.join(own) or 'none'}")
        template: JSONObject = {"metadata": {"annotations": {RESTARTED_AT: _now()}}}
        await client.patch(STATEFULSETS, key.namespace, name, {"spec": {"template": template}}, kind="strategic")
        return key

    key = with_client(chosen, work)
    print(f"statefulset/{name} of {key}: its pods are recreated one by one; see `status {key}`")
    return 0


async def _annotate(client: Client, key: Key, name: str, value: str) -> None:
    patch: JSONObject = {"metadata": {"annotations": {name: value}}}
    await client.patch(resource_of(API_VERSION, key.kind), key.namespace, key.name, patch)


def _patch(chosen: argparse.Namespace, patch: JSONObject) -> Key:
    async def work(client: Client, key: Key) -> Key:
        await client.patch(resource_of(API_VERSION, key.kind), key.namespace, key.name, patch)
        return key

    return with_client(chosen, work)


def _now() -> str:
    """A value that was not there before."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
