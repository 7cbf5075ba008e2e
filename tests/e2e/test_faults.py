"""What may break, and what must happen: each fault under clients that write without pause and keep a ledger.

A planned change loses no acknowledged write. A crash may lose what Redis' asynchronous replication had not sent; what
was acknowledged a second before it is never among that. The rows are those of docs/reference/healing.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from tdredis.kube.client import Client
from tdredis.kube.resources import PODS
from tdredis.planning.steps import NAMES, FailOverShard, HandOver, TakeOverShard
from tests.e2e.faults import (
    GOES_ON_S,
    NOISE_S,
    SENT_S,
    another_primary,
    api_server_gone,
    crash,
    in_container,
    kill_pods,
    lost,
    prove_promptly,
    proving,
    record,
    under_load,
)
from tests.e2e.needs import LOCALKUBE
from tests.e2e.reach import linked
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, sample, standby
from tests.kit.pairs import pairs

Manifest = Callable[..., Obj]
KINDS = {"cluster": sample, "standby": standby}
BOTH = pytest.mark.parametrize("manifest", KINDS.values(), ids=KINDS)
# For what both kinds have from the same code: `make test` tries one of them.
A_CLUSTER = pytest.mark.parametrize(
    "manifest", [pytest.param(sample, id="cluster"), pytest.param(standby, id="standby", marks=pytest.mark.long)]
)
A_STANDBY = pytest.mark.parametrize(
    "manifest", [pytest.param(standby, id="standby"), pytest.param(sample, id="cluster", marks=pytest.mark.long)]
)
VOLUMES = {"storageclass": "standard", "storage": {"size": "1Gi", "retain": False}}
DEATH_GAP_S = {"RedisCluster": 0.3, "RedisStandby": 0.5}  # rows 1 and 2


def gap_of_death_s(subject: Subject) -> float:
    return DEATH_GAP_S[subject.kind.kind]


async def until_made_anew(subject: Subject, uids: dict[str, str]) -> None:
    """Every pod of *uids* is there, and another one."""

    async def made_anew() -> bool:
        now = {name: pod["metadata"]["uid"] for name, pod in (await subject.pods()).items()}
        return all(now.get(name, uid) != uid for name, uid in uids.items())

    await eventually(made_anew, "the pods are made anew")


async def uids_of(subject: Subject, prefix: str = "") -> dict[str, str]:
    pods = await subject.pods()
    return {name: pod["metadata"]["uid"] for name, pod in pods.items() if name.startswith(prefix)}


@BOTH
@pytest.mark.alone
async def test_a_killed_primary_is_replaced_and_what_replicas_had_stays(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()

        async def dies() -> None:
            before = await subject.primary()
            await crash(subject, before)
            await another_primary(subject, before)

        row = 1 if manifest is sample else 2
        await prove_promptly(row, dies, subject=subject, gap_s=gap_of_death_s(subject))


@A_STANDBY
@pytest.mark.alone
async def test_a_primary_whose_pod_is_deleted_hands_over_and_nothing_is_lost(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()

        async def goes() -> None:
            before = await subject.primary()
            await client.delete(PODS, namespace, before)
            await another_primary(subject, before)

        await prove_promptly(3, goes, subject=subject, gap_s=1.0, planned=True)


@A_CLUSTER
async def test_a_replica_that_is_killed_or_moved_is_not_noticed_by_clients(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        replica = next(name for name in sorted(await subject.pods()) if name.endswith("-1"))
        uids = await uids_of(subject, replica)
        async with proving(7, subject=subject, gap_s=0, planned=True):
            await crash(subject, replica)
            await client.delete(PODS, namespace, replica)
            await until_made_anew(subject, uids)
            await subject.until_ready()


async def test_a_shard_that_is_lost_altogether_comes_back_with_its_data_and_slots(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace, **VOLUMES))
        slots = (await subject.until_ready())["status"]["slots"]
        uids = await uids_of(subject, f"{subject.name}-0-")
        async with proving(8, subject=subject, gap_s=20.0):  # as long as its pods take to start
            await asyncio.sleep(SENT_S + 0.2)  # appendfsync everysec: what is older is on the disk
            await kill_pods(kube, subject, uids)
            await until_made_anew(subject, uids)

        assert (await subject.get())["status"]["slots"] == slots


@pytest.mark.parametrize(("volumes", "manifest"), pairs({"volumes": True, "emptydir": False}, KINDS))
async def test_everything_lost_at_once_comes_back_whole(
    kube: Kube, client: Client, namespace: str, manifest: Manifest, *, volumes: bool
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace, **(VOLUMES if volumes else {})))
        resource = await subject.until_ready()
        async with under_load(subject) as ledgers:
            pass
        uids = await uids_of(subject)
        await asyncio.sleep(SENT_S + 0.2)  # appendfsync everysec: what is older is on the disk

        began = time.monotonic()
        await kill_pods(kube, subject, uids)
        await until_made_anew(subject, uids)

        again = await subject.until_ready()
        heal_s = time.monotonic() - began
        assert again["status"].get("slots") == resource["status"].get("slots")
        missing = {name: len(numbers) for name, numbers in (await lost(subject, ledgers)).items()}
        kept = f"{subject.kind.kind} on {'volumes' if volumes else 'emptyDirs'}"
        record(9, kept, lost=sum(missing.values()), heal_s=round(heal_s, 2))
        assert missing == ({} if volumes else {name: len(each.acknowledged) for name, each in ledgers.items()})
        assert heal_s < 20 + NOISE_S


async def test_a_node_that_lost_its_memory_of_itself_is_joined_again(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        await subject.until_ready()
        before = await subject.primary()
        async with proving(11, subject=subject, gap_s=gap_of_death_s(subject)):
            await in_container(kube, subject, before, "echo nonsense > /data/nodes.conf")
            await crash(subject, before)
            await another_primary(subject, before)


@A_STANDBY
@pytest.mark.alone
async def test_a_primary_that_comes_back_without_its_data_never_empties_its_replica(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()

        async def dies_without_data() -> None:
            before = await subject.primary()
            await in_container(kube, subject, before, "rm -rf /data/appendonlydir /data/*.rdb /data/*.aof")
            await crash(subject, before)
            await another_primary(subject, before)

        await prove_promptly(16, dies_without_data, subject=subject, gap_s=gap_of_death_s(subject))


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
        async with proving(10, subject=subject, gap_s=15.0, heal_s=15.0):
            await kill_pods(kube, subject, dead)

            async def told() -> bool:
                moved = {NAMES[TakeOverShard], NAMES[FailOverShard]}
                if not kube.is_localkube:
                    moved.add(NAMES[HandOver])  # a kubelet takes its time: they are seen to go before they are gone
                return any(event["reason"] in moved for event in await subject.events())

            await eventually(told, "replicas take over")


@A_STANDBY
@pytest.mark.needs(LOCALKUBE)
async def test_a_primary_that_dies_while_the_api_server_is_gone_is_replaced_all_the_same(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    """Measured where no Service and no proxy stands between: a Service cannot be moved without an API server."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        resource = await subject.until_ready()
        primary = (await subject.pods())[await subject.primary()]["status"]["podIP"]
        way = "cluster" if manifest is sample else "sentinel"
        async with (
            proving(20, subject=subject, gap_s=gap_of_death_s(subject), ways=(way,)) as ledgers,
            api_server_gone(kube),
            linked(f"{primary}:6379", resource["spec"]["secret"]) as link,
        ):
            link.send("SHUTDOWN", "NOSAVE", "NOW", "FORCE")
            await ledgers[way].until_written(100, deadline_s=GOES_ON_S)
