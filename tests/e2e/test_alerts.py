"""Each alert of the chart fires in a real Prometheus when that is broken of which it speaks, and else is silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tdredis.kube.client import Client
from tdredis.kube.resources import CONFIGMAPS, LEASES, NODES
from tests.e2e.alerts import Server, watching
from tests.e2e.faults import another_primary, crash, fault, in_container, strike
from tests.e2e.needs import LOCALKUBE
from tests.e2e.reach import linked
from tests.e2e.test_faults import VOLUMES
from tests.e2e.test_full_disks import CLASS, ON_VOLUMES, STORAGECLASSES, write
from tests.e2e.test_full_of_clients import filled
from tests.e2e.test_memory import VALUE, fill
from tests.e2e.world import Kube, Obj, Operator, Subject, eventually, sample, standalone, standby

pytestmark = pytest.mark.needs(LOCALKUBE)
LONG = pytest.mark.long
Manifest = Callable[..., Obj]


@dataclass(frozen=True)
class World:
    """An operator, what it runs, and a Prometheus that watches both."""

    kube: Kube
    client: Client
    namespace: str
    operator: Operator
    server: Server
    subject: Subject

    def freeze(self, pod: str, *words: str) -> Any:
        return fault(self.kube, "freeze", f"{self.namespace}/{pod}", *words)

    async def replica(self) -> str:
        primary = await self.subject.primary()
        return next(pod for pod in sorted(await self.subject.pods()) if pod != primary)

    async def ask(self, pod: str, *words: str | int) -> object:
        ip = (await self.subject.pods())[pod]["status"]["podIP"]
        async with linked(f"{ip}:6379", (await self.subject.get())["spec"]["secret"]) as link:
            return await link.call(*words, timeout_s=10)


class Make:
    """Worlds of one test."""

    def __init__(self, kube: Kube, client: Client, namespace: str, folder: Path) -> None:
        self._kube = kube
        self._client = client
        self.namespace = namespace
        self._folder = folder

    @asynccontextmanager
    async def __call__(self, manifest: Obj, *, is_ready: bool = True) -> AsyncIterator[World]:
        async with Operator(self._kube, self.namespace) as operator, watching(operator, self._folder) as server:
            subject = await Subject.create(self._client, manifest)
            if is_ready:
                await subject.until_ready()
                server.scrape(await subject.pods(), self.namespace)
            world = World(self._kube, self._client, self.namespace, operator, server, subject)

            async def is_watched() -> bool:
                return bool(await server.query(f'tdredis_resource_shards{{name="{subject.name}"}}'))

            await eventually(is_watched, "Prometheus knows of it")
            if is_ready:
                await server.until_silent("TdRedisNotReady", "TdRedisShardWithoutPrimary", "TdRedisReplicasNotInSync")
            yield world


@pytest.fixture
def make(kube: Kube, client: Client, namespace: str, tmp_path: Path) -> Make:
    return Make(kube, client, namespace, tmp_path)


async def test_a_redis_that_is_frozen_is_told_of(make: Make) -> None:
    async with make(standalone(make.namespace)) as world:
        async with world.freeze(f"{world.subject.name}-0", "-c", "redis"):
            await world.server.until_firing("TdRedisProcessSilent", "TdRedisShardWithoutPrimary", "TdRedisNotReady")
        await world.server.until_silent("TdRedisProcessSilent", "TdRedisShardWithoutPrimary", "TdRedisNotReady")


@LONG
async def test_a_primary_that_is_away_for_long_is_a_long_gap(make: Make) -> None:
    async with make(standalone(make.namespace)) as world:
        async with world.freeze(f"{world.subject.name}-0", "-c", "redis"):
            await world.server.until_firing("TdRedisShardWithoutPrimary")
            await asyncio.sleep(12)  # the fault's own length: more than ten seconds are too long
        await world.server.until_firing("TdRedisGapLong")


@LONG
async def test_a_standby_that_is_frozen_is_a_copy_less_and_under_consistency_no_write(make: Make) -> None:
    manifest = standby(make.namespace, writePolicy="consistency")
    async with make(manifest) as world, world.freeze(await world.replica(), "-c", "redis"):
        await world.server.until_firing("TdRedisReplicasNotInSync", "TdRedisWritesRefused")


@LONG
async def test_a_replica_that_is_cut_off_from_its_primary_is_told_of(make: Make) -> None:
    async with make(standby(make.namespace)) as world:
        primary, replica = await world.subject.primary(), await world.replica()
        async with fault(world.kube, "cut", f"{make.namespace}/{replica}", f"{make.namespace}/{primary}"):
            await world.server.until_firing("TdRedisReplicaDisconnected")


@LONG
async def test_a_sentinel_that_is_frozen_is_told_of(make: Make) -> None:
    async with make(standby(make.namespace)) as world, world.freeze(min(await world.subject.pods("sentinel"))):
        await world.server.until_firing("TdRedisSentinelsNotReady")


@LONG
async def test_two_primaries_while_nobody_may_mend_it_are_told_of_and_so_is_the_pause(make: Make) -> None:
    async with make(standby(make.namespace)) as world:
        replica = await world.replica()
        await world.subject.change(paused=True)
        await world.server.until_firing("TdRedisPaused")
        async with AsyncExitStack() as stack:
            for pod in await world.subject.pods("sentinel"):
                await stack.enter_async_context(world.freeze(pod))
            assert await world.ask(replica, "REPLICAOF", "NO", "ONE") == b"OK"
            await world.server.until_firing("TdRedisTwoPrimaries")


@LONG
async def test_primaries_that_die_again_and_again_are_told_of(make: Make) -> None:
    async with make(standby(make.namespace)) as world:
        for _ in range(5):
            primary = await world.subject.primary()
            await crash(world.subject, primary)
            await another_primary(world.subject, primary)
            await world.subject.until_ready()
        await world.server.until_firing("TdRedisFailoversFrequent")


@LONG
async def test_what_never_came_up_is_told_of(make: Make) -> None:
    async with make(standalone(make.namespace, image="no-such-redis:99"), is_ready=False) as world:
        await world.server.until_firing("TdRedisNeverReady", "TdRedisPodFails")


@LONG
async def test_connections_that_are_used_up_are_told_of_by_operator_and_exporter(make: Make) -> None:
    async with make(standalone(make.namespace)) as world:
        pod = f"{world.subject.name}-0"
        ip = (await world.subject.pods())[pod]["status"]["podIP"]
        await world.operator.end()
        async with filled(ip, (await world.subject.get())["spec"]["secret"]):
            await world.operator.start()
            await world.server.until_firing("TdRedisConnectionsUsedUp", "TdRedisExporterDown")


@LONG
async def test_memory_that_is_nearly_full_and_keys_that_go_are_told_of(make: Make) -> None:
    async with make(standalone(make.namespace)) as world:
        await fill(world.subject, 92.0)
        await world.server.until_firing("TdRedisMemoryNearlyFull")
        pod = f"{world.subject.name}-0"
        for number in range(60):
            await world.ask(pod, "SET", f"more:{number}", VALUE)
        await world.server.until_firing("TdRedisEvicting")


@LONG
async def test_a_redis_that_the_kernel_ended_is_told_of(make: Make) -> None:
    """localkube enforces no limits: it is told to do as the kernel would."""
    async with make(standalone(make.namespace)) as world:
        pod = f"{make.namespace}/{world.subject.name}-0"
        await strike(world.kube, "kill", pod, "-c", "redis", "--oom")
        await world.server.until_firing("TdRedisOOMKilled")


@LONG
async def test_a_disk_that_is_full_is_told_of_and_so_is_a_snapshot_that_fails(make: Make, client: Client) -> None:
    await client.apply(STORAGECLASSES, CLASS)
    async with make(standalone(make.namespace, **ON_VOLUMES)) as world:
        name = f"{world.subject.name}-0"
        async with fault(world.kube, "fill-volume", f"{make.namespace}/{name}", "redis-data"):
            await write(world.subject)
            await world.ask(name, "BGSAVE", "SCHEDULE")
            await world.server.until_firing("TdRedisDiskFull", "TdRedisSnapshotFails")


@LONG
async def test_an_edit_that_kubernetes_refuses_is_told_of(make: Make) -> None:
    mounts = [{"name": "no-such", "mountPath": "/a"}]
    async with make(standalone(make.namespace)) as world:
        await world.subject.change(pod={"containers": [{"name": "a", "image": "a", "volumeMounts": mounts}]})
        await world.server.until_firing("TdRedisChangeHeld")


@LONG
async def test_an_edit_that_is_given_up_is_told_of(make: Make) -> None:
    async with make(standalone(make.namespace, rollout={"progressDeadlineSeconds": 4})) as world:
        await world.subject.change(image="no-such-redis:99")
        await world.server.until_firing("TdRedisRolledBack")


@LONG
async def test_a_shard_on_one_node_is_told_of(make: Make, client: Client) -> None:
    node = (await client.list(NODES))[0]["metadata"]["name"]  # type: ignore[call-overload, index]
    together = {"nodeSelector": {"kubernetes.io/hostname": node}}
    async with make(standby(make.namespace, env="demo", pod=together)) as world:
        await world.server.until_firing("TdRedisShardOnOneNode")


@LONG
async def test_slots_without_an_owner_and_a_proxy_that_is_frozen_are_told_of(make: Make) -> None:
    async with make(sample(make.namespace)) as world:
        async with AsyncExitStack() as stack:
            for pod in await world.subject.pods("proxy"):
                await stack.enter_async_context(world.freeze(pod))
            await world.server.until_firing("TdRedisProxyNotReady")
        await world.subject.until_ready()
        await world.subject.change(paused=True)
        await world.server.until_firing("TdRedisPaused")
        for line in (await world.subject.get())["status"]["shards"][:1]:
            assert await world.ask(line["primary"], "CLUSTER", "DELSLOTS", 0) == b"OK"
        await world.server.until_firing("TdRedisSlotsUncovered")


@LONG
async def test_data_that_is_lost_is_told_of(make: Make) -> None:
    async with make(standalone(make.namespace, **VOLUMES)) as world:
        name = f"{world.subject.name}-0"
        for number in range(200):
            await world.ask(name, "SET", f"key:{number}", "v")

        async def is_recorded() -> bool:
            return bool((await world.subject.get())["status"]["shards"][0].get("keys"))

        await eventually(is_recorded, "the record says that there are keys")
        await in_container(world.kube, world.subject, name, "rm -rf /data/*")
        await crash(world.subject, name)
        await world.server.until_firing("TdRedisDataLost")


@LONG
async def test_an_operator_that_is_gone_and_one_that_is_kept_from_leading_are_told_of(make: Make) -> None:
    async with make(standalone(make.namespace)) as world:
        await world.operator.end()
        await world.server.until_firing("TdRedisOperatorDown")
        other: Any = {"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 3600}}
        await world.client.patch(LEASES, make.namespace, "td-redis-operator", other)
        await world.operator.start()
        await world.server.until_firing("TdRedisNoLeader")
        await world.server.until_silent("TdRedisOperatorDown")


@LONG
async def test_a_lease_that_somebody_takes_over_and_over_is_told_of(make: Make) -> None:
    other: Any = {"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 1}}
    async with make(standalone(make.namespace)) as world:
        for wanted in range(2, 8):

            async def has_taken(number: int = wanted) -> bool:
                return (await world.operator.metrics("tdredis_leads_begun_total"))[
                    "tdredis_leads_begun_total"
                ] >= number

            await world.client.patch(LEASES, make.namespace, "td-redis-operator", other)
            await eventually(has_taken, "it takes its lease back")
        await world.server.until_firing("TdRedisLeaderFlapping")


@LONG
async def test_an_api_server_that_is_gone_is_told_of(make: Make) -> None:
    async with make(standalone(make.namespace)) as world, fault(world.kube, "stop-api"):
        await world.server.until_firing("TdRedisWatchStale", "TdRedisApiFailing")


@LONG
async def test_an_api_server_that_hangs_is_told_of(make: Make) -> None:
    async with make(standalone(make.namespace)) as world:
        path = f"/configmaps/{world.subject.name}"
        async with fault(world.kube, "hang", "--verb", "PATCH", "--path", path, "--each", "9s"):
            await world.client.delete(CONFIGMAPS, make.namespace, world.subject.name)
            await world.server.until_firing("TdRedisReconcileStuck")
            await world.server.until_firing("TdRedisReconcileSlow", "TdRedisApiSlow")


@LONG
async def test_writes_that_are_refused_are_told_of(make: Make) -> None:
    async with make(standalone(make.namespace)) as world:
        refuse = ("refuse", "--code", "403", "--verb", "PATCH", "--path")
        async with fault(world.kube, *refuse, f"/{world.subject.name}/status"):
            await world.subject.change(realname="somebody")
            await world.server.until_firing("TdRedisSpecNotTaken", "TdRedisReconcileFailing")
