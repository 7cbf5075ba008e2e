"""Claims about nodes that die or are out of reach: what the cluster thinks of them, and what they do meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localkube.errors import ApiError
from localkube.faults import BadFault
from tests.localkube.faults.conftest import House, Obj, eventually
from tests.localkube.faults.test_network import SERVER, connects, reaches

IDLE = "exec sleep 1000"
UNREACHABLE = "node.kubernetes.io/unreachable"
IS_ROOT = os.geteuid() == 0


def ready(house: House, node: str) -> str:
    conditions = house.cluster.registry.get("nodes", None, node)["status"]["conditions"]
    return str(next(one["status"] for one in conditions if one["type"] == "Ready"))


def taints(house: House, node: str) -> list[tuple[str, str]]:
    spec = house.cluster.registry.get("nodes", None, node)["spec"]
    return [(one["key"], one["effect"]) for one in spec.get("taints") or []]


def pid(house: House, pod: str, node: str = "node-2") -> int:
    return house.cluster.kubelet_for(node).pid("default", pod, None)


def is_there(number: int) -> bool:
    return Path(f"/proc/{number}").exists()


def bears(seconds: int) -> list[Obj]:
    return [{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}]


async def test_a_failed_node_is_unknown_its_pods_are_gone_and_it_boots_again(house: House) -> None:
    await house.run("p", IDLE, node="node-2")
    process = pid(house, "p")

    async with house.faults.node_failed("node-2", noticed_after_s=1):
        gone = not is_there(process)
        await house.until(lambda: ready(house, "node-2") == "Unknown" and not house.is_ready("p"))
        await house.until(lambda: taints(house, "node-2"))
        tainted = taints(house, "node-2")

    await house.until(lambda: ready(house, "node-2") == "True" and house.is_ready("p"))
    await house.until(lambda: not taints(house, "node-2"))
    assert gone
    assert tainted == [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]
    assert house.restarts("p") == 1
    assert ready(house, "node-1") == "True"


async def test_nobody_notices_before_the_time_is_up(house: House) -> None:
    await house.run("p", IDLE, node="node-2")

    async with house.faults.node_failed("node-2"):
        assert not house.cluster.faults.standing[0].undone.is_set()
        assert (ready(house, "node-2"), house.is_ready("p")) == ("True", True)
        with pytest.raises(ApiError, match="the kubelet of node-2 does not answer"):
            house.cluster.faults.nodes.check_reachable("node-2")

    await house.until(lambda: house.restarts("p") == 1)


async def test_pods_are_deleted_when_their_patience_is_over_and_wait_for_their_node_to_go(house: House) -> None:
    registry = house.cluster.registry
    await house.run("p", IDLE, node="node-2", tolerations=bears(0), terminationGracePeriodSeconds=1)
    await house.run("q", IDLE, node="node-2")

    async with house.faults.node_failed("node-2", noticed_after_s=1):
        await house.until(lambda: "deletionTimestamp" in house.pod("p")["metadata"])
        assert "deletionTimestamp" not in house.pod("q")["metadata"]

    await house.until(lambda: registry.find("pods", "default", "p") is None)
    await house.until(lambda: house.is_ready("q"))


async def test_the_scheduler_avoids_a_silent_node(house: House) -> None:
    async with house.faults.node_failed("node-2", noticed_after_s=1):
        await house.until(lambda: taints(house, "node-2"))
        for name in ("a", "b", "c"):
            await house.run(name, IDLE, node="")

        assert {house.pod(name)["spec"]["nodeName"] for name in ("a", "b", "c")} == {"node-1"}


async def test_a_node_out_of_reach_goes_on_and_tells_all_when_it_is_back(house: House) -> None:
    await house.run("p", IDLE, node="node-2")
    before = house.restarts("p")

    async with house.faults.node_partitioned("node-2", noticed_after_s=1, api_only=not IS_ROOT):
        process = pid(house, "p")
        house.faults.kill("p")
        await eventually(lambda: is_another(house, "p", process))
        await house.until(lambda: ready(house, "node-2") == "Unknown" and not house.is_ready("p"))
        during = house.restarts("p")

    await house.until(lambda: ready(house, "node-2") == "True" and house.is_ready("p"))
    assert during == before
    assert house.restarts("p") == before + 1


async def is_another(house: House, pod: str, old: int) -> bool:
    try:
        return pid(house, pod) != old
    except ApiError:
        return False


async def test_a_node_out_of_reach_does_not_hear_of_a_deletion_until_it_is_back(house: House) -> None:
    registry = house.cluster.registry
    await house.run("p", IDLE, node="node-2")
    process = pid(house, "p")

    async with house.faults.node_partitioned("node-2", noticed_after_s=1, api_only=True):
        registry.delete("pods", "default", "p", grace_s=1)
        await house.until(lambda: ready(house, "node-2") == "Unknown")
        during = is_there(process), registry.find("pods", "default", "p") is not None

    await house.until(lambda: registry.find("pods", "default", "p") is None)
    assert during == (True, True)
    assert not is_there(process)


@pytest.mark.skipif(not IS_ROOT, reason="packet rules need root")
async def test_nobody_reaches_the_pods_of_a_node_out_of_reach_but_its_own(house: House) -> None:
    a, b = await house.run("a", IDLE), await house.run("b", SERVER, node="node-2")
    c = await house.run("c", IDLE, node="node-2")
    await eventually(lambda: connects(a, b))

    async with house.faults.node_partitioned("node-2"):
        during = await connects(a, b), await connects("127.0.0.1", b), await reaches(c, b)

    assert during == (False, False, True)
    assert await reaches(a, b)


@pytest.mark.skipif(not IS_ROOT, reason="packet rules need root")
async def test_probes_of_a_node_out_of_reach_go_on(house: House) -> None:
    probe = {"tcpSocket": {"port": 6379}, "periodSeconds": 1, "failureThreshold": 1}
    container = {"name": "c", "image": "busybox", "command": ["sh", "-c", SERVER], "livenessProbe": probe}
    await house.run("b", SERVER, node="node-2", containers=[container])

    async with house.faults.node_partitioned("node-2", noticed_after_s=3):
        await house.until(lambda: ready(house, "node-2") == "Unknown")

    await house.until(lambda: house.is_ready("b"))
    assert house.restarts("b") == 0


async def test_a_node_has_one_fault_at_a_time(house: House) -> None:
    async with house.faults.node_failed("node-2"):
        with pytest.raises(BadFault, match="node-2 is already failed or cut off"):
            await house.faults.node_partitioned("node-2").__aenter__()


async def test_a_node_that_is_not_there_cannot_fail(house: House) -> None:
    with pytest.raises(BadFault, match='nodes "node-9" not found'):
        await house.faults.node_failed("node-9").__aenter__()
