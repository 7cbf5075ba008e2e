"""Shards that come and go on other engines than the sample's: by MIGRATE, and on the newest by their own command."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest

from tdredis.kube.client import Client
from tdredis.movers.atomic import Job, Way, parse_jobs
from tests.e2e.faults import NOISE_S, crash, lost
from tests.e2e.needs import LOCALKUBE, VALKEY
from tests.e2e.reach import linked
from tests.e2e.scaling import assert_nothing_lost, filled, holds_all, out_and_in, scaled, until_moved, way, wide_load
from tests.e2e.world import Kube, Obj, Operator, Subject, eventually, sample
from tests.kit.engines import IMAGES, found_of

GAP_S = 1.0
OWNERS = tuple(f"redis-cluster-rat-{number}" for number in range(3))
ADDED = "redis-cluster-rat-3"
WAYS = {"valkey91": Way.VALKEY, "redis86": Way.REDIS}
NATIVE = pytest.mark.parametrize("name", found_of(*WAYS))


@pytest.mark.long  # `make test` has the mover with Valkey 8, between real processes: tests/unit/movers
@pytest.mark.needs(VALKEY)
async def test_shards_come_and_go_on_valkey_8(kube: Kube, client: Client, namespace: str) -> None:
    async with Operator(kube, namespace):
        subject, made = await filled(client, sample(namespace, image="valkey/valkey:8.0"), 10_000)
        assert "server_name:valkey" in await engine_of(subject, f"{subject.name}-0-0")
        async with wide_load(subject) as ledgers:
            await out_and_in(subject, made)
        await assert_nothing_lost(subject, ledgers, made, gap_s=GAP_S + NOISE_S)


@pytest.mark.long
@pytest.mark.needs(LOCALKUBE)
@pytest.mark.parametrize("name", found_of("redis80"))
async def test_shards_come_and_go_on_an_engine_that_has_no_command_for_it(
    kube: Kube, client: Client, namespace: str, name: str
) -> None:
    async with Operator(kube, namespace):
        subject, made = await filled(client, sample(namespace, image=IMAGES[name]), 10_000)
        engine = await engine_of(subject, f"{subject.name}-0-0")
        assert f"redis_version:{IMAGES[name].rpartition(':')[2]}." in engine
        async with wide_load(subject) as ledgers:
            await out_and_in(subject, made)
        await assert_nothing_lost(subject, ledgers, made, gap_s=GAP_S + NOISE_S)


def native(namespace: str, name: str) -> Obj:
    return sample(namespace, image=IMAGES[name], capacity=768)


async def large(client: Client, namespace: str, name: str) -> tuple[Subject, dict[str, str]]:
    """A cluster of the engine *name* that is Ready, with 160 MB: a job takes a while."""
    return await filled(client, native(namespace, name), 20_000, size=8000)


@pytest.mark.long
@pytest.mark.needs(LOCALKUBE)
@NATIVE
async def test_the_engine_moves_slots_itself_as_size_says(
    kube: Kube, client: Client, namespace: str, name: str
) -> None:
    async with Operator(kube, namespace):
        subject, made = await large(client, namespace, name)
        async with wide_load(subject) as ledgers:
            await subject.change(size=4)
            await scaled(subject, 4)
            out = await jobs_of(subject, name)
            assert await holds_all(subject, made)
            await subject.change(size=3)
            await scaled(subject, 3)
        assert out, "no slot moved by a job of the engine"
        assert all(job.is_done for job in out), out
        await assert_nothing_lost(subject, ledgers, made, gap_s=GAP_S + NOISE_S)


@pytest.mark.long
@pytest.mark.needs(LOCALKUBE)
@NATIVE
async def test_an_operator_killed_during_a_job_goes_on_and_an_edit_back_during_one_takes_it_back(
    kube: Kube, client: Client, namespace: str, name: str
) -> None:
    async with Operator(kube, namespace) as operator:
        subject, made = await large(client, namespace, name)
        async with wide_load(subject) as ledgers:
            await subject.change(size=4)
            await until_a_job_is_under_way(subject, OWNERS, name)
            await operator.end(signal.SIGKILL)
            await operator.start()
            await scaled(subject, 4)
            assert await holds_all(subject, made)

            await subject.change(size=3)
            await until_a_job_is_under_way(subject, [ADDED], name)
            await subject.change(size=4)
            await scaled(subject, 4)
        await assert_nothing_lost(subject, ledgers, made, gap_s=GAP_S + NOISE_S)


@pytest.mark.long
@pytest.mark.needs(LOCALKUBE)
@NATIVE
async def test_a_target_that_dies_during_a_job_is_replaced_and_the_change_goes_on(
    kube: Kube, client: Client, namespace: str, name: str
) -> None:
    """A crash may lose what the engine had not sent to a replica, as always, and nothing that is older."""
    async with Operator(kube, namespace):
        subject, made = await large(client, namespace, name)
        async with wide_load(subject) as ledgers:
            await subject.change(size=4)
            await until_moved(subject, ADDED, at_least=100)
            died_at = time.monotonic()
            shards = (await subject.get())["status"]["shards"]
            await crash(subject, next(each["primary"] for each in shards if each["name"] == ADDED))
            await scaled(subject, 4)
        assert await holds_all(subject, made)
        assert await lost(subject, ledgers, until=died_at - 1) == {}


async def engine_of(subject: Subject, pod: str) -> str:
    """What the process says of itself: INFO server."""
    async with linked(*await way(subject, pod)) as link:
        info = await link.call("INFO", "server", timeout_s=10)
    assert isinstance(info, bytes)
    return info.decode()


async def jobs_of(subject: Subject, name: str) -> list[Job]:
    """What the pods of ADDED say of the jobs that they took part in."""
    found: list[Job] = []
    for pod in await subject.pods():
        if not pod.startswith(f"{ADDED}-"):
            continue
        async with linked(*await way(subject, pod)) as link:
            found += parse_jobs(await link.call(*WAYS[name].question, timeout_s=10))
    return found


async def until_a_job_is_under_way(subject: Subject, owners: Sequence[str], name: str) -> None:
    """As the primaries of *owners* say, who own slots now: both ends know of a job. It lasts for tenths of a second."""
    shards = (await subject.get())["status"]["shards"]
    primaries = [each["primary"] for each in shards if each["name"] in owners]
    async with AsyncExitStack() as stack:
        links = [await stack.enter_async_context(linked(*await way(subject, pod))) for pod in primaries]

        async def is_seen() -> bool:
            replies = [await link.call(*WAYS[name].question, timeout_s=10) for link in links]
            return any(not job.is_over for reply in replies for job in parse_jobs(reply))

        await eventually(is_seen, "the engine moves slots", pause_s=0.005)
