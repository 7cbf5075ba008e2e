"""Claims about where pods go, and about what is said when they can go nowhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from localkube.controllers.scheduler import Scheduler
from tests.localkube.controllers.world import World, apart, bare_pod, world_of


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(tmp_path, Scheduler) as made:
        yield made


def requests(**amounts: str) -> list[dict[str, Any]]:
    return [{"name": "redis", "image": "redis:7.0", "resources": {"requests": amounts}}]


async def test_pods_spread_over_the_nodes_in_their_order(world: World) -> None:
    for name in ("a", "b", "c", "d"):
        world.create("pods", bare_pod(name))

    await world.until(lambda: all(world.places().values()))

    assert world.places() == {"a": "node-1", "b": "node-2", "c": "node-3", "d": "node-1"}
    assert "Successfully assigned default/a to node-1" in world.told("Scheduled")


async def test_a_pod_without_a_place_says_why_in_status_and_event_once(world: World) -> None:
    for name in ("a", "b", "c", "d"):
        world.create("pods", bare_pod(name, affinity=apart()))

    await world.until(lambda: world.told("FailedScheduling"))
    await world.settle()

    why = "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules."
    assert world.told("FailedScheduling") == [why]
    (said,) = world.pod("d")["status"]["conditions"]
    assert (said["type"], said["status"], said["reason"], said["message"]) == (
        "PodScheduled", "False", "Unschedulable", why,
    )  # fmt: skip


async def test_a_waiting_pod_gets_the_place_that_another_leaves(world: World) -> None:
    for name in ("a", "b", "c", "d"):
        world.create("pods", bare_pod(name, affinity=apart()))
    await world.until(lambda: world.told("FailedScheduling"))

    world.end("b")

    await world.until(lambda: world.places()["d"] == "node-2")


async def test_a_waiting_pod_gets_a_node_that_comes_later(world: World) -> None:
    for name in ("a", "b", "c", "d"):
        world.create("pods", bare_pod(name, affinity=apart()))
    await world.until(lambda: world.told("FailedScheduling"))

    world.add_node("node-4")

    await world.until(lambda: world.places()["d"] == "node-4")


async def test_pods_that_keep_others_away_are_heard_when_the_newcomer_does_not_mind(world: World) -> None:
    for name in ("a", "b", "c"):
        world.create("pods", bare_pod(name, app="lonely", affinity=apart("web")))
    await world.until(lambda: all(world.places().values()))

    world.create("pods", bare_pod("x", app="web"))

    await world.until(lambda: world.told("FailedScheduling"))
    assert world.told("FailedScheduling") == [
        "0/3 nodes are available: 3 node(s) didn't satisfy existing pods anti-affinity rules."
    ]


async def test_required_company_is_sought_and_the_first_of_its_kind_may_start(world: World) -> None:
    term = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}
    together = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    for name in ("a", "b", "c"):
        world.create("pods", bare_pod(name, affinity=together))

    await world.until(lambda: all(world.places().values()))

    assert world.places() == {"a": "node-1", "b": "node-1", "c": "node-1"}


async def test_different_reasons_are_counted_apart(world: World) -> None:
    world.change_node("node-1", unschedulable=True)
    world.change_node("node-2", taints=[{"key": "dedicated", "value": "db", "effect": "NoSchedule"}])
    await world.settle()

    world.create("pods", bare_pod("a", containers=requests(cpu="17")))

    await world.until(lambda: world.told("FailedScheduling"))
    assert world.told("FailedScheduling") == [
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {dedicated: db}, "
        "1 node(s) were unschedulable."
    ]


async def test_room_is_counted_by_requests_and_freed_by_the_end_of_a_pod(world: World) -> None:
    for name in ("a", "b", "c", "d"):
        world.create("pods", bare_pod(name, containers=requests(memory="40Gi")))
    await world.until(lambda: world.told("FailedScheduling"))
    assert world.told("FailedScheduling") == ["0/3 nodes are available: 3 Insufficient memory."]

    world.report("a", phase="Succeeded", ready=False)

    await world.until(lambda: world.places()["d"] == "node-1")


async def test_a_node_selector_and_node_affinity_are_obeyed(world: World) -> None:
    world.add_node("node-4", labels={"disk": "ssd", "size": "9"})
    world.add_node("node-5", labels={"disk": "ssd", "size": "11"})
    larger = {"matchExpressions": [{"key": "size", "operator": "Gt", "values": ["10"]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [larger]}}}

    world.create("pods", bare_pod("a", nodeSelector={"disk": "ssd"}))
    world.create("pods", bare_pod("b", affinity=affinity))
    world.create("pods", bare_pod("c", nodeSelector={"disk": "tape"}))

    await world.until(lambda: world.told("FailedScheduling"))
    assert world.places() == {"a": "node-4", "b": "node-5", "c": None}
    assert world.told("FailedScheduling") == [
        "0/5 nodes are available: 5 node(s) didn't match Pod's node affinity/selector."
    ]


async def test_a_toleration_opens_a_tainted_node(world: World) -> None:
    for number in (1, 2, 3):
        taint = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
        world.change_node(f"node-{number}", taints=[taint])
    await world.settle()

    world.create("pods", bare_pod("a", tolerations=[{"key": "dedicated", "operator": "Equal", "value": "db"}]))
    world.create("pods", bare_pod("b", tolerations=[{"operator": "Exists"}]))
    world.create("pods", bare_pod("c", tolerations=[{"key": "dedicated", "value": "web"}]))

    await world.until(lambda: world.told("FailedScheduling"))
    assert world.places() == {"a": "node-1", "b": "node-2", "c": None}


async def test_pods_keep_the_wished_skew_over_zones(world: World) -> None:
    constraint = {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    world.change_node("node-3", unschedulable=True)
    await world.settle()
    for name in ("a", "b", "c"):
        world.create("pods", bare_pod(name, topologySpreadConstraints=[constraint]))

    await world.until(lambda: world.told("FailedScheduling"))

    # The empty zone counts, though nothing may go there now: a third pod would make the skew 2.
    assert world.places() == {"a": "node-1", "b": "node-2", "c": None}
    assert world.told("FailedScheduling") == [
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match pod topology spread constraints."
    ]


async def test_wishes_decide_among_nodes_that_fit(world: World) -> None:
    term = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}
    rather_not = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}
    for name in ("a", "b", "c", "d"):
        world.create("pods", bare_pod(name, affinity={"podAntiAffinity": rather_not}))

    await world.until(lambda: all(world.places().values()))

    assert sorted(world.places().values(), key=str) == ["node-1", "node-1", "node-2", "node-3"]


async def test_a_pod_waits_for_its_claim(world: World) -> None:
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    world.create("pods", bare_pod("a", volumes=[volume]))
    await world.until(lambda: world.told("FailedScheduling"))

    claim = world.create(
        "persistentvolumeclaims",
        {
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        },
    )
    await world.until(lambda: len(world.told("FailedScheduling")) == 2)
    bound = {**claim, "spec": {**claim["spec"], "volumeName": "disk"}}
    claim = world.registry.update("persistentvolumeclaims", bound)
    world.registry.update("persistentvolumeclaims", {**claim, "status": {"phase": "Bound"}}, subresource="status")

    await world.until(lambda: world.places()["a"] == "node-1")
    assert world.told("FailedScheduling") == [
        '0/3 nodes are available: persistentvolumeclaim "data" not found.',
        "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
    ]


async def test_a_gated_pod_is_left_alone_until_its_gates_are_gone(world: World) -> None:
    world.create("pods", bare_pod("a", schedulingGates=[{"name": "example.com/wait"}]))
    await world.until(lambda: world.pod("a")["status"].get("conditions"))
    (said,) = world.pod("a")["status"]["conditions"]
    assert said["reason"] == "SchedulingGated"

    world.change("pods", "a", schedulingGates=[])

    await world.until(lambda: world.places()["a"])


async def test_without_nodes_a_pod_says_so(tmp_path: Path) -> None:
    async with world_of(tmp_path, Scheduler, nodes=0) as world:
        world.create("pods", bare_pod("a"))

        await world.until(lambda: world.told("FailedScheduling"))

        assert world.told("FailedScheduling") == ["no nodes available to schedule pods"]


@pytest.mark.parametrize(("reason", "fits"), [("Deferred", False), ("Infeasible", True)])
async def test_room_is_kept_for_a_resize_that_can_still_come_true(world: World, reason: str, fits: bool) -> None:
    """What a pod has been given and what it asks for are told apart by its status, as the kubelet writes it."""
    pod = world.create("pods", bare_pod("a", nodeName="node-1", containers=requests(memory="60Gi")))
    for node in ("node-2", "node-3"):
        world.create("pods", bare_pod(f"fills-{node}", nodeName=node, containers=requests(memory="64Gi")))
    has = {"name": "redis", "resources": {"requests": {"memory": "1Gi"}}, "allocatedResources": {"memory": "1Gi"}}
    pending = {"type": "PodResizePending", "status": "True", "reason": reason}
    status = {"conditions": [pending], "containerStatuses": [has]}
    world.registry.update("pods", {**pod, "status": status}, subresource="status")

    world.create("pods", bare_pod("d", containers=requests(memory="8Gi")))
    await world.until(lambda: world.places().get("d") or world.told("FailedScheduling"))

    assert bool(world.places().get("d")) is fits
