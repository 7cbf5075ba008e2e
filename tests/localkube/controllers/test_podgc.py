"""Claims about pods whose node is not there."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from localkube.cluster import Cluster
from localkube.controllers.podgc import PodGarbageCollector
from tests.localkube.controllers.conftest import World

QUICK = partial(PodGarbageCollector, quarantine_s=0.05)


def node(world: World, name: str) -> None:
    world.registry.create("nodes", {"metadata": {"name": name}})


async def test_a_pod_goes_with_its_node(world: World) -> None:
    world.start(QUICK)
    node(world, "node-1")
    world.pod("p")
    world.runs("p")

    world.registry.delete("nodes", None, "node-1")

    await world.until(lambda: world.find("pods", "p") is None)


async def test_a_pod_of_a_node_that_never_was_goes(world: World) -> None:
    world.pod("p", nodeName="node-9")

    world.start(QUICK)

    await world.until(lambda: world.find("pods", "p") is None)


async def test_it_has_failed_before_it_is_gone(world: World) -> None:
    world.start(QUICK)
    seen: list[str] = []
    world.registry.subscribe("pods", lambda event: seen.append(event.object["status"]["phase"]))

    world.pod("p", nodeName="node-9")
    await world.until(lambda: world.find("pods", "p") is None)
    await world.settled()

    assert seen == ["Pending", "Failed", "Failed"]


async def test_pods_of_a_node_that_comes_back_in_time_stay(world: World) -> None:
    world.start(QUICK)
    node(world, "node-1")
    world.pod("p")
    world.pod("gone", nodeName="node-9")

    world.registry.delete("nodes", None, "node-1")
    node(world, "node-1")
    # Its own appointment is no later than that of the pod that goes.
    await world.until(lambda: world.find("pods", "gone") is None)

    assert world.find("pods", "p") is not None


async def test_a_pod_that_waits_for_a_node_stays(world: World) -> None:
    world.start(QUICK)
    world.pod("waits", nodeName="")
    world.pod("gone", nodeName="node-9")

    await world.until(lambda: world.find("pods", "gone") is None)

    assert world.find("pods", "waits") is not None


async def test_a_restart_with_fewer_nodes_forgets_the_others(tmp_path: Path) -> None:
    async with Cluster(nodes=3, state=tmp_path):
        pass

    async with Cluster(nodes=1, state=tmp_path) as cluster:
        assert [one["metadata"]["name"] for one in cluster.registry.list("nodes")] == ["node-1"]
