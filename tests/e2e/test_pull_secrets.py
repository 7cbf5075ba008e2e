"""harbor-secret on a running Kubernetes: named where it is and nowhere else; nobody is made anew when it comes."""

from __future__ import annotations

import asyncio

import msgspec

from tdredis.kube.cache import wait_synced
from tdredis.kube.client import Client
from tdredis.kube.resources import DEPLOYMENTS, PODS, SECRETS, STATEFULSETS, Resource
from tdredis.observe.caches import Caches
from tests.e2e.test_day_two import starts
from tests.e2e.world import Kube, Obj, Operator, Subject, eventually, sample

SECRET: Obj = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson"}
DATA = {".dockerconfigjson": "e30="}
NAMED = [{"name": "harbor-secret"}]


def harbor(namespace: str) -> Obj:
    return {**SECRET, "metadata": {"name": "harbor-secret", "namespace": namespace}, "data": DATA}


async def test_a_pull_secret_is_named_from_when_it_is_there_and_makes_no_pod_anew(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        await subject.until_ready()
        names = sorted(await subject.pods())
        before = await starts(subject), sorted(await subject.pods("proxy"))
        assert await _named(client, PODS, namespace) == [None]

        await client.create(SECRETS, harbor(namespace))

        async def follow() -> bool:
            return await _named(client, STATEFULSETS, namespace) == [NAMED]

        await eventually(follow, "StatefulSets name it")
        assert await _named(client, DEPLOYMENTS, namespace) == [None]
        await subject.until_ready()
        assert (await starts(subject), sorted(await subject.pods("proxy"))) == before
        await client.delete(PODS, namespace, names[-1])

        async def made_anew() -> bool:
            found = (await subject.pods()).get(names[-1])
            return bool(found) and found["spec"].get("imagePullSecrets") == NAMED  # type: ignore[index]

        await eventually(made_anew, "a new pod names it")


async def test_where_it_was_first_every_pod_names_it(kube: Kube, client: Client, namespace: str) -> None:
    await client.create(SECRETS, harbor(namespace))
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        await subject.until_ready()

        assert await _named(client, PODS, namespace) == [NAMED]


async def test_what_is_in_it_is_not_sent_to_the_operator(kube: Kube, client: Client, namespace: str) -> None:
    await client.create(SECRETS, harbor(namespace))
    caches = Caches(client, served=await client.discover(), namespaces=(namespace,))
    async with asyncio.TaskGroup() as group:
        feeding = group.create_task(caches.run())
        await wait_synced(caches, 30)
        listed = caches.pull_secrets.get(namespace, "harbor-secret")
        await client.delete(SECRETS, namespace, "harbor-secret")

        async def gone() -> bool:
            return caches.pull_secrets.get(namespace, "harbor-secret") is None

        await eventually(gone, "the watch says that it is gone")
        await client.create(SECRETS, harbor(namespace))

        async def back() -> bool:
            return caches.pull_secrets.get(namespace, "harbor-secret") is not None

        await eventually(back, "the watch says that it is there")
        feeding.cancel()
    watched = caches.pull_secrets.get(namespace, "harbor-secret")
    assert [each.data for each in (listed, watched) if each is not None] == [msgspec.UNSET] * 2


async def _named(client: Client, resource: Resource, namespace: str) -> list[object]:
    """The distinct imagePullSecrets of the pods, or of the pods that are to be made, of *resource*."""
    found: list[object] = []
    for each in await client.list(resource, namespace):
        spec: Obj = each["spec"]  # type: ignore[assignment]
        pod: Obj = spec if resource is PODS else spec["template"]["spec"]
        if pod.get("imagePullSecrets") not in found:
            found.append(pod.get("imagePullSecrets"))
    return found
