"""Volumes that grow while clients write: no pod is recreated, no write is lost, whoever dies in between."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tdredis.api.json_object import JSONObject
from tdredis.kube.client import Client
from tdredis.kube.errors import Invalid
from tdredis.kube.resources import PERSISTENTVOLUMECLAIMS, STATEFULSETS, Resource
from tests.e2e.faults import NOISE_S, lost, under_load
from tests.e2e.leftovers import nothing_left
from tests.e2e.needs import CEL_RULES
from tests.e2e.test_day_two import Manifest
from tests.e2e.test_dying_standby import dying, explain
from tests.e2e.test_faults import A_CLUSTER, VOLUMES, uids_of
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, standalone

GAP_S = 1.0
LARGE = {"size": "2Gi", "retain": False}
DIES_S = 60.0
QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota", namespaced=True)


async def made_on_volumes(kube: Kube, client: Client, manifest: Obj) -> Subject:
    """And nothing is left to do of it, nor anybody who would."""
    async with Operator(kube, manifest["metadata"]["namespace"]):
        subject = await Subject.create(client, manifest)
        await subject.until_ready()

        async def is_quiet() -> bool:
            return "nothing to do" in await explain(kube, subject)

        await eventually(is_quiet, "nothing is left to do")
    return subject


async def die_in_the_gap(kube: Kube, subject: Subject) -> None:
    """Every volume is asked to grow, and the first StatefulSet is deleted without its pods: a step each."""
    async with dying(kube, subject.namespace, len(await subject.pods()) + 1) as operator, asyncio.timeout(DIES_S):
        assert operator.process is not None
        assert await operator.process.wait() == -signal.SIGKILL


async def statefulsets(client: Client, namespace: str) -> dict[str, Obj]:
    """Of Redis pods."""
    found = await client.list(STATEFULSETS, namespace, label_selector="app.kubernetes.io/component=redis")
    return {each["metadata"]["name"]: each for each in found}  # type: ignore[index, call-overload, misc]


async def sizes(client: Client, namespace: str) -> set[str]:
    """That volumes have, and that those of new pods will have."""
    claims: list[Obj] = await client.list(PERSISTENTVOLUMECLAIMS, namespace)
    templates = [each["spec"]["volumeClaimTemplates"][0] for each in (await statefulsets(client, namespace)).values()]
    return {each["status"]["capacity"]["storage"] for each in claims} | {
        each["spec"]["resources"]["requests"]["storage"] for each in templates
    }


@pytest.mark.needs(CEL_RULES)
@A_CLUSTER
async def test_volumes_grow_under_writes_though_the_operator_dies_when_a_statefulset_is_gone(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    subject = await made_on_volumes(kube, client, manifest(namespace, **VOLUMES))
    before, sets = await uids_of(subject), await statefulsets(client, namespace)
    async with under_load(subject) as ledgers:
        await subject.change(storage=LARGE)
        await die_in_the_gap(kube, subject)

        async def is_gone() -> bool:
            return len(await statefulsets(client, namespace)) < len(sets)

        await eventually(is_gone, "a StatefulSet is gone")
        assert await uids_of(subject) == before
        async with Operator(kube, namespace):

            async def is_grown() -> bool:
                are_large = await sizes(client, namespace) == {"2Gi"}
                now = await statefulsets(client, namespace)  # after that: one that is gone has no size
                told = condition(await subject.get(), "Accepted")
                is_told = (told["status"], told["reason"]) == ("True", "AsSpecified")
                is_whole = are_large and sets.keys() == now.keys()
                return is_whole and is_told and (await subject.get())["status"].get("storageSize") == "2Gi"

            await eventually(is_grown, "every volume, and every template, has the new size")
            await subject.until_ready()
            with pytest.raises(Invalid, match=r"write what status\.storageSize says, or more"):
                await subject.change(storage=VOLUMES["storage"])
            await subject.until_ready()
    assert await uids_of(subject) == before
    assert await lost(subject, ledgers) == {}
    gaps = {way: round(ledger.longest_gap_s(), 3) for way, ledger in ledgers.items()}
    assert max(gaps.values()) <= GAP_S + NOISE_S, gaps
    now = await statefulsets(client, namespace)
    owners = {ref["uid"] for pod in (await subject.pods()).values() for ref in pod["metadata"]["ownerReferences"]}
    assert {each["metadata"]["uid"] for each in now.values()} <= owners, "the new ones have adopted them"
    revisions = {pod["metadata"]["labels"]["controller-revision-hash"] for pod in (await subject.pods()).values()}
    assert revisions == {each["status"]["updateRevision"] for each in now.values()}, "no pod is outdated"


async def test_a_quota_that_refuses_it_is_quoted_and_the_size_may_be_taken_back(
    kube: Kube, client: Client, namespace: str
) -> None:
    subject = await made_on_volumes(kube, client, standalone(namespace, **VOLUMES))
    hard: JSONObject = {
        "metadata": {"name": "q", "namespace": namespace},
        "spec": {"hard": {"requests.storage": "1Gi"}},
    }
    await client.apply(QUOTAS, hard)
    async with Operator(kube, namespace):
        await subject.change(storage=LARGE)

        async def is_refused() -> bool:
            told = condition(await subject.get(), "Accepted")
            return told["reason"] == "volumes_can_grow" and "exceeded quota: q" in told["message"]

        await eventually(is_refused, "the condition has the server's words")
        assert await sizes(client, namespace) == {"1Gi"}

        await subject.change(storage=VOLUMES["storage"])

        async def is_applied() -> bool:
            resource = await subject.get()
            current = resource["status"]["observedGeneration"] == resource["metadata"]["generation"]
            return bool(current and condition(resource, "Accepted")["status"] == "True")

        await eventually(is_applied, "spec is applied again")


async def test_a_resource_that_is_deleted_while_its_statefulset_is_gone_takes_its_pods_along(
    kube: Kube, client: Client, namespace: str
) -> None:
    subject = await made_on_volumes(kube, client, standalone(namespace, **VOLUMES))
    await subject.change(storage=LARGE)
    await die_in_the_gap(kube, subject)

    async def is_gone() -> bool:
        return not await statefulsets(client, namespace)

    await eventually(is_gone, "the StatefulSet is gone")
    assert await subject.pods()

    await subject.delete()

    await eventually(lambda: nothing_left(client, namespace), "everything is gone, without an operator")
