"""What may break, and what must happen: each fault under clients that write without pause and keep a ledger.

A planned change loses no acknowledged write. A crash may lose what Redis' asynchronous replication had not sent; what
was acknowledged a second before it is never among that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from tdredis.kube.client import Client
from tdredis.kube.resources import PODS
from tests.chaos.ledger import describe
from tests.e2e.faults import (
    GOES_ON_S,
    SENT_S,
    another_primary,
    api_server_gone,
    crash,
    in_container,
    kill_pods,
    ledgers_of,
    lost,
    under_load,
)
from tests.e2e.needs import LOCALKUBE
from tests.e2e.reach import linked
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, sample, standby

Manifest = Callable[..., Obj]
BOTH = pytest.mark.parametrize("manifest", [sample, standby], ids=["cluster", "standby"])


@BOTH
async def test_a_killed_primary_is_replaced_and_what_replicas_had_stays(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        before = await subject.primary()
        async with under_load(subject) as ledgers:
            when = time.monotonic()
            await crash(subject, before)
            await another_primary(subject, before)
        await subject.until_ready()

        assert await lost(subject, ledgers, until=when - SENT_S) == {}, describe(ledgers)
        assert await subject.primary() != before


@BOTH
async def test_a_primary_whose_pod_is_deleted_hands_over_and_nothing_is_lost(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        before = await subject.primary()
        async with under_load(subject) as ledgers:
            await client.delete(PODS, namespace, before)
            await another_primary(subject, before)
        await subject.until_ready()

        assert await lost(subject, ledgers) == {}, describe(ledgers)


@BOTH
async def test_a_replica_that_is_killed_or_moved_is_not_noticed_by_clients(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        replica = next(name for name in sorted(await subject.pods()) if name.endswith("-1"))
        uid = (await subject.pods())[replica]["metadata"]["uid"]
        async with under_load(subject) as ledgers:
            await crash(subject, replica)
            await client.delete(PODS, namespace, replica)

            async def made_anew() -> bool:
                pods = await subject.pods()
                return replica in pods and pods[replica]["metadata"]["uid"] != uid

            await eventually(made_anew, "the replica's pod is made anew")
            await subject.until_ready()

        assert {name: ledger.failures for name, ledger in ledgers.items()} == dict.fromkeys(ledgers, 0)
        assert await lost(subject, ledgers) == {}


@BOTH
@pytest.mark.parametrize("volumes", [True, False], ids=["volumes", "emptydir"])
async def test_everything_lost_at_once_comes_back_whole(
    kube: Kube, client: Client, namespace: str, manifest: Manifest, *, volumes: bool
) -> None:
    storage = {"storageclass": "standard", "storage": {"size": "1Gi", "retain": False}} if volumes else {}
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace, **storage))
        resource = await subject.until_ready()
        async with under_load(subject) as ledgers:
            pass
        pods = {name: pod["metadata"]["uid"] for name, pod in (await subject.pods()).items()}
        await asyncio.sleep(SENT_S + 0.2)  # appendfsync everysec: what is older is on the disk

        await kill_pods(kube, subject, pods)

        async def made_anew() -> bool:
            now = await subject.pods()
            return set(now) == set(pods) and all(now[name]["metadata"]["uid"] != uid for name, uid in pods.items())

        await eventually(made_anew, "all pods are made anew")
        again = await subject.until_ready()
        assert again["status"].get("slots") == resource["status"].get("slots")
        missing = await lost(subject, ledgers)
        if volumes:
            assert missing == {}
        else:
            assert {name: len(numbers) for name, numbers in missing.items()} == {
                name: len(ledger.acknowledged) for name, ledger in ledgers.items()
            }


async def test_a_node_that_lost_its_memory_of_itself_is_joined_again(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        await subject.until_ready()
        before = await subject.primary()
        async with under_load(subject) as ledgers:
            when = time.monotonic()
            await in_container(kube, subject, before, "echo nonsense > /data/nodes.conf")
            await crash(subject, before)
            await another_primary(subject, before)
        await subject.until_ready()

        assert await lost(subject, ledgers, until=when - SENT_S) == {}, describe(ledgers)


@BOTH
async def test_a_primary_that_comes_back_without_its_data_never_empties_its_replica(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        before = await subject.primary()
        async with under_load(subject) as ledgers:
            when = time.monotonic()
            await in_container(kube, subject, before, "rm -rf /data/appendonlydir /data/*.rdb /data/*.aof")
            await crash(subject, before)
            await another_primary(subject, before)
        await subject.until_ready()

        assert await lost(subject, ledgers, until=when - SENT_S) == {}, describe(ledgers)


async def test_a_resource_deleted_while_it_is_half_built_leaves_nothing(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        for manifest in (sample(namespace, image="no-such-redis:99"), standby(namespace, sentinelimage="no-such:99")):
            subject = await Subject.create(client, manifest)

            async def named(subject: Subject = subject) -> bool:
                reason: str = condition(await subject.get(), "Ready").get("reason", "")
                return reason in ("ErrImagePull", "ImagePullBackOff")

            await eventually(named, "it is half built")
            await subject.delete()

            async def gone(subject: Subject = subject) -> bool:
                return not await subject.pods() and not await subject.pods("sentinel")

            await eventually(gone, "its pods are gone")


async def test_the_ledger_would_notice_a_lost_write(kube: Kube, client: Client, namespace: str) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace))
        resource = await subject.until_ready()
        async with under_load(subject) as ledgers:
            pass
        async with linked(resource["status"]["clusterIP"], "123") as link:
            await link.call("DEL", ledgers["service"].key(7), timeout_s=5)

        assert await lost(subject, ledgers) == {"service": [7]}


async def test_most_primaries_of_a_cluster_killed_at_once_are_replaced_without_a_vote(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        resource = await subject.until_ready()
        dead = [shard["primary"] for shard in resource["status"]["shards"][:2]]
        async with under_load(subject) as ledgers:
            when = time.monotonic()
            await kill_pods(kube, subject, dead)

            async def told() -> bool:
                return any(event["reason"] in ("TakeOverShard", "FailOverShard") for event in await subject.events())

            await eventually(told, "replicas take over")
        await subject.until_ready()

        assert await lost(subject, ledgers, until=when - SENT_S) == {}, describe(ledgers)


@BOTH
@pytest.mark.needs(LOCALKUBE)
async def test_a_primary_that_dies_while_the_api_server_is_gone_is_replaced_all_the_same(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    """Measured where no Service and no proxy stands between: a Service cannot be moved without an API server."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        resource = await subject.until_ready()
        primary = (await subject.pods())[await subject.primary()]["status"]["podIP"]
        ledgers = await ledgers_of(subject)
        ledger = ledgers["cluster" if "cluster" in ledgers else "sentinel"]
        async with ledger.writing():
            await ledger.until_written(100, deadline_s=GOES_ON_S)
            async with api_server_gone(kube), linked(f"{primary}:6379", resource["spec"]["secret"]) as link:
                when = time.monotonic()
                link.send("SHUTDOWN", "NOSAVE", "NOW", "FORCE")
                await ledger.until_written(100, deadline_s=GOES_ON_S)
        await subject.until_ready()

        assert await lost(subject, {ledger.name: ledger}, until=when - SENT_S) == {}, describe(ledgers)
