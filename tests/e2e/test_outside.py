"""A RedisCluster without a proxy, used from outside: every node is announced where its own Service leads, and back."""

from __future__ import annotations

import os

from redis.asyncio.cluster import RedisCluster

from tdredis.kube.client import Client
from tdredis.kube.resources import SERVICES
from tests.e2e.reach import linked
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, sample

PASSWORD = "abc"
# Where NodePorts answer on localkube; elsewhere each node has its own.
VIP = "" if os.environ.get("E2E_KUBECONFIG") else "127.0.0.1"
KEYS = tuple(f"key:{number}" for number in range(60))
Slots = list[tuple[int, int, str]]


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
            services = await client.list(SERVICES, namespace, label_selector="cache.tongdun.net/external=true")
            return await announced(subject) == own and not services

        await eventually(inside, "every node says the pods' addresses, and their Services are gone")
        await subject.until_ready()
        assert await do_with_keys(await pod_address(subject), "GET") == {b"1"}
