"""An API server that is slow, refuses or says nothing while a primary dies, row 20: as quick as ever, nothing twice."""

from __future__ import annotations

import msgspec
import pytest

from tdredis.api.instance import Condition
from tdredis.api.kinds import parse
from tdredis.api.redisstandby import RedisStandby
from tdredis.controllers.status_writer import StatusWriter
from tdredis.kube.client import Client
from tdredis.kube.resources import CONFIGMAPS, REDISSTANDBIES
from tdredis.planning.snapshot import Key
from tdredis.redis.facts import parse_info
from tests.e2e.faults import GOES_ON_S, another_primary, fault, proving, strike
from tests.e2e.needs import LOCALKUBE
from tests.e2e.reach import linked
from tests.e2e.test_faults import A_STANDBY, KINDS, Manifest, gap_of_death_s
from tests.e2e.world import Kube, Obj, Operator, Subject, eventually, sample, standby
from tests.kit.pairs import pairs

FAULTS = {
    "refuses half": ("refuse", "--percent", "50"),
    "does it and says no": ("refuse", "--percent", "50", "--after"),
    "refuses all late": ("refuse", "--percent", "100", "--delay", "2s"),
    "tells late": ("delay-watch", "--by", "3s"),
    "tells nothing": ("drop-watch", "--percent", "100"),
}


LABELS = 4.0  # two pods changed their roles; one that is made anew or answers late may be labelled again


async def pods_written(operator: Operator) -> float:
    written = await operator.writes()
    return sum(number for series, number in written.items() if '"pods"' in series and 'outcome="ok"' in series)


async def elections(subject: Subject) -> int:
    """How many there have been: the highest epoch that anybody knows."""
    resource = await subject.get()
    if resource["kind"] == "RedisCluster":
        return max([await current_epoch(pod, resource) for pod in (await subject.pods()).values()])
    found = []
    for pod in (await subject.pods("sentinel")).values():
        async with linked(f"{pod['status']['podIP']}:26379", "") as link:
            row = await link.call("SENTINEL", "MASTER", "mymaster", timeout_s=5)
        assert isinstance(row, list)
        found.append(int(row[row.index(b"config-epoch") + 1]))
    return max(found)


async def current_epoch(pod: Obj, resource: Obj) -> int:
    async with linked(f"{pod['status']['podIP']}:6379", resource["spec"]["secret"]) as link:
        text = await link.call("CLUSTER", "INFO", timeout_s=5)
    assert isinstance(text, bytes)
    return int(parse_info(text.decode())["cluster_current_epoch"])


@pytest.mark.parametrize(("words", "manifest"), pairs(FAULTS, KINDS))
@pytest.mark.needs(LOCALKUBE)
async def test_a_primary_that_dies_while_the_api_server_is_no_help_is_replaced_once_and_as_quickly(
    kube: Kube, client: Client, namespace: str, manifest: Manifest, words: tuple[str, ...]
) -> None:
    """Measured where no Service and no proxy stands between: a Service cannot be moved without an API server."""
    async with Operator(kube, namespace) as operator:
        subject = await Subject.create(client, manifest(namespace))
        resource = await subject.until_ready()
        before = await elections(subject)
        dies = await subject.primary()
        primary = (await subject.pods())[dies]["status"]["podIP"]
        way = "cluster" if manifest is sample else "sentinel"
        labelled = await pods_written(operator)
        async with proving(20, subject=subject, gap_s=gap_of_death_s(subject), ways=(way,)) as ledgers:
            async with fault(kube, *words), linked(f"{primary}:6379", resource["spec"]["secret"]) as link:
                link.send("SHUTDOWN", "NOSAVE", "NOW", "FORCE")
                await ledgers[way].until_written(100, deadline_s=GOES_ON_S)
            # The server has the end of it, and what watchers were never told of they see in a new list.
            await strike(kube, "forget-history")
            await another_primary(subject, dies)

        assert await elections(subject) - before == 1
        assert await pods_written(operator) - labelled <= LABELS


@A_STANDBY
@pytest.mark.alone
@pytest.mark.needs(LOCALKUBE)
async def test_a_death_does_not_wait_for_a_request_that_hangs(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    """Somebody deleted a ConfigMap, and the server takes nine seconds for the one request that would make it anew."""
    async with Operator(kube, namespace) as operator:
        subject = await Subject.create(client, manifest(namespace))
        resource = await subject.until_ready()
        dies = await subject.primary()
        primary = (await subject.pods())[dies]["status"]["podIP"]
        way = "cluster" if manifest is sample else "sentinel"
        path = f"/configmaps/{subject.name}"

        async with (
            fault(kube, "hang", "--verb", "PATCH", "--path", path, "--each", "9s", "--count", "1"),
            proving(20, subject=subject, gap_s=gap_of_death_s(subject), ways=(way,)) as ledgers,
            linked(f"{primary}:6379", resource["spec"]["secret"]) as link,
        ):
            await client.delete(CONFIGMAPS, namespace, subject.name)
            await eventually(lambda: is_hung(operator), "a pass waits for the server")

            link.send("SHUTDOWN", "NOSAVE", "NOW", "FORCE")
            await ledgers[way].until_written(100, deadline_s=GOES_ON_S)
            assert await client.find(CONFIGMAPS, namespace, subject.name) is None, "it hangs still"
            await another_primary(subject, dies)

        await eventually(lambda: is_there(client, namespace, subject.name), "the ConfigMap is there again")


async def is_hung(operator: Operator) -> bool:
    return (await operator.metrics("tdredis_queue_keys")).get('tdredis_queue_keys{place="active"}') == 1.0


async def is_there(client: Client, namespace: str, name: str) -> bool:
    return await client.find(CONFIGMAPS, namespace, name) is not None


@pytest.mark.needs(LOCALKUBE)
async def test_a_status_that_the_server_is_slow_to_take_holds_up_nobody(
    kube: Kube, client: Client, namespace: str
) -> None:
    """Else the pass that finds the new primary waits for what the pass before it had to say."""
    made = await client.create(REDISSTANDBIES, standby(namespace))
    resource = parse(RedisStandby, made)
    key = Key("RedisStandby", namespace, resource.name)
    ready = Condition(
        type="Ready", status="False", reason="Made", message="it begins", last_transition_time="2026-01-01T00:00:00Z"
    )
    status = msgspec.structs.replace(resource.status, phase="NotReady", conditions=(ready,))
    late: list[bool] = []
    writer = StatusWriter(client, on_late=lambda _key, written: late.append(written))

    async with fault(kube, "refuse", "--percent", "100", "--delay", "2s"):
        assert await writer.write(key, resource, status)
        assert late == [], "the server has answered nothing yet"
        assert await writer.write(key, resource, status), "one is under way"
        await eventually(lambda: came(late), "the server has answered")
        assert late == [False]

    async def written() -> bool:
        return await writer.write(key, resource, status)

    await eventually(written, "it is written when its time has come")
    assert late == [False], "a server that answers is waited for"
    assert (await client.get(REDISSTANDBIES, namespace, resource.name))["status"]["phase"] == "NotReady"  # type: ignore[index, call-overload]
    assert await writer.write(key, msgspec.structs.replace(resource, status=status), status)
    await writer.close()


async def came(late: list[bool]) -> bool:
    return bool(late)
