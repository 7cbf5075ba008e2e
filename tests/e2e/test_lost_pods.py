"""A pod of a RedisCluster that is made anew: everybody knows its new address, and nobody the old one any more."""

from __future__ import annotations

from tdredis.kube.client import Client
from tdredis.kube.resources import ENDPOINTS, ENDPOINTSLICES, PODS
from tests.e2e.reach import linked, write_and_read
from tests.e2e.world import Kube, Obj, Operator, Subject, eventually, sample

PASSWORD = "abc"


async def delete_pod(subject: Subject, name: str) -> None:
    """Deletes it, and waits until it is another."""
    uid = (await subject.pods())[name]["metadata"]["uid"]
    await subject.client.delete(PODS, subject.namespace, name)

    async def made_anew() -> bool:
        pod = (await subject.pods()).get(name)
        return pod is not None and pod["metadata"]["uid"] != uid

    await eventually(made_anew, "the pod is made anew")


async def addresses(subject: Subject) -> dict[str, str]:
    """By Redis pod; "" while it has none."""
    return {name: pod["status"].get("podIP", "") for name, pod in (await subject.pods()).items()}


async def known_addresses(subject: Subject) -> list[set[str]]:
    """What each process says of whom it knows (CLUSTER NODES), itself included."""
    found = []
    for address in (await addresses(subject)).values():
        async with linked(f"{address}:6379", PASSWORD) as link:
            reply = await link.call("CLUSTER", "NODES", timeout_s=5)
        assert isinstance(reply, bytes)
        found.append({line.split()[1].partition(":")[0] for line in reply.decode().splitlines()})
    return found


async def led_to(subject: Subject) -> set[str]:
    """Addresses behind Service <name>."""
    if ENDPOINTSLICES.key not in await subject.client.discover():
        single: Obj = await subject.client.get(ENDPOINTS, subject.namespace, subject.name)
        return {each["ip"] for subset in single.get("subsets", []) for each in subset.get("addresses", [])}
    selector = f"kubernetes.io/service-name={subject.name}"
    slices: list[Obj] = await subject.client.list(ENDPOINTSLICES, subject.namespace, label_selector=selector)
    return {address for each in slices for end in each["endpoints"] for address in end["addresses"]}


async def reads_all(address: str) -> bool:
    async with linked(address, PASSWORD) as link:
        values = await link.call_all([("GET", f"key:{number}") for number in range(100)], timeout_s=10)
    return values == [f"key:{number}".encode() for number in range(100)]


async def test_a_pod_that_is_made_anew_rejoins_under_its_new_address_and_nobody_remembers_the_old_one(
    kube: Kube, client: Client, namespace: str
) -> None:
    async with Operator(kube, namespace):
        subject = await Subject.create(client, sample(namespace))
        resource = await subject.until_ready()
        await write_and_read(resource["status"]["clusterIP"], PASSWORD)
        slots = resource["status"]["slots"]
        primary: str = resource["status"]["shards"][0]["primary"]

        await delete_pod(subject, primary)

        async def all_know_all() -> bool:
            known = await known_addresses(subject)
            return (
                len(known) == 6
                and all(each == known[0] for each in known)
                and known[0] == set((await addresses(subject)).values())
            )

        resource = await subject.until_ready()
        await eventually(all_know_all, "everybody knows the present addresses and no other")
        assert resource["status"]["slots"] == slots
        address = resource["status"]["clusterIP"]
        await eventually(lambda: reads_all(address), "the proxy has heard of it, and every key is there")

        async def owners_only() -> bool:
            owners = [shard["primary"] for shard in (await subject.get())["status"]["shards"]]
            return await led_to(subject) == {(await addresses(subject))[name] for name in owners}

        await eventually(owners_only, "the Service leads to the pods that own slots, and to no other")
