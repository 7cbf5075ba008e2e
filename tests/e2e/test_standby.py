"""A RedisStandby and a RedisStandalone on real processes: made, used in every way, failed over, kept and deleted."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tdredis.kube.client import Client
from tdredis.kube.resources import (
    CONFIGMAPS,
    EVENTS,
    NAMESPACES,
    PODS,
    SECRETS,
    SERVICES,
    STATEFULSETS,
)
from tdredis.manifests.names import MANAGED_BY_SELECTOR, ROLE_LABEL
from tests.e2e.faults import crash
from tests.e2e.leftovers import nothing_left
from tests.e2e.needs import SIX_NODES
from tests.e2e.reach import ServiceWrites, Writer, linked, sentinel_client, write_and_read, writing
from tests.e2e.world import (
    SAMPLE,
    STANDBY_SAMPLE,
    Kube,
    Obj,
    Operator,
    Subject,
    condition,
    eventually,
    never,
    read,
    standalone,
    standby,
)

PASSWORD = "123"
FIRST, SECOND = "redis-standby-tom-0", "redis-standby-tom-1"


async def sentinels_of(subject: Subject) -> list[tuple[str, int]]:
    return [(pod["status"]["podIP"], 26379) for pod in (await subject.pods("sentinel")).values()]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(SAMPLE, id=SAMPLE.stem, marks=[pytest.mark.needs(SIX_NODES), pytest.mark.long]),
        pytest.param(STANDBY_SAMPLE, id=STANDBY_SAMPLE.stem),
    ],
)
async def test_a_published_sample_applied_unchanged_serves_and_leaves_nothing(
    kube: Kube, client: Client, path: Path
) -> None:
    manifest = read(path)
    namespace: str = manifest["metadata"]["namespace"]
    await client.create(NAMESPACES, {"metadata": {"name": namespace}})
    async with Operator(kube, namespace):
        code, _, err = await kube.kubectl("apply", "-f", str(path))
        assert code == 0, err
        subject = Subject.of(client, manifest)
        resource = await subject.until_ready()

        password = manifest["spec"].get("proxysecret") or manifest["spec"]["secret"]
        await write_and_read(resource["status"]["clusterIP"], password)
        assert resource["status"]["capacity"] == manifest["spec"]["capacity"]

        await subject.delete()
        await eventually(lambda: nothing_left(client, namespace), "everything of the resource is gone")
    await client.delete(NAMESPACES, None, namespace)


async def test_a_standby_serves_by_service_by_sentinel_and_for_reading(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace))
        resource = await subject.until_ready()
        status = resource["status"]
        assert (status["size"], status["capacity"], status["sentinels"]) == (1, 64, {"ready": 3, "wanted": 3})

        await write_and_read(status["clusterIP"], PASSWORD)

        async with sentinel_client(await sentinels_of(subject), PASSWORD) as sentinel:
            primary, replica = sentinel.master_for("mymaster"), sentinel.slave_for("mymaster")
            assert await primary.get("key:7") == b"key:7"
            await primary.set("by", "sentinel")

            async def arrived() -> bool:
                return bool(await replica.get("by") == b"sentinel")

            await eventually(arrived, "the replica has what the primary was given")
            await primary.aclose()
            await replica.aclose()
        reading = await client.get(SERVICES, namespace, "redis-standby-tom-ro")
        async with linked(f"{reading['spec']['clusterIP']}:6379", PASSWORD) as link:  # type: ignore[index, call-overload]
            assert await link.call("GET", "by", timeout_s=5) == b"sentinel"
            role = await link.call("ROLE", timeout_s=5)
        assert isinstance(role, list)
        assert role[0] == b"slave"


async def test_clients_by_service_and_by_sentinel_keep_working_through_a_failover(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace, replicas=2))
        resource = await subject.until_ready()
        before = await subject.primary()
        service = ServiceWrites(resource["status"]["clusterIP"], PASSWORD)

        async with (
            sentinel_client(await sentinels_of(subject), PASSWORD) as sentinel,
            sentinel.master_for("mymaster") as primary,
            writing(Writer("service"), service) as one,
            writing(Writer("sentinel"), lambda number: primary.set(f"sentinel:{number}", number)) as two,
        ):
            await eventually(lambda: wrote(one, two, 50), "both write")

            await crash(subject, before)

            async def moved() -> bool:
                return await subject.primary() != before

            await eventually(moved, "another pod is the primary")
            counts = len(one.acknowledged), len(two.acknowledged)
            await eventually(lambda: wrote(one, two, max(counts) + 50), "both write again")
        resource = await subject.until_ready()
        service.close()

        roles = {name: await role_of(pod) for name, pod in (await subject.pods()).items()}
        assert sorted(roles.values()) == ["master", "slave", "slave"]
        assert roles[before] == "slave"
        labels = {name: pod["metadata"]["labels"][ROLE_LABEL] for name, pod in (await subject.pods()).items()}
        assert [name for name, role in labels.items() if role == "primary"] == [await subject.primary()]


async def wrote(one: Writer, two: Writer, count: int) -> bool:
    return len(one.acknowledged) >= count and len(two.acknowledged) >= count


async def role_of(pod: Obj, password: str = PASSWORD) -> str:
    async with linked(f"{pod['status']['podIP']}:6379", password) as link:
        role = await link.call("ROLE", timeout_s=5)
    assert isinstance(role, list)
    return str(role[0], "ascii")


async def test_a_primary_whose_pod_is_deleted_is_replaced_and_nothing_stays_wrong(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace))
        resource = await subject.until_ready()
        await write_and_read(resource["status"]["clusterIP"], PASSWORD)
        uid = (await subject.pods())[FIRST]["metadata"]["uid"]

        await client.delete(PODS, namespace, FIRST)

        async def moved() -> bool:
            pods = await subject.pods()
            return await subject.primary() == SECOND and pods.get(FIRST, {}).get("metadata", {}).get("uid") != uid

        await eventually(moved, "the standby is the primary, and the pod is made again")
        resource = await subject.until_ready()
        async with linked(resource["status"]["clusterIP"], PASSWORD) as link:
            assert await link.call("DBSIZE", timeout_s=5) == 100
        pods = await subject.pods()
        known = {pod["status"]["podIP"] for pod in pods.values()}

        async def sentinels_know_only_those() -> bool:
            for host, port in await sentinels_of(subject):
                async with linked(f"{host}:{port}", "") as link:
                    rows = await link.call("SENTINEL", "REPLICAS", "mymaster", timeout_s=5)
                assert isinstance(rows, list)
                if {row[row.index(b"ip") + 1].decode() for row in rows} - known:
                    return False
            return True

        await eventually(sentinels_know_only_those, "no Sentinel knows an address that is no more")


async def test_sentinels_survive_restarts_and_new_addresses(kube: Kube, client: Client, namespace: str) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace))
        await subject.until_ready()
        before = {name: pod["metadata"]["uid"] for name, pod in (await subject.pods("sentinel")).items()}

        await asyncio.gather(*(client.delete(PODS, namespace, name) for name in before))

        async def made_again() -> bool:
            pods = await subject.pods("sentinel")
            return set(pods) == set(before) and not any(
                pods[name]["metadata"]["uid"] == uid for name, uid in before.items()
            )

        await eventually(made_again, "all Sentinels are new")
        await subject.until_ready()
        for host, port in await sentinels_of(subject):
            async with linked(f"{host}:{port}", "") as link:
                others = await link.call("SENTINEL", "SENTINELS", "mymaster", timeout_s=5)
                assert isinstance(others, list)
                assert len(others) == 2
        assert "StepFailed" not in {event["reason"] for event in await subject.events()}


async def test_sentinels_that_ask_for_a_password_work_together(kube: Kube, client: Client, namespace: str) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace, sentinel={"auth": True}))
        await subject.until_ready()
        addresses = await sentinels_of(subject)

        async with (
            sentinel_client(addresses, PASSWORD, sentinel_password=PASSWORD) as sentinel,
            sentinel.master_for("mymaster") as primary,
        ):
            assert await primary.ping()
        with pytest.raises(Exception, match="NOAUTH"):
            async with linked(f"{addresses[0][0]}:26379", ""):
                pass

        await crash(subject, FIRST)

        async def moved() -> bool:
            return await subject.primary() == SECOND

        await eventually(moved, "the standby is the primary")
        await subject.until_ready()


async def test_a_standalone_serves_survives_a_restart_and_leaves_nothing(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standalone(namespace))
        resource = await subject.until_ready()
        await write_and_read(resource["status"]["clusterIP"], "abc")

        await crash(subject, "redis-hare-0")

        async def restarted() -> bool:
            (pod,) = (await subject.pods()).values()
            statuses = pod["status"]["containerStatuses"]
            return any(each["restartCount"] and each["ready"] for each in statuses if each["name"] == "redis")

        await eventually(restarted, "Redis runs again")
        resource = await subject.until_ready()
        async with linked(resource["status"]["clusterIP"], "abc") as link:
            assert await link.call("DBSIZE", timeout_s=5) == 100
        await subject.delete()
        await eventually(lambda: nothing_left(client, namespace), "everything of the resource is gone")


async def test_a_statefulset_of_the_former_operator_is_left_alone_with_all_that_belongs_to_it(
    kube: Kube, client: Client, namespace: str
) -> None:
    labels = {"CLUSTER": "redis-standby-tom"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "redis", "image": "redis:7.0"}]}}
    theirs: Obj = {
        "metadata": {"name": "redis-standby-tom", "namespace": namespace},
        "spec": {"serviceName": "x", "replicas": 1, "selector": {"matchLabels": labels}, "template": pod},
    }
    await client.create(STATEFULSETS, theirs)
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace))

        async def named() -> bool:
            accepted = condition(await subject.get(), "Accepted")
            return bool(accepted.get("reason") == "no_foreign_objects" and "redis-standby-tom" in accepted["message"])

        await eventually(named, "the condition names it")
        assert await client.find(CONFIGMAPS, namespace, "redis-standby-tom") is None
        await client.delete(STATEFULSETS, namespace, "redis-standby-tom", propagation="Foreground")
        await subject.until_ready()


@pytest.mark.long  # a cluster's peace is watched in `make test`
async def test_in_peace_a_standby_is_not_written_to(kube: Kube, client: Client, namespace: str) -> None:
    async with Operator(kube, namespace) as operator:
        subject = await Subject.create(client, standby(namespace))
        await subject.until_ready()
        await Subject.create(client, standalone(namespace))
        await eventually(lambda: quiet(operator), "the operator has stopped writing", pause_s=3.0)
        before = await operator.writes()

        async def somebody_wrote() -> str:
            now = await operator.writes()
            return ", ".join(name for name in now if now[name] != before.get(name))

        await never(somebody_wrote, "written in peace", for_s=20.0, pause_s=2.0)  # a pass comes every fifteen


async def quiet(operator: Operator) -> bool:
    before = await operator.writes()
    await asyncio.sleep(2.0)  # the measure itself: nothing is written for so long
    return before == await operator.writes()


async def test_passwords_of_a_standby_are_in_secrets_and_in_nothing_else(
    kube: Kube, client: Client, namespace: str
) -> None:
    secret = "inner-vault-4713"
    async with Operator(kube, namespace) as operator:
        subject = await Subject.create(client, standby(namespace, secret=secret, sentinel={"auth": True}))
        resource = await subject.until_ready()
        await write_and_read(resource["status"]["clusterIP"], secret, count=10)

        places = {"operator log": operator.log.read_text(), "status": json.dumps(resource["status"])}
        for kind in (CONFIGMAPS, EVENTS, PODS, STATEFULSETS, SERVICES):
            places[str(kind)] = json.dumps(await client.list(kind, namespace))
        for process in Path("/proc").glob("[0-9]*/cmdline"):  # noqa: ASYNC240 procfs does not block
            try:
                places[str(process)] = process.read_bytes().decode("utf-8", "replace")
            except OSError:
                continue  # it ended while we looked
        for name in (*(await subject.pods()), *(await subject.pods("sentinel"))):
            code, out, err = await kube.kubectl("logs", "-n", namespace, name, "--all-containers")
            assert code == 0, err
            places[f"log of {name}"] = out

        assert [place for place, text in places.items() if secret in text] == []
        assert len(await client.list(SECRETS, namespace, label_selector=MANAGED_BY_SELECTOR)) == 1
