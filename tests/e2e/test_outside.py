"""Clients outside who are sent from pod to pod: every process is announced where its own Service leads, and back."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from redis.asyncio.cluster import RedisCluster

from tdredis.kube.client import Client
from tdredis.kube.resources import SERVICES
from tdredis.redis.facts import parse_info, parse_replication
from tests.e2e.faults import crash
from tests.e2e.needs import LOCALKUBE
from tests.e2e.reach import Writer, linked, sentinel_client, write_and_read, writing
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, sample, standby

PASSWORD = "abc"
EXTERNAL = "cache.tongdun.net/external=true"
# Where NodePorts answer on localkube; elsewhere each node has its own.
VIP = "" if os.environ.get("E2E_KUBECONFIG") else "127.0.0.1"
KEYS = tuple(f"key:{number}" for number in range(60))
Manifest = Callable[[str], Obj]
Slots = list[tuple[int, int, str]]


def cluster_by_node(namespace: str) -> Obj:
    return sample(namespace, netmode="ClusterIP", proxy={"enabled": False})


def standby_by_sentinel(namespace: str) -> Obj:
    return standby(namespace, sentinel={"external": True})


async def slots_seen_from(address: str) -> Slots:
    """CLUSTER SLOTS: first and last slot, and the primary's "host:port"."""
    async with linked(address, PASSWORD) as link:
        reply = await link.call("CLUSTER", "SLOTS", timeout_s=5)
    assert isinstance(reply, list)
    return [(row[0], row[1], f"{bytes(row[2][0]).decode()}:{row[2][1]}") for row in reply]


async def do_with_keys(address: str, *command: str) -> set[object]:
    """By the client library's own way: it asks one node, and goes to where each key is. The different answers."""
    host, _, port = address.rpartition(":")
    async with RedisCluster(host=host, port=int(port), password=PASSWORD) as cluster:
        return {await cluster.execute_command(command[0], key, *command[1:]) for key in KEYS}


async def pod_address(subject: Subject) -> str:
    pod = (await subject.pods())[f"{subject.name}-0-0"]
    return f"{pod['status']['podIP']}:6379"


async def announced(subject: Subject) -> set[str]:
    """Where each pod says that the primaries are; one set over all of them."""
    found: set[str] = set()
    for pod in (await subject.pods()).values():
        slots = await slots_seen_from(f"{pod['status']['podIP']}:6379")
        found |= {where for _, _, where in slots}
    return found


async def node_ports(client: Client, subject: Subject) -> set[str]:
    """ "node:port" of the first pod of each shard, by its own Service."""
    found = set()
    for name, pod in (await subject.pods()).items():
        service: Obj = await client.get(SERVICES, subject.namespace, name)
        (port,) = (each["nodePort"] for each in service["spec"]["ports"] if each["name"] == "redis")
        if name.endswith("-0"):
            found.add(f"{VIP or pod['status']['hostIP']}:{port}")
    return found


async def test_cluster_clients_from_outside_find_every_shard_and_switching_back_loses_nothing(
    kube: Kube, client: Client, namespace: str
) -> None:
    made = sample(namespace, netmode="ClusterIP", vip=VIP or None, proxy={"enabled": False})
    async with Operator(kube, namespace):
        subject = await Subject.create(client, made)
        await subject.until_ready()
        assert await do_with_keys(await pod_address(subject), "SET", "1") == {True}

        await subject.change(netmode="NodePort")

        async def outside() -> bool:
            service: Obj = await client.get(SERVICES, namespace, subject.name)
            if service["spec"]["type"] != "NodePort":
                return False
            return await announced(subject) == await node_ports(client, subject)

        await eventually(outside, "every node says the addresses of the pods' own Services")
        await subject.until_ready()
        entrance = min(await node_ports(client, subject))
        assert await do_with_keys(entrance, "GET") == {b"1"}
        resource = await subject.get()
        assert [condition(resource, kind)["status"] for kind in ("Ready", "Accepted")] == ["True", "True"]

        await subject.change(netmode="ClusterIP")

        async def inside() -> bool:
            pods = await subject.pods()
            own = {f"{pod['status']['podIP']}:6379" for name, pod in pods.items() if name.endswith("-0")}
            services = await client.list(SERVICES, namespace, label_selector=EXTERNAL)
            return await announced(subject) == own and not services

        await eventually(inside, "every node says the pods' addresses, and their Services are gone")
        await subject.until_ready()
        assert await do_with_keys(await pod_address(subject), "GET") == {b"1"}


async def primary_by_sentinel(subject: Subject) -> tuple[str, int] | None:
    """Where every Sentinel says that the primary is; None: they do not agree."""
    said = set()
    for pod in (await subject.pods("sentinel")).values():
        async with linked(f"{pod['status']['podIP']}:26379", "") as link:
            reply = await link.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster", timeout_s=5)
        said.add(tuple(reply) if isinstance(reply, list) else None)
    (first, *others) = said
    return (first[0].decode(), int(first[1])) if first and not others else None


async def connects_too_early(subject: Subject) -> None:
    """The replica connects before it has been told where it is from outside, as one that comes back may."""
    primary = await subject.primary()
    (pod,) = (pod for name, pod in (await subject.pods()).items() if name != primary)
    async with linked(f"{pod['status']['podIP']}:6379", "123") as link:
        for command in (
            ("CONFIG", "SET", "replica-announce-ip", pod["status"]["podIP"]),
            ("CONFIG", "SET", "replica-announce-port", 0),
            ("CLIENT", "KILL", "TYPE", "master"),
        ):
            assert not isinstance(await link.call(*command, timeout_s=5), Exception)


async def connected_again(subject: Subject) -> bool:
    return any(event["reason"] == "ReplicaReconnected" for event in await subject.events())


async def replicas_of_primary(subject: Subject) -> frozenset[tuple[str, int]]:
    """Where it says that they are."""
    ip = (await subject.pods())[await subject.primary()]["status"]["podIP"]
    async with linked(f"{ip}:6379", "123") as link:
        text = await link.call("INFO", "replication", timeout_s=5)
    assert isinstance(text, bytes)
    return parse_replication(parse_info(text.decode())).replicas


async def replicas_are_outside(subject: Subject) -> bool:
    primary = await subject.primary()
    services: list[Obj] = await subject.client.list(SERVICES, subject.namespace, label_selector=EXTERNAL)
    ports = {service["metadata"]["name"]: service["spec"]["ports"][0]["nodePort"] for service in services}
    wanted = {port for name, port in ports.items() if name.startswith(subject.name) and name != primary}
    return {port for _, port in await replicas_of_primary(subject)} == wanted


async def service_of(client: Client, namespace: str, name: str) -> Obj:
    return await client.get(SERVICES, namespace, name)


async def test_sentinel_users_outside_are_led_to_the_primary_through_a_failover_and_switching_back_loses_nothing(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standby(namespace, sentinel={"external": True}))
        resource = await subject.until_ready()
        await write_and_read(resource["status"]["clusterIP"], "123", count=50)

        await subject.change(netmode="NodePort")

        async def led_outside() -> bool:
            before = await subject.primary()
            service = await client.find(SERVICES, namespace, before)
            ports: list[Obj] = service["spec"]["ports"] if service else []  # type: ignore[index, call-overload, assignment]
            host = (await subject.pods())[before]["status"]["hostIP"]
            return bool(ports) and await primary_by_sentinel(subject) == (host, ports[0]["nodePort"])

        await eventually(led_outside, "all Sentinels lead to the primary's own node port")
        await subject.until_ready()
        await connects_too_early(subject)
        await subject.touch()
        await eventually(lambda: connected_again(subject), "it has been made to connect again")
        await eventually(lambda: replicas_are_outside(subject), "the primary knows it by its node port")
        await subject.until_ready()
        host = (await subject.pods())[await subject.primary()]["status"]["hostIP"]
        port = (await service_of(client, namespace, "sentinel-standby-tom"))["spec"]["ports"][0]["nodePort"]
        before = await subject.primary()
        async with (
            sentinel_client([(host, port)], "123") as sentinel,
            sentinel.master_for("mymaster") as primary,
            writing(Writer("outside"), lambda number: primary.set(f"outside:{number}", number)) as writer,
        ):
            await eventually(lambda: wrote(writer, 20), "a client from outside writes")
            await crash(subject, before)

            async def moved() -> bool:
                return await subject.primary() not in ("", before)

            await eventually(moved, "another pod is the primary")
            written = len(writer.acknowledged)
            await eventually(lambda: wrote(writer, written + 20), "it writes again")
        await subject.until_ready()

        await subject.change(netmode="ClusterIP")

        async def inside_again() -> bool:
            ip = (await subject.pods())[await subject.primary()]["status"]["podIP"]
            return await primary_by_sentinel(subject) == (ip, 6379)

        await eventually(inside_again, "all Sentinels lead to the primary's pod")
        resource = await subject.until_ready()
        async with linked(resource["status"]["clusterIP"], "123") as link:
            assert await link.call("GET", "key:7", timeout_s=5) == b"key:7"
            assert await link.call("GET", f"outside:{written}", timeout_s=5) == str(written).encode()


async def wrote(writer: Writer, count: int) -> bool:
    return len(writer.acknowledged) >= count


NOWHERE = "127.99.99.99"  # nobody's: on localkube its node ports answer on 127.0.0.1 alone


@pytest.mark.needs(LOCALKUBE)
@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(cluster_by_node, id="cluster", marks=pytest.mark.long),
        pytest.param(standby_by_sentinel, id="standby"),
    ],
)
async def test_a_vip_that_leads_nowhere_is_not_given_out_and_another_is(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        before = await subject.until_ready()

        await subject.change(netmode="NodePort", vip=NOWHERE)

        async def held() -> bool:
            accepted = condition(await subject.get(), "Accepted")
            return accepted.get("reason") == "announced_addresses_lead_to_pods" and NOWHERE in accepted["message"]

        await eventually(held, "the condition says that nobody listens there")
        resource = await subject.until_ready()
        assert resource["status"]["shards"] == before["status"]["shards"], "every replica is in sync"
        assert resource["status"].get("externalip", "").startswith(NOWHERE)

        await subject.change(vip=VIP or None)

        async def given_out() -> bool:
            return condition(await subject.get(), "Accepted").get("status") == "True"

        await eventually(given_out, "the right one is given out")
        await subject.until_ready()
