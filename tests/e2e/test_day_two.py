"""What owners change while Redis runs: capacity, net mode, pauses, passwords by reference, volumes that stay or go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tdredis.kube.client import Client
from tdredis.kube.resources import CONFIGMAPS, PERSISTENTVOLUMECLAIMS, SECRETS, SERVICES
from tests.e2e.leftovers import nothing_left
from tests.e2e.reach import ServiceWrites, Writer, linked, write_and_read, writing
from tests.e2e.test_faults import A_CLUSTER
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, sample, standalone, standby
from tests.kit.pairs import pairs

MIB = 2**20
Manifest = Callable[..., Obj]
ALL = {"cluster": sample, "standby": standby, "standalone": standalone}
OF_BALANCERS: Obj = {
    "annotations": {"example.com/internal": "true"},
    "loadBalancerClass": "example.com/l4",
    "loadBalancerSourceRanges": ["10.0.0.0/8"],
    "externalTrafficPolicy": "Local",
}


def kinds(*short: str) -> pytest.MarkDecorator:
    """All of them; *short* are those that `make test` tries: what a wish comes to is decided by the same code."""
    found = [pytest.param(make, id=name, marks=() if name in short else pytest.mark.long) for name, make in ALL.items()]
    return pytest.mark.parametrize("manifest", found)


def client_password(manifest: Obj) -> str:
    """What clients say at the door: the proxy's password of a cluster, else Redis' own."""
    spec = manifest["spec"]
    password: str = spec.get("proxysecret") or spec["secret"]
    return password


def shards(manifest: Obj) -> int:
    size: int = manifest["spec"].get("size", 1)
    return size


async def settings_of(subject: Subject, parameter: str) -> set[int]:
    """CONFIG GET of every Redis pod."""
    password = (await subject.get())["spec"]["secret"]
    found = set()
    for pod in (await subject.pods()).values():
        async with linked(f"{pod['status']['podIP']}:6379", password) as link:
            reply = await link.call("CONFIG", "GET", parameter, timeout_s=5)
        assert isinstance(reply, list)
        found.add(int(reply[1]))
    return found


async def starts(subject: Subject) -> dict[str, tuple[str, int]]:
    """By Redis pod: which one it is, and how often its containers were started anew."""
    return {
        name: (pod["metadata"]["uid"], sum(each["restartCount"] for each in pod["status"]["containerStatuses"]))
        for name, pod in (await subject.pods()).items()
    }


@kinds("cluster", "standalone")
async def test_capacity_changes_without_a_restart_and_is_persisted(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    made = manifest(namespace)
    async with Operator(kube, namespace):
        subject = await Subject.create(client, made)
        await subject.until_ready()
        before = await starts(subject)
        wanted = made["spec"]["capacity"] * 2

        await subject.change(capacity=wanted)

        resource = await subject.until_ready()
        assert resource["status"]["capacity"] == wanted
        each = wanted // shards(made)
        assert await settings_of(subject, "maxmemory") == {each * MIB}
        assert await starts(subject) == before
        configured: Obj = await client.get(CONFIGMAPS, namespace, subject.name)
        assert f"maxmemory {each}mb\n" in configured["data"]["redis.conf"]


@kinds("standby")
async def test_capacity_below_what_is_used_is_refused_with_what_to_write(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    made = manifest(namespace)
    async with Operator(kube, namespace):
        subject = await Subject.create(client, made)
        resource = await subject.until_ready()
        async with linked(resource["status"]["clusterIP"], client_password(made)) as link:
            values = [("SET", f"large:{number}", b"x" * MIB) for number in range(24 * shards(made))]
            assert set(await link.call_all(values, timeout_s=60)) == {b"OK"}

        await subject.change(capacity=17 * shards(made))

        async def refused() -> bool:
            accepted = condition(await subject.get(), "Accepted")
            return accepted.get("reason") == "used_memory_fits" and "write capacity: " in accepted["message"]

        await eventually(refused, "the condition says what to write")
        assert await settings_of(subject, "maxmemory") == {made["spec"]["capacity"] // shards(made) * MIB}
        assert (await subject.get())["status"]["capacity"] == made["spec"]["capacity"]

        await subject.change(capacity=made["spec"]["capacity"])

        async def accepted() -> bool:
            return bool(condition(await subject.get(), "Accepted").get("status") == "True")

        await eventually(accepted, "taking the wish back ends the refusal")


def client_service(subject: Subject) -> str:
    return f"predixy-{subject.name}" if subject.kind.kind == "RedisCluster" else subject.name


@A_CLUSTER
async def test_the_net_mode_is_switched_live_and_the_other_path_is_not_dropped(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    made = manifest(namespace, vip="192.0.2.7")
    async with Operator(kube, namespace):
        subject = await Subject.create(client, made)
        resource = await subject.until_ready()
        inside = ServiceWrites(resource["status"]["clusterIP"], client_password(made))
        async with writing(Writer("cluster IP"), inside) as writer:
            await eventually(lambda: _wrote(writer, 20), "the cluster IP is written through")
            before = writer.failures  # kube-proxy may hear of the endpoints a moment after Ready
            for mode in ("NodePort", "ClusterIP", "LoadBalancer", "NodePort"):
                await subject.change(netmode=mode, service=OF_BALANCERS if mode == "LoadBalancer" else None)

                async def switched(mode: str = mode) -> str | None:
                    service: Obj = await client.get(SERVICES, namespace, client_service(subject))
                    if service["spec"]["type"] != mode:
                        return None
                    external: str = (await subject.get())["status"].get("externalip", "")
                    port = service["spec"]["ports"][0].get("nodePort")
                    if mode == "NodePort":
                        return external if external == f"192.0.2.7:{port}" else None
                    if mode == "LoadBalancer":
                        assert said_of(service) == OF_BALANCERS
                        return external if external == f"{await balanced(client, service)}:6379" else None
                    return "none" if not external else None

                await eventually(switched, f"the Service is a {mode}, and status says so")
            service: Obj = await client.get(SERVICES, namespace, client_service(subject))
            assert said_of(service) == {"externalTrafficPolicy": "Cluster"}
            address = f"{await node_address(subject)}:{service['spec']['ports'][0]['nodePort']}"
            await write_and_read(address, client_password(made), count=20)
            written = len(writer.acknowledged)
            await eventually(lambda: _wrote(writer, written + 20), "the cluster IP is still written through")
        inside.close()
        assert writer.failures == before


def said_of(service: Obj) -> Obj:
    """What spec.service may say, as *service* has it."""
    found: Obj = {name: service["spec"][name] for name in OF_BALANCERS if name in service["spec"]}
    named = {name: value for name, value in service["metadata"].get("annotations", {}).items() if "example.com" in name}
    return {**found, "annotations": named} if named else found


async def _wrote(writer: Writer, count: int) -> bool:
    return len(writer.acknowledged) >= count


async def node_address(subject: Subject) -> str:
    """An address of a node, where NodePorts answer."""
    pod = next(iter((await subject.pods()).values()))
    address: str = pod["status"]["hostIP"]
    return address


async def balanced(client: Client, service: Obj) -> str:
    """The address that a load balancer gave the Service. Where there is none, the test does what a cloud's would."""
    ingress = service["status"].get("loadBalancer", {}).get("ingress") or [{"ip": "192.0.2.9"}]
    if not service["status"].get("loadBalancer"):
        given: Obj = {"status": {"loadBalancer": {"ingress": ingress}}}
        metadata = service["metadata"]
        await client.patch(SERVICES, metadata["namespace"], metadata["name"], given, subresource="status")
    address: str = ingress[0]["ip"]
    return address


@kinds("cluster")
async def test_the_password_may_be_kept_in_a_secret_that_comes_later(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    reference = {"name": "mine", "key": "redis"}
    proxy = {"proxysecret": None, "proxySecretRef": {"name": "mine"}} if manifest is sample else {}
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace, secret=None, secretRef=reference, **proxy))

        async def waits() -> bool:
            accepted = condition(await subject.get(), "Accepted")
            return "there is no Secret mine: create it, with the key" in accepted.get("message", "")

        await eventually(waits, "the condition says which Secret is missing")
        assert await subject.pods() == {}
        secret: Obj = {
            "metadata": {"name": "mine", "namespace": namespace},
            "stringData": {"redis": "by-reference", "password": "at-the-door"},
        }
        await client.create(SECRETS, secret)

        resource = await subject.until_ready()
        password = "at-the-door" if manifest is sample else "by-reference"
        await write_and_read(resource["status"]["clusterIP"], password, count=20)


@kinds("standby")
async def test_a_paused_instance_is_left_alone_and_says_so(
    kube: Kube, client: Client, namespace: str, manifest: Manifest
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        await subject.change(paused=True)

        async def suspended() -> bool:
            resource = await subject.get()
            return resource["status"]["phase"] == "Suspended" and condition(resource, "Paused").get("status") == "True"

        await eventually(suspended, "status says that it is paused")
        await client.delete(CONFIGMAPS, namespace, subject.name)
        await subject.change(capacity=0)

        async def seen() -> bool:
            resource = await subject.get()
            current: bool = resource["status"]["observedGeneration"] == resource["metadata"]["generation"]
            return current

        await eventually(seen, "the change is seen")
        assert await client.find(CONFIGMAPS, namespace, subject.name) is None

        await subject.change(paused=False)

        async def made_again() -> bool:
            return await client.find(CONFIGMAPS, namespace, subject.name) is not None

        await eventually(made_again, "what was missing is made again")
        await subject.until_ready()


@pytest.mark.parametrize(("manifest", "retain"), pairs(ALL, {"retain": True, "delete": False}))
async def test_volumes_stay_or_go_with_the_resource_as_storage_says(
    kube: Kube, client: Client, namespace: str, manifest: Manifest, *, retain: bool
) -> None:
    storage = {"size": "1Gi", "retain": retain}
    async with Operator(kube, namespace):
        subject = await Subject.create(client, manifest(namespace, storageclass="standard", storage=storage))
        resource = await subject.until_ready()
        password = client_password(manifest(namespace))
        await write_and_read(resource["status"]["clusterIP"], password, count=20)

        async def claims() -> list[Obj]:
            return await client.list(PERSISTENTVOLUMECLAIMS, namespace)

        count = len(await subject.pods())
        assert len(await claims()) == count

        async def owned() -> bool:
            owners = [each["metadata"].get("ownerReferences", []) for each in await claims()]
            return all(bool(mine) is not retain for mine in owners)

        await eventually(owned, "the claims belong to the resource, or to nobody")
        await subject.delete()
        await eventually(lambda: nothing_left(client, namespace), "everything else of the resource is gone")

        async def left() -> bool:
            return len(await claims()) == (count if retain else 0)

        await eventually(left, "claims stay or go")
        if retain:
            again = await Subject.create(client, manifest(namespace, storageclass="standard", storage=storage))
            resource = await again.until_ready()
            async with linked(resource["status"]["clusterIP"], password) as link:
                values = await asyncio.gather(*(link.call("GET", f"key:{n}", timeout_s=10) for n in range(20)))
            assert values == [f"key:{n}".encode() for n in range(20)]
