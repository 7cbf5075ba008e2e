"""The only whole copy of the data: while a replica copies, evictions of its primary are refused, and a primary that is
deleted all the same waits and hands over, whether the operator is there or not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest

from tdredis.kube.client import Client
from tests.e2e.faults import lost, under_load
from tests.e2e.needs import BUDGETS
from tests.e2e.test_data_lost import ask, primaries, role
from tests.e2e.test_faults import A_CLUSTER, A_STANDBY
from tests.e2e.world import Kube, Obj, Operator, Subject, eventually

Manifest = Callable[..., Obj]


async def evict(kube: Kube, subject: Subject, pod: str) -> bool:
    """False: a budget refuses it (429)."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": subject.namespace},
    }
    path = f"/api/v1/namespaces/{subject.namespace}/pods/{pod}/eviction"
    code, _, err = await kube.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
    assert code == 0 or "disruption budget" in err, err
    return code == 0


async def one_shard(subject: Subject) -> tuple[str, str]:
    """Its first primary and the replica of that."""
    primary = (await primaries(subject))[0]
    (replica,) = [
        pod for pod in await subject.pods() if pod.rpartition("-")[0] == primary.rpartition("-")[0] and pod != primary
    ]
    return primary, replica


async def made_anew(subject: Subject, pod: str, uid: str) -> None:
    async def runs() -> bool:
        found = (await subject.pods()).get(pod, {})
        states = [each["state"] for each in found.get("status", {}).get("containerStatuses", [])]
        return bool(found and found["metadata"]["uid"] != uid and any("running" in state for state in states))

    await eventually(runs, f"{pod} runs anew")


@A_CLUSTER
@pytest.mark.needs(BUDGETS)
async def test_a_primary_is_not_evicted_while_its_replica_copies_and_loses_nothing_when_it_is_deleted(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        primary, replica = await one_shard(subject)
        uid = (await subject.pods())[replica]["metadata"]["uid"]
        async with under_load(subject) as ledgers:
            # A copy begins so late: as slow as one of many gigabytes.
            await ask(subject, primary, "CONFIG", "SET", "repl-diskless-sync-delay", 15)
            assert await evict(kube, subject, replica)
            await made_anew(subject, replica, uid)

            assert not await evict(kube, subject, primary)
            await kube.kubectl("delete", "pod", "-n", namespace, primary, "--wait=false")

            async def named() -> bool:
                return any(event["reason"] == "LastCopyLeaves" for event in await subject.events())

            await eventually(named, "that the last copy leaves is told")

            async def handed_over() -> bool:
                return (await primaries(subject))[0] == replica

            await eventually(handed_over, f"{replica} took over")
        await subject.until_ready()
        assert await lost(subject, ledgers) == {}


@A_STANDBY
async def test_a_primary_that_is_deleted_hands_over_while_the_operator_is_away(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
    primary, replica = await one_shard(subject)
    way = "cluster" if subject.kind.kind == "RedisCluster" else "sentinel"
    async with under_load(subject, [way]) as ledgers:
        await kube.kubectl("delete", "pod", "-n", namespace, primary, "--wait=false")

        async def handed_over() -> bool:
            return await role(subject, replica) == "master"

        await eventually(handed_over, f"{replica} took over")
    async with Operator(kube, namespace):
        await subject.until_ready()
        assert await lost(subject, ledgers) == {}


@A_STANDBY
@pytest.mark.needs(BUDGETS)
async def test_a_primary_without_any_copy_is_not_evicted_while_the_operator_is_away(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
    primary, replica = await one_shard(subject)
    uid = (await subject.pods())[replica]["metadata"]["uid"]
    assert await evict(kube, subject, replica)
    await made_anew(subject, replica, uid)

    async def refused_for_a_while() -> bool:
        return not await evict(kube, subject, primary)

    for _ in range(20):
        assert await refused_for_a_while()
    async with Operator(kube, namespace):
        await eventually(partial(evict, kube, subject, primary), "the eviction is allowed once there is a copy")
        await subject.until_ready()
