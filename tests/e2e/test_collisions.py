"""Two resources that would give one name to an object: the second waits and says for whom, the first is not touched."""

from __future__ import annotations

import pytest

from tdredis.kube.client import Client
from tdredis.kube.resources import PODS
from tdredis.manifests.names import COMPONENT_LABEL, REDIS_COMPONENT
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, sample, standalone, standby


def named(manifest: Obj, name: str) -> Obj:
    manifest["metadata"]["name"] = name
    return manifest


# Every name that two want is found by the same rule: `make test` tries the commonest, and one of two kinds.
LATER = [
    "same app",
    "cluster of that name",
    pytest.param("its reading Service", marks=pytest.mark.long),
    pytest.param("its Sentinels", marks=pytest.mark.long),
]


@pytest.mark.parametrize("second", LATER)
async def test_the_second_waits_and_the_first_goes_on(kube: Kube, client: Client, namespace: str, second: str) -> None:
    async with Operator(kube, namespace):
        first = await Subject.create(client, standby(namespace))
        await first.until_ready()
        pods = {name: pod["metadata"]["uid"] for name, pod in (await first.pods()).items()}
        manifest = {
            "same app": named(standby(namespace), "redis-other"),
            "cluster of that name": named(sample(namespace), first.name),
            "its reading Service": named(standalone(namespace), f"{first.name}-ro"),
            "its Sentinels": named(standalone(namespace), "sentinel-standby-tom"),
        }[second]

        late = await Subject.create(client, manifest)

        async def waits() -> bool:
            accepted = condition(await late.get(), "Accepted")
            return accepted.get("reason") == "names_are_free" and first.name in accepted["message"]

        await eventually(waits, "the condition names the first")
        there: list[Obj] = await client.list(PODS, namespace, label_selector=f"{COMPONENT_LABEL}={REDIS_COMPONENT}")
        assert {pod["metadata"]["name"] for pod in there} == set(pods), "nothing of the second is made"
        await first.until_ready()
        assert {name: pod["metadata"]["uid"] for name, pod in (await first.pods()).items()} == pods

        await first.delete()
        await late.until_ready()
