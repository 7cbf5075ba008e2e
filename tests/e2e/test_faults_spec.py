"""What a person may do to an instance: drain a node (row 3), write a bad spec (22), delete in a bad moment (23)."""

from __future__ import annotations

import time

import pytest

from tdredis.kube.client import Client
from tdredis.kube.resources import PODS
from tdredis.manifests.redis_pods import GRACE_S
from tests.e2e.faults import another_primary, fault, proving, record
from tests.e2e.leftovers import nothing_left
from tests.e2e.needs import PROCESSES, SIX_NODES
from tests.e2e.test_faults import A_CLUSTER, A_STANDBY, KINDS, Manifest, uids_of, until_made_anew
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually
from tests.kit.pairs import pairs

GONE_S = GRACE_S + 10.0
# A kubelet as old as 1.20 may leave what has ended to its collector of containers, which comes once a minute.
COLLECTED_S = 60.0
BAD: dict[str, Obj] = {
    "image": {"image": "no-such-redis:99"},
    "room": {"resources": {"requests": {"memory": "900Ti"}}},
    "place": {"pod": {"nodeSelector": {"no": "such-node"}}},
}


@A_CLUSTER
@pytest.mark.needs(SIX_NODES)
async def test_a_primary_whose_node_is_drained_hands_over_and_nothing_is_lost(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        before = await subject.primary()
        node = (await subject.pods())[before]["spec"]["nodeName"]
        try:
            async with proving(3, subject=subject, gap_s=1.0, planned=True):
                code, _, err = await kube.kubectl(
                    *("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
                )
                assert code == 0, err
                await another_primary(subject, before)
        finally:
            assert (await kube.kubectl("uncordon", node))[0] == 0


@pytest.mark.parametrize(("bad", "manifest"), pairs(BAD, KINDS))
async def test_a_bad_spec_hurts_nothing_that_works_says_why_and_is_healed_by_taking_it_back(
    kube: Kube, client: Client, namespace: str, manifest: Manifest, bad: Obj
) -> None:
    """A pod that is made anew meanwhile cannot start; nobody who writes notices."""
    made = manifest(namespace)
    reasons = ("ErrImagePull", "ImagePullBackOff") if "image" in bad else ("Unschedulable",)
    good = {name: made["spec"].get(name) for name in bad}
    async with Operator(kube, namespace):
        subject = await Subject.create(client, made)
        await subject.until_ready()
        primaries = {shard["primary"] for shard in (await subject.get())["status"]["shards"]}
        replica = next(name for name in sorted(await subject.pods()) if name not in primaries)
        before = await uids_of(subject)
        async with proving(22, subject=subject, gap_s=0, planned=True):
            await subject.change(**bad)

            async def seen() -> bool:
                resource = await subject.get()
                current: bool = resource["status"]["observedGeneration"] == resource["metadata"]["generation"]
                return current

            await eventually(seen, "the operator has seen it")
            await client.delete(PODS, namespace, replica)

            async def says_why() -> bool:
                return condition(await subject.get(), "Ready").get("reason") in reasons

            await eventually(says_why, f"the condition says {' or '.join(reasons)}")
            await subject.change(**good)
            await until_made_anew(subject, {replica: before[replica]})
            await subject.until_ready()

        after = await uids_of(subject)
        assert [name for name in before if before[name] != after[name]] == [replica]


@pytest.mark.long  # it takes the grace of its pod
@A_STANDBY
@pytest.mark.needs(PROCESSES)
async def test_a_resource_deleted_while_its_primary_is_frozen_is_gone_within_the_deadline(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        primary = await subject.primary()
        async with fault(kube, "freeze", "-c", "redis", f"{namespace}/{primary}"):
            began = time.monotonic()
            await subject.delete()
            deadline_s = GONE_S if kube.is_localkube else GONE_S + COLLECTED_S
            await eventually(lambda: nothing_left(client, namespace), "nothing is left", deadline_s=deadline_s)
        record(23, subject.kind.kind, heal_s=round(time.monotonic() - began, 2))
