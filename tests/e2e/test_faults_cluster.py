"""What breaks in a RedisCluster from outside: a node lost, a primary frozen or cut off, a ghost, a copy that never ends
(rows 4, 5, 6, 14 and 18 of the healing table), under clients that write without pause.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping

import pytest

from tdredis.kube.client import Client
from tdredis.manifests.redis_config import NODE_TIMEOUT_MS
from tdredis.redislink.errors import LinkError
from tests.chaos.ledger import Ledger
from tests.e2e.faults import GOES_ON_S, fault, kill_pods, lost, passwords, proving, tags_of
from tests.e2e.needs import LOCALKUBE, PROCESSES, SIX_NODES
from tests.e2e.nodes import copy_anew, flooded, is_replica, tell, view, views
from tests.e2e.reach import linked
from tests.e2e.world import Kube, Operator, Subject, condition, eventually, sample

FIRST, HEIR = "redis-cluster-rat-0-0", "redis-cluster-rat-0-1"
TIMEOUT_S = NODE_TIMEOUT_MS / 1000
# Nodes ping each other every half node timeout: an engine that nobody helps misses one after 1 to 1.5 of them, tells
# the others, and has its election a second later. The row says one timeout and 2 s; `proving` adds NOISE_S.
GAP_S = 1.5 * TIMEOUT_S + 2.0
SLOW_S = 15.0  # of a proxy: three times as long as one that refuses is given


async def until_replaced(subject: Subject, old: str) -> None:
    """Another pod of its shard is the primary."""

    async def replaced() -> bool:
        shards = (await subject.get())["status"]["shards"]
        shard = next(each for each in shards if each["name"] == old.rpartition("-")[0])
        return shard.get("primary", "") not in ("", old)

    await eventually(replaced, f"another pod than {old} is the primary")


async def until_all_write(ledgers: Mapping[str, Ledger]) -> None:
    await asyncio.gather(*(ledger.until_written(100, deadline_s=GOES_ON_S) for ledger in ledgers.values()))


async def owners_of_first_slot(subject: Subject) -> list[str]:
    return [pod for pod, seen in (await views(subject)).items() if 0 in seen.me.slots]


async def lost_since(subject: Subject, ledgers: Mapping[str, Ledger], since: float) -> dict[str, list[int]]:
    """Acknowledged after *since* (monotonic), and not there any more, by way."""
    missing = await lost(subject, ledgers)
    late = {way: [each for each in found if ledgers[way].acknowledged[each] > since] for way, found in missing.items()}
    return {way: found for way, found in late.items() if found}


@pytest.mark.needs(LOCALKUBE, SIX_NODES)
async def test_a_primary_whose_node_is_lost_is_replaced_within_the_node_timeout(
    kube: Kube, client: Client, namespace: str
) -> None:
    """A primary whose node has no pod of the proxy: that one would be lost as well, which is another matter."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace, env="production"))
        resource = await subject.until_ready()
        proxies = {pod["spec"]["nodeName"] for pod in (await subject.pods("proxy")).values()}
        nodes = {name: pod["spec"]["nodeName"] for name, pod in (await subject.pods()).items()}
        primaries = [shard["primary"] for shard in resource["status"]["shards"]]
        dead = next(name for name in primaries if nodes[name] not in proxies)

        async with proving(4, subject=subject, gap_s=GAP_S) as ledgers:
            async with fault(kube, "fail-node", nodes[dead]):
                await until_replaced(subject, dead)
                await until_all_write(ledgers)
            await subject.until_ready()

        assert await is_replica(subject, dead)


@pytest.mark.needs(PROCESSES)
async def test_a_frozen_primary_is_replaced_and_what_it_takes_when_it_thaws_does_not_count(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        resource = await subject.until_ready()
        inner, _ = passwords(resource)
        alone = f"{{{tags_of(resource)[0]}}}alone"
        ip = (await subject.pods())[FIRST]["status"]["podIP"]

        async with linked(f"{ip}:6379", inner) as patient, proving(5, subject=subject, gap_s=GAP_S) as ledgers:
            async with fault(kube, "freeze", f"{namespace}/{FIRST}", "-c", "redis"):
                # It finds this when it thaws, before it can hear that it is no primary any more.
                write = asyncio.ensure_future(patient.call("SET", alone, "1", timeout_s=GOES_ON_S))
                await until_replaced(subject, FIRST)
                await until_all_write(ledgers)
            thawed = time.monotonic()
            await eventually(lambda: is_replica(subject, FIRST), "it steps down")
            await subject.until_ready()
            (said,) = await asyncio.gather(write, return_exceptions=True)
            assert said == b"OK" or isinstance(said, LinkError)

        assert await owners_of_first_slot(subject) == [HEIR]
        assert await tell(subject, HEIR, ("GET", alone)) == [None]
        assert await lost_since(subject, ledgers, thawed) == {}


@pytest.mark.needs(PROCESSES)
async def test_a_proxy_that_says_nothing_for_a_while_is_not_made_anew(
    kube: Kube, client: Client, namespace: str
) -> None:
    """On a busy node that is all that is seen of it, and its clients would lose their connections for nothing."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        resource = await subject.until_ready()
        _, outer = passwords(resource)
        before = {name: pod["metadata"]["uid"] for name, pod in (await subject.pods("proxy")).items()}
        (slow, *_) = sorted(before)
        ip = (await subject.pods("proxy"))[slow]["status"]["podIP"]
        async with linked(f"{ip}:6379", outer) as user:
            assert await user.call("SET", "kept", "1", timeout_s=GOES_ON_S) == b"OK"
            async with fault(kube, "freeze", f"{namespace}/{slow}", "-c", "proxy"):
                with pytest.raises(AssertionError, match="last seen: False"):
                    await eventually(
                        lambda: differs(subject, before), "a proxy is made anew", deadline_s=SLOW_S, pause_s=0.5
                    )
            assert await user.call("GET", "kept", timeout_s=GOES_ON_S) == b"1", "the same connection goes on"
        await subject.until_ready()
        assert not await differs(subject, before)


async def differs(subject: Subject, before: dict[str, str]) -> bool:
    return {name: pod["metadata"]["uid"] for name, pod in (await subject.pods("proxy")).items()} != before


@pytest.mark.needs(PROCESSES)
async def test_a_primary_that_is_cut_off_with_a_minority_is_replaced_and_steps_down_when_it_is_back(
    kube: Kube, client: Client, namespace: str
) -> None:
    """Whoever reaches it goes on writing there, for a node timeout; none of that counts."""
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        await subject.until_ready()
        minority = {FIRST, "redis-cluster-rat-1-1"}
        here = ",".join(f"{namespace}/{pod}" for pod in sorted(minority))
        there = ",".join(f"{namespace}/{pod}" for pod in sorted(set(await subject.pods()) - minority))

        async with proving(6, subject=subject, gap_s=GAP_S) as ledgers:
            async with fault(kube, "cut", here, there):
                await until_replaced(subject, FIRST)
                await until_all_write(ledgers)
                assert await owners_of_first_slot(subject) == [FIRST, HEIR], "it has not heard of it"
                moved = time.monotonic()
                await until_all_write(ledgers)
            await eventually(lambda: is_replica(subject, FIRST), "it steps down")
            await subject.until_ready()

        assert await owners_of_first_slot(subject) == [HEIR]
        assert await lost_since(subject, ledgers, moved) == {}


async def test_a_ghost_is_forgotten_by_every_node_and_a_living_node_never(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace) as operator:
        subject = await Subject.create(client, sample(namespace))
        await subject.until_ready()
        ghost = (await view(subject, HEIR)).me.id

        async with proving(14, subject=subject, gap_s=0):
            await kill_pods(kube, subject, [HEIR])

            async def only_the_living_are_known() -> bool:
                try:
                    seen = await views(subject)
                except (LinkError, KeyError):  # one is being started
                    return False
                ids = {each.me.id for each in seen.values()}
                knows = ({*each.others, each.me.id} for each in seen.values())
                return len(ids) == 6 and ghost not in ids and all(known == ids for known in knows)

            await eventually(only_the_living_are_known, "everybody knows the six that live, and nobody else")

        steps = [line for line in operator.log.read_text().splitlines() if "step done" in line]
        forgotten = [found[1] for line in steps if (found := re.search(r"forget node (\w+)", json.loads(line)["step"]))]
        assert forgotten == [ghost[:8]] * 5


@pytest.mark.long  # a standby's is tried in `make test`
async def test_a_replica_whose_copy_never_ends_is_named_and_nothing_else_is_disturbed(
    kube: Kube, client: Client, namespace: str
) -> None:
    """Its primary's buffer for replicas is smaller than what clients write while a copy is being made."""
    async with Operator(kube, namespace) as operator:
        subject = await Subject.create(client, sample(namespace))
        resource = await subject.until_ready()
        tag = tags_of(resource)[0]
        names = [f"{{{tag}}}{number}" for number in range(1000)]
        await tell(subject, FIRST, *(("SET", name, name) for name in names))
        before = operator.log.read_text().count("step done")

        async with proving(18, subject=subject, gap_s=0, planned=True):
            large = f"{{{tag}}}large"
            await copy_anew(
                subject,
                FIRST,
                large,
                ("CONFIG", "SET", "client-output-buffer-limit", "replica 32768 0 0"),
                ("CONFIG", "SET", "rdb-key-save-delay", 10_000),  # microseconds: the copy takes ten seconds and more
            )

            async def named() -> bool:
                reason: str = condition(await subject.get(), "Ready").get("reason", "")
                return reason == "SyncFails"

            async with flooded(subject, FIRST, large):
                await eventually(named, "it is named")
            assert operator.log.read_text().count("step done") == before, "nothing is done about it"
            await tell(
                subject,
                FIRST,
                ("CONFIG", "SET", "rdb-key-save-delay", 0),
                ("CONFIG", "SET", "client-output-buffer-limit", "replica 268435456 67108864 60"),
                ("CLIENT", "KILL", "TYPE", "replica"),  # the copy that is under way is still a slow one
            )
            await subject.until_ready()
