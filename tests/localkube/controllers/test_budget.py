"""Claims about disruption budgets: how many pods may go now, and what an eviction spends."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from localkube.controllers.budget import BUDGETS, BudgetController
from localkube.errors import ApiError
from localkube.registry import time_text
from localkube.server.eviction import check_eviction
from tests.localkube.controllers.conftest import World

Obj = dict[str, Any]
LABELS = {"app": "a"}


def owned_pods(world: World, count: int, *, replicas: int | None = None) -> None:
    """Ready pods of one StatefulSet."""
    containers = [{"name": "c", "image": "redis:7"}]
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": containers}}
    spec = {"replicas": replicas or count, "selector": {"matchLabels": LABELS}, "template": template}
    owner = world.create("statefulsets.apps", "w", spec=spec)
    ref = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "w", "uid": owner["metadata"]["uid"]}
    for number in range(count):
        metadata = {"labels": LABELS, "ownerReferences": [{**ref, "controller": True}]}
        world.pod(f"w-{number}", metadata=metadata)
        world.runs(f"w-{number}")


def budget(world: World, **spec: Any) -> None:
    world.create(BUDGETS, "b", spec={"selector": {"matchLabels": LABELS}, **spec})


def status(world: World) -> Obj:
    found: Obj = world.get(BUDGETS, "b")["status"]
    return found


@pytest.mark.parametrize(
    ("spec", "pods", "replicas", "expected"),
    [
        # spec, pods, replicas: (disruptionsAllowed, currentHealthy, desiredHealthy, expectedPods)
        ({"maxUnavailable": 1}, 3, 3, (1, 3, 2, 3)),
        ({"maxUnavailable": 0}, 3, 3, (0, 3, 3, 3)),
        ({"maxUnavailable": "50%"}, 3, 3, (2, 3, 1, 3)),
        ({"maxUnavailable": 1}, 2, 3, (0, 2, 2, 3)),
        ({"maxUnavailable": 9}, 3, 3, (3, 3, 0, 3)),
        ({"minAvailable": 2}, 3, 3, (1, 3, 2, 3)),
        ({"minAvailable": 3}, 3, 5, (0, 3, 3, 3)),
        ({"minAvailable": "50%"}, 3, 3, (1, 3, 2, 3)),
        ({"minAvailable": "100%"}, 3, 3, (0, 3, 3, 3)),
        ({"minAvailable": 1}, 0, 1, (0, 0, 1, 0)),
    ],
)
async def test_what_may_go_is_what_is_healthy_beyond_what_must_be(
    world: World, spec: Obj, pods: int, replicas: int, expected: tuple[int, ...]
) -> None:
    world.start(BudgetController)
    owned_pods(world, pods, replicas=replicas)

    budget(world, **spec)
    await world.until(lambda: "observedGeneration" in status(world))

    names = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
    assert expected == tuple(status(world)[name] for name in names)


async def test_readiness_lost_and_found_is_followed(world: World) -> None:
    world.start(BudgetController)
    owned_pods(world, 3)
    budget(world, maxUnavailable=1)
    await world.until(lambda: status(world)["disruptionsAllowed"] == 1)

    world.runs("w-0", ready=False)
    await world.until(lambda: status(world)["disruptionsAllowed"] == 0)
    world.runs("w-0")

    await world.until(lambda: status(world)["disruptionsAllowed"] == 1)


async def test_scaling_up_asks_for_more(world: World) -> None:
    world.start(BudgetController)
    owned_pods(world, 3)
    budget(world, maxUnavailable=1)
    await world.until(lambda: status(world)["disruptionsAllowed"] == 1)

    world.change("statefulsets.apps", "w", spec={**world.get("statefulsets.apps", "w")["spec"], "replicas": 4})

    await world.until(lambda: (status(world)["disruptionsAllowed"], status(world)["desiredHealthy"]) == (0, 3))


async def test_an_eviction_spends_what_is_allowed_and_a_second_one_is_refused(world: World) -> None:
    world.start(BudgetController)
    owned_pods(world, 3)
    budget(world, maxUnavailable=1)
    await world.until(lambda: status(world)["disruptionsAllowed"] == 1)

    check_eviction(world.registry, world.get("pods", "w-0"), dry_run=False)
    await world.settled()
    with pytest.raises(ApiError) as refused:
        check_eviction(world.registry, world.get("pods", "w-1"), dry_run=False)

    assert refused.value.code == 429
    assert status(world)["disruptedPods"].keys() == {"w-0"}


async def test_an_evicted_pod_that_goes_is_forgotten(world: World) -> None:
    world.start(BudgetController)
    owned_pods(world, 3)
    budget(world, maxUnavailable=1)
    await world.until(lambda: status(world)["disruptionsAllowed"] == 1)
    check_eviction(world.registry, world.get("pods", "w-0"), dry_run=False)

    world.registry.delete("pods", "default", "w-0")

    await world.until(lambda: "disruptedPods" not in status(world))
    assert status(world)["disruptionsAllowed"] == 0


async def test_an_eviction_that_came_to_nothing_is_forgotten_in_the_end(world: World) -> None:
    world.start(BudgetController)
    owned_pods(world, 3)
    budget(world, maxUnavailable=1)
    await world.until(lambda: status(world)["disruptionsAllowed"] == 1)
    long_ago = time_text(world.registry.now() - datetime.timedelta(seconds=121))

    spent = {**status(world), "disruptionsAllowed": 0, "disruptedPods": {"w-0": long_ago}}
    world.change(BUDGETS, "b", subresource="status", status=spent)

    await world.until(lambda: "disruptedPods" not in status(world))
    await world.until(lambda: status(world)["disruptionsAllowed"] == 1)


async def test_pods_without_a_controller_cannot_be_counted_so_none_may_go(world: World) -> None:
    world.start(BudgetController)
    world.pod("p", metadata={"labels": LABELS})
    world.runs("p")

    budget(world, maxUnavailable=1)
    await world.until(lambda: status(world).get("conditions"))

    assert status(world)["disruptionsAllowed"] == 0
    assert status(world)["conditions"][0]["reason"] == "SyncFailed"


async def test_the_replicas_of_a_deployment_count_not_those_of_its_replica_sets(world: World) -> None:
    world.start(BudgetController)
    containers = [{"name": "c", "image": "redis:7"}]
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": containers}}
    spec = {"replicas": 4, "selector": {"matchLabels": LABELS}, "template": template}
    above = world.create("deployments.apps", "d", spec=spec)
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": above["metadata"]["uid"]}
    middle = world.create(
        "replicasets.apps",
        "r",
        metadata={"ownerReferences": [{**ref, "controller": True}]},
        spec={**spec, "replicas": 1},
    )
    own = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": middle["metadata"]["uid"]}
    world.pod("p", metadata={"labels": LABELS, "ownerReferences": [{**own, "controller": True}]})

    budget(world, maxUnavailable=1)

    await world.until(lambda: status(world)["expectedPods"] == 4)
