"""Decides which pods are an instance's, and what is shown of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tdredis.cli.errors import CommandError
from tdredis.cli.output import Data
from tdredis.kube.client import Client
from tdredis.kube.resources import PODS
from tdredis.manifests.names import (
    COMPONENT_LABEL,
    INSTANCE_LABEL,
    KIND_LABEL,
    MANAGED_BY_LABEL,
    MANAGED_BY_SELECTOR,
    MANAGER,
    REDIS_COMPONENT,
    RESOURCE_LABEL,
    ROLE_LABEL,
)
from tdredis.planning.snapshot import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """*role*: primary, replica or "" of a Redis pod, else its component. *trouble*: why it does not run."""

    name: str
    component: str
    shard: str
    role: str
    containers: tuple[str, ...]
    running: bool
    ready: str  # "1/2"
    restarts: int
    node: str
    ip: str
    trouble: str

    def as_data(self) -> dict[str, Data]:
        return {
            "name": self.name,
            "component": self.component,
            "shard": self.shard,
            "role": self.role,
            "ready": self.ready,
            "restarts": self.restarts,
            "node": self.node,
            "ip": self.ip,
            "trouble": self.trouble,
        }


def selector_of(key: Key, component: str = "") -> str:
    """Of its pods, and of the objects that the operator made for it."""
    words = [MANAGED_BY_SELECTOR, f"{INSTANCE_LABEL}={key.name}", f"{KIND_LABEL}={key.kind}"]
    return ",".join([*words, f"{COMPONENT_LABEL}={component}"] if component else words)


def is_own(metadata: Mapping[str, Any], key: Key, uid: str) -> bool:
    """Of an object: the resource owns it, or the operator's labels say that it is the resource's and no other owns it.

    *uid*: the resource's.
    """
    owners = metadata.get("ownerReferences") or ()
    if owners:
        return any(each.get("uid") == uid for each in owners)
    labels = metadata.get("labels") or {}
    wanted = {MANAGED_BY_LABEL: MANAGER, INSTANCE_LABEL: key.name, KIND_LABEL: key.kind}
    return all(labels.get(name) == value for name, value in wanted.items())


async def list_pods(client: Client, key: Key, component: str = "") -> tuple[Pod, ...]:
    """By name, those of Redis first. Raises ApiError."""
    found = await client.list(PODS, key.namespace, label_selector=selector_of(key, component))
    pods = (read_pod(each) for each in found)
    return tuple(sorted(pods, key=lambda pod: (pod.component != REDIS_COMPONENT, pod.component, pod.name)))


async def running_redis_pods(client: Client, key: Key, name: str | None = None) -> tuple[Pod, ...]:
    """Those whose Redis can be asked; *name*: that one alone. Raises CommandError where there is none, ApiError."""
    pods = await list_pods(client, key, REDIS_COMPONENT)
    if name is not None and name not in {pod.name for pod in pods}:
        listed = ", ".join(pod.name for pod in pods) or "none"
        raise CommandError(f"{name} is no Redis pod of {key}: it has {listed}")
    running = tuple(pod for pod in pods if pod.running and name in (None, pod.name))
    if not running:
        raise CommandError(
            f"no Redis container of {name or key} runs in namespace {key.namespace}: `diagnose {key}` says why"
        )
    return running


async def primary_pod(client: Client, key: Key, shard: str | None = None) -> Pod:
    """Of the first shard, or the named one. Raises CommandError where none is known, ApiError."""
    pods = await running_redis_pods(client, key)
    shards = sorted({pod.shard for pod in pods})
    if shard is not None and shard not in shards:
        raise CommandError(f"{shard} is no shard of {key}: it has {', '.join(shards)}")
    found = next((pod for pod in pods if pod.role == "primary" and shard in (None, pod.shard)), None)
    if found is None:
        raise CommandError(
            f"{key} has no primary at the moment: `explain {key}` says what is waited for, or name a pod"
        )
    return found


def read_pod(pod: Mapping[str, Any]) -> Pod:
    """As the API server has it."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    labels = metadata.get("labels") or {}
    states = status.get("containerStatuses") or []
    component = labels.get(COMPONENT_LABEL, "")
    main: Mapping[str, Any] = next((each for each in states if each["name"] == component), {})
    return Pod(
        name=metadata["name"],
        component=component,
        shard=labels.get(RESOURCE_LABEL, ""),
        role=labels.get(ROLE_LABEL, "") if component == REDIS_COMPONENT else component,
        containers=tuple(each["name"] for each in spec.get("containers", ())),
        running="running" in (main.get("state") or {}),
        ready=f"{sum(bool(each.get('ready')) for each in states)}/{len(spec.get('containers', ()))}",
        restarts=sum(int(each.get("restartCount", 0)) for each in states),
        node=spec.get("nodeName", ""),
        ip=status.get("podIP", ""),
        trouble=_trouble(metadata, status, states),
    )


def _trouble(metadata: Mapping[str, Any], status: Mapping[str, Any], states: list[Mapping[str, Any]]) -> str:
    if "deletionTimestamp" in metadata:
        return "is being deleted"
    for each in states:
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{each['name']}: {waiting['reason']}"
    for each in status.get("conditions") or ():
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return f"{each.get('reason', '')}: {each.get('message', '')}"
    return ""
