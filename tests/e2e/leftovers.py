"""What of a resource is still there: everything that has the operator's label."""

from __future__ import annotations

import asyncio

from tdredis.kube import resources
from tdredis.kube.client import Client
from tdredis.kube.resources import Resource
from tdredis.manifests.names import MANAGED_BY_SELECTOR
from tests.e2e.world import Obj

OURS = (
    resources.CONFIGMAPS,
    resources.SECRETS,
    resources.SERVICES,
    resources.STATEFULSETS,
    resources.DEPLOYMENTS,
    resources.PODDISRUPTIONBUDGETS,
    resources.ENDPOINTSLICES,
    resources.NETWORKPOLICIES,
    resources.PODMONITORS,
    resources.PODS,
)


async def ours(client: Client, kind: Resource, namespace: str) -> list[Obj]:
    if kind.key not in await client.discover():
        return []
    return await client.list(kind, namespace, label_selector=MANAGED_BY_SELECTOR)


async def nothing_left(client: Client, namespace: str) -> bool:
    return not any(await asyncio.gather(*(ours(client, kind, namespace) for kind in OURS)))
