"""Claims about Deployments and their ReplicaSets: rollouts within limits, ways back, sizes, conditions."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from localkube.controllers.deployment import DeploymentController
from localkube.controllers.pods import condition, is_terminating
from localkube.controllers.replicaset import ReplicaSetController
from localkube.controllers.scheduler import Scheduler
from localkube.errors import forbidden
from localkube.registry import Event, Obj
from tests.localkube.controllers.world import DEPLOYMENTS, REPLICA_SETS, World, bare_pod, template, workload, world_of

REVISION = "deployment.kubernetes.io/revision"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(tmp_path, DeploymentController, ReplicaSetController, Scheduler) as made:
        yield made


def sizes(world: World) -> dict[str, int]:
    """Image of each ReplicaSet -> the replicas it should have."""
    return {
        one["spec"]["template"]["spec"]["containers"][0]["image"]: one["spec"]["replicas"]
        for one in world.registry.list(REPLICA_SETS)
    }


def is_done(world: World, generation: int) -> bool:
    deployment = world.registry.get(DEPLOYMENTS, "default", "web")
    status, wanted = deployment.get("status") or {}, deployment["spec"]["replicas"]
    return bool(
        status.get("observedGeneration") == generation
        and status.get("updatedReplicas", 0) == status.get("availableReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
    )


def progress(world: World) -> tuple[str, str]:
    found = condition(world.registry.get(DEPLOYMENTS, "default", "web"), "Progressing")
    assert found is not None
    return found["status"], found["reason"]


async def deployed(world: World, replicas: int = 3, **spec: Any) -> None:
    world.run_kubelets()
    world.create(DEPLOYMENTS, workload(replicas=replicas, **spec))
    await world.until(lambda: is_done(world, 1))
    await world.settle()


async def test_a_deployment_has_pods_through_a_replica_set_named_by_its_template(world: World) -> None:
    await deployed(world)

    (replica_set,) = world.registry.list(REPLICA_SETS)
    digest = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{digest}"
    assert replica_set["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": digest}
    assert replica_set["metadata"]["annotations"][REVISION] == "1"
    assert all(pod["metadata"]["name"].startswith(f"web-{digest}-") for pod in world.pods())
    assert progress(world) == ("True", "NewReplicaSetAvailable")
    available = condition(world.registry.get(DEPLOYMENTS, "default", "web"), "Available")
    assert available is not None
    assert available["reason"] == "MinimumReplicasAvailable"


async def test_a_rollout_never_leaves_its_limits(world: World) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    await deployed(world, 4, strategy=rolling)
    wished: list[int] = []
    running: list[int] = []

    def count(_: Event) -> None:
        wished.append(sum(sizes(world).values()))
        pods = [pod for pod in world.pods() if not is_terminating(pod)]
        running.append(sum(1 for pod in pods if pod["status"].get("phase") == "Running"))

    world.registry.subscribe("pods", count, replay=False)

    world.change(DEPLOYMENTS, "web", template=template(image="redis:7.2"))

    await world.until(lambda: is_done(world, 2))
    assert max(wished) <= 5
    assert min(running) >= 3
    assert sizes(world) == {"redis:7.0": 0, "redis:7.2": 4}


async def test_a_rollout_that_does_not_become_ready_stops_where_it_is(world: World) -> None:
    await deployed(world, 3)
    world.stop_kubelets()

    world.change(DEPLOYMENTS, "web", template=template(image="redis:broken"))

    await world.until(lambda: sizes(world) == {"redis:7.0": 3, "redis:broken": 1})
    await world.settle()
    assert sizes(world) == {"redis:7.0": 3, "redis:broken": 1}


async def test_a_rollout_past_its_deadline_is_called_late(world: World) -> None:
    await deployed(world, 1, progressDeadlineSeconds=1)
    world.stop_kubelets()

    world.change(DEPLOYMENTS, "web", template=template(image="redis:broken"))

    await world.until(lambda: progress(world) == ("False", "ProgressDeadlineExceeded"))


async def test_recreate_ends_the_old_pods_before_it_makes_new_ones(world: World) -> None:
    await deployed(world, 2, strategy={"type": "Recreate"})
    world.stop_kubelets()
    former = world.names()

    world.change(DEPLOYMENTS, "web", template=template(image="redis:7.2"))
    await world.until(lambda: all(is_terminating(pod) for pod in world.pods()))
    await world.settle()
    assert world.names() == former

    for name in former:
        world.end(name)

    await world.until(lambda: len(world.pods()) == 2 and not set(world.names()) & set(former))


async def test_a_former_template_gets_its_replica_set_back_under_a_new_revision(world: World) -> None:
    await deployed(world, 2)
    (first,) = world.registry.list(REPLICA_SETS)
    world.change(DEPLOYMENTS, "web", template=template(image="redis:7.2"))
    await world.until(lambda: is_done(world, 2))

    world.change(DEPLOYMENTS, "web", template=template())

    await world.until(lambda: is_done(world, 3))
    assert sizes(world) == {"redis:7.0": 2, "redis:7.2": 0}
    annotations = world.registry.get(REPLICA_SETS, "default", first["metadata"]["name"])["metadata"]["annotations"]
    assert annotations[REVISION] == "3"
    assert annotations["deployment.kubernetes.io/revision-history"] == "1"
    assert world.registry.get(DEPLOYMENTS, "default", "web")["metadata"]["annotations"][REVISION] == "3"


async def test_a_new_size_is_followed_up_and_down(world: World) -> None:
    await deployed(world, 2)

    world.change(DEPLOYMENTS, "web", replicas=5)
    await world.until(lambda: is_done(world, 2))
    world.change(DEPLOYMENTS, "web", replicas=1)
    await world.until(lambda: is_done(world, 3))

    assert sizes(world) == {"redis:7.0": 1}
    assert progress(world) == ("True", "NewReplicaSetAvailable")


async def test_a_new_size_in_the_midst_of_a_rollout_is_shared_out(world: World) -> None:
    await deployed(world, 10, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}})
    world.stop_kubelets()
    world.change(DEPLOYMENTS, "web", template=template(image="redis:7.2"))
    await world.until(lambda: sizes(world) == {"redis:7.0": 8, "redis:7.2": 5})

    world.change(DEPLOYMENTS, "web", replicas=15)

    # The documented example of the real controller: of five more, the larger set gets three, the smaller two.
    await world.until(lambda: sizes(world) == {"redis:7.0": 11, "redis:7.2": 7})


async def test_a_paused_deployment_changes_its_size_only(world: World) -> None:
    await deployed(world, 2)

    world.change(DEPLOYMENTS, "web", paused=True, replicas=3, template=template(image="redis:7.2"))

    await world.until(lambda: len(world.pods()) == 3)
    await world.settle()
    assert sizes(world) == {"redis:7.0": 3}
    assert progress(world) == ("Unknown", "DeploymentPaused")

    world.change(DEPLOYMENTS, "web", paused=False)
    await world.until(lambda: sizes(world) == {"redis:7.0": 0, "redis:7.2": 3})


async def test_only_so_many_former_replica_sets_are_kept(world: World) -> None:
    await deployed(world, 1, revisionHistoryLimit=1)

    for number in (1, 2, 3):
        world.change(DEPLOYMENTS, "web", template=template(image=f"redis:7.{number}"))
        await world.until(functools.partial(is_done, world, number + 1))

    await world.until(lambda: sizes(world) == {"redis:7.2": 0, "redis:7.3": 1})


async def test_a_pod_that_dies_is_replaced_and_is_no_rollout(world: World) -> None:
    await deployed(world, 2)
    gone = world.names()[0]

    world.registry.delete("pods", "default", gone)

    await world.until(lambda: gone not in world.names() and is_done(world, 1))
    assert progress(world) == ("True", "NewReplicaSetAvailable")


async def test_a_deployment_that_has_settled_writes_nothing_more(world: World) -> None:
    await deployed(world, 3)
    version = world.registry.version

    owner = world.registry.get(DEPLOYMENTS, "default", "web")
    world.registry.update(DEPLOYMENTS, {**owner, "metadata": {**owner["metadata"], "labels": {"touched": "yes"}}})
    await world.settle()

    assert world.registry.version == version + 1


async def test_a_refused_pod_is_told_in_conditions_and_events(world: World) -> None:
    def no_quota(new: Obj, old: Obj | None) -> Obj:
        if old is None:
            raise forbidden("pods", new["metadata"]["name"], "exceeded quota: small")
        return new

    world.registry.admit("pods", no_quota)

    world.create(REPLICA_SETS, workload())

    await world.until(lambda: world.told("FailedCreate"))
    (failure,) = world.status(REPLICA_SETS, "web")["conditions"]
    assert (failure["type"], failure["reason"]) == ("ReplicaFailure", "FailedCreate")


async def test_a_replica_set_adopts_what_matches_and_removes_what_is_too_much(world: World) -> None:
    world.run_kubelets()
    for name in ("a", "b", "c"):
        world.create("pods", bare_pod(name))
    await world.until(lambda: all(pod["status"].get("phase") == "Running" for pod in world.pods()))

    world.create(REPLICA_SETS, workload(replicas=2))

    await world.until(lambda: len(world.pods()) == 2)
    owners = [pod["metadata"]["ownerReferences"][0]["name"] for pod in world.pods()]
    assert owners == ["web", "web"]


async def test_of_too_many_pods_the_one_that_is_not_ready_goes_first(world: World) -> None:
    world.create(REPLICA_SETS, workload(replicas=3))
    await world.until(lambda: all(world.places().values()) and len(world.pods()) == 3)
    first, second, third = world.names()
    for name in (first, third):
        world.report(name)
    world.report(second, ready=False)

    world.change(REPLICA_SETS, "web", replicas=2)

    await world.until(lambda: is_terminating(world.pod(second)))
    assert [name for name in world.names() if is_terminating(world.pod(name))] == [second]


async def test_the_cheapest_pod_goes_first_when_all_are_ready(world: World) -> None:
    world.run_kubelets()
    world.create(REPLICA_SETS, workload(replicas=3))
    await world.until(lambda: world.status(REPLICA_SETS, "web").get("readyReplicas") == 3)
    cheap = world.names()[1]
    pod: Obj = world.pod(cheap)
    cost = {"controller.kubernetes.io/pod-deletion-cost": "-5"}
    world.registry.update("pods", {**pod, "metadata": {**pod["metadata"], "annotations": cost}})

    world.change(REPLICA_SETS, "web", replicas=2)

    await world.until(lambda: len(world.pods()) == 2)
    assert cheap not in world.names()
