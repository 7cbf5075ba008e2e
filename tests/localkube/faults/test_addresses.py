"""Claims: what an address means when its pod is gone, and that a fault gives two pods each other's."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from typing import Any

import pytest

from localkube.cluster import Cluster
from localkube.faults import BadFault
from localkube.kubelet.backoff import Pace
from tests.localkube.faults.conftest import DEADLINE_S, House, eventually

Obj = dict[str, Any]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="packet rules need root")
IDLE = "exec sleep 1000"


async def knock(address: str, deadline_s: float = 15.0) -> tuple[int, float]:
    """What a connection to the address meets, as an errno, and after how many seconds."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(deadline_s):
            _, writer = await asyncio.open_connection(address, 6379)
    except TimeoutError:
        return errno.ETIMEDOUT, deadline_s
    except OSError as error:
        return error.errno or 0, time.monotonic() - began
    writer.close()
    return 0, time.monotonic() - began


async def gone(house: House, name: str = "p") -> str:
    """The address of a pod that was there."""
    address = await house.run(name, IDLE)
    house.cluster.registry.delete("pods", "default", name, grace_s=0)
    await until_free(house.cluster, address)
    return address


async def until_free(cluster: Cluster, address: str) -> None:
    """A pod's object may be gone before its processes are."""
    async with asyncio.timeout(DEADLINE_S):
        while address in cluster.nodes.addresses.used:
            await cluster.nodes.addresses.until_freed()


@as_root
async def test_an_address_that_is_gone_answers_nothing_for_three_seconds(house: House) -> None:
    address = await gone(house)
    other = address.rpartition(".")[0] + ".250"  # nobody ever had it

    (first, first_s), (never, never_s) = await asyncio.gather(knock(address), knock(other))

    assert (first, never) == (errno.EHOSTUNREACH, errno.EHOSTUNREACH)
    assert 2.9 < first_s < 10
    assert 2.9 < never_s < 10


@as_root
async def test_a_pod_that_lives_refuses_at_once_on_a_port_that_nobody_listens_on(house: House) -> None:
    address = await house.run("p", IDLE)

    assert (await knock(address))[0] == errno.ECONNREFUSED
    assert (await knock(address.rpartition(".")[0] + ".1"))[0] == errno.ECONNREFUSED  # its node


@as_root
async def test_what_is_sent_on_a_connection_to_a_pod_that_went_is_lost(house: House) -> None:
    address = await gone(house)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((address, 6379))
        sender.send(b"hello")

        with pytest.raises(BlockingIOError):
            sender.recv(1, socket.MSG_DONTWAIT)


@as_root
async def test_a_fault_makes_such_addresses_refuse(house: House) -> None:
    address = await gone(house)

    async with house.faults.gone_addresses_refused():
        assert (await knock(address))[0] == errno.ECONNREFUSED
        with pytest.raises(BadFault, match="already"):
            async with house.faults.gone_addresses_refused():
                pass
    assert (await knock(address))[0] == errno.EHOSTUNREACH


async def test_it_is_a_setting() -> None:
    async with Cluster(nodes=1, gone_addresses="refused") as cluster:
        found = await knock(f"127.{cluster.block}.1.77")

    assert found[0] == errno.ECONNREFUSED


async def test_given_out_again_at_once_an_address_is_the_next_pods() -> None:
    async with Cluster(nodes=1, address_reuse=True, pace=Pace(first_s=0.3, longest_s=2.0)) as cluster:
        house = House(cluster, None)  # type: ignore[arg-type] # nothing is asked over HTTP
        former = await gone(house)

        assert await house.run("q", IDLE) == former


def statefulset(namespace: str, name: str) -> Obj:
    container = {"name": "c", "image": "busybox", "command": ["sh", "-c", IDLE]}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }


async def test_two_pods_exchange_addresses_across_namespaces_and_nodes(house: House) -> None:
    registry = house.cluster.registry
    registry.create("namespaces", {"metadata": {"name": "other"}})
    keys = [("default", "a-0"), ("other", "b-0")]

    def running() -> list[tuple[str, str]]:
        """uid and address of those pods that run."""
        found = [registry.find("pods", *key) for key in keys]
        return [
            (pod["metadata"]["uid"], pod["status"]["podIP"])
            for pod in found
            if pod is not None and "deletionTimestamp" not in pod["metadata"] and pod["status"].get("podIP")
        ]

    for namespace, name in (("default", "a"), ("other", "b")):
        registry.create("statefulsets.apps", statefulset(namespace, name))
    await house.until(lambda: len(running()) == 2)
    [(first, first_ip), (second, second_ip)] = running()

    house.faults.exchange_addresses("a-0", "other/b-0")
    await house.until(lambda: len(running()) == 2 and not {first, second} & {uid for uid, _ in running()})

    assert [address for _, address in running()] == [second_ip, first_ip]


@as_root
@pytest.mark.long
async def test_a_node_that_is_cut_off_takes_the_address_with_it_that_a_pod_has_of_another_node(house: House) -> None:
    server = "exec redis-server --bind $(hostname -i) --port 6379 --protected-mode no --save ''"
    addresses = {name: await house.run(name, server, node=node) for name, node in (("p", "node-1"), ("q", "node-2"))}
    house.faults.exchange_addresses("p", "q")
    for name, node in (("p", "node-1"), ("q", "node-2")):
        await house.run(name, server, node=node)
    assert (house.address("p"), house.address("q")) == (addresses["q"], addresses["p"])
    for address in addresses.values():
        await eventually(lambda address=address: listens(address))  # type: ignore[misc]

    async with house.faults.cut("node:node-1", "everyone"):
        (cut_off, _), (left_alone, _) = await asyncio.gather(*(knock(house.address(name)) for name in ("p", "q")))

    assert (cut_off, left_alone) == (errno.ETIMEDOUT, 0)


async def listens(address: str) -> bool:
    return (await knock(address))[0] == 0


@pytest.mark.parametrize("other", ["p", "default/nobody"])
async def test_an_exchange_needs_two_pods_with_addresses(house: House, other: str) -> None:
    await house.run("p", IDLE)

    with pytest.raises(BadFault):
        house.faults.exchange_addresses("p", other)


async def test_a_pod_waits_for_no_address_for_ever(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pod that has it may never go: it takes another one then."""
    monkeypatch.setattr("localkube.kubelet.pod.ADDRESS_WAIT_S", 0.5)
    kept = await house.run("kept", IDLE)
    house.cluster.nodes.addresses.promise(("default", "p"), kept)

    assert await house.run("p", IDLE) != kept
