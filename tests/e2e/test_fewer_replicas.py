"""Fewer replicas on real processes: it comes to an end, and each StatefulSet is changed once."""

from __future__ import annotations

from tdredis.kube.client import Client
from tdredis.kube.resources import STATEFULSETS
from tests.e2e.test_day_two import Manifest
from tests.e2e.test_faults import A_CLUSTER
from tests.e2e.world import Kube, Obj, Operator, Subject, eventually


async def generations(subject: Subject) -> dict[str, int]:
    """Of the StatefulSets of Redis pods."""
    selector = f"app.kubernetes.io/instance={subject.name},app.kubernetes.io/component=redis"
    found: list[Obj] = await subject.client.list(STATEFULSETS, subject.namespace, label_selector=selector)
    return {each["metadata"]["name"]: each["metadata"]["generation"] for each in found}


@A_CLUSTER
async def test_fewer_replicas_end_and_change_each_statefulset_once(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace, replicas=2))
        await subject.until_ready()
        before, wanted = await generations(subject), 2 * len(await generations(subject))

        await subject.change(replicas=1)

        async def gone() -> bool:
            return len(await subject.pods()) == wanted

        await eventually(gone, f"{wanted} pods are left")
        await subject.until_ready()
        assert await generations(subject) == {name: number + 1 for name, number in before.items()}

        name = min(before)
        patch: Obj = {"spec": {"replicas": 3}}
        await client.patch(STATEFULSETS, namespace, name, patch)

        async def taken_back() -> bool:
            live: Obj = await client.get(STATEFULSETS, namespace, name)
            return live["spec"]["replicas"] == 2 and len(await subject.pods()) == wanted

        # A pod that is deleted in the instant in which its Redis begins may need all of its grace.
        await eventually(taken_back, "what somebody forced is taken back", deadline_s=180)
        await subject.until_ready()
        assert (await generations(subject))[name] <= before[name] + 5
