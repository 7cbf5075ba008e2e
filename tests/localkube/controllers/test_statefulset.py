"""Claims about the numbered pods of a set: order, replacement, updates, claims, revisions and status."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from localkube.controllers.scheduler import Scheduler
from localkube.controllers.statefulset import StatefulSetController
from localkube.registry import Obj
from tests.localkube.controllers.world import SETS, World, bare_pod, template, workload, world_of

REVISIONS = "controllerrevisions.apps"
CLAIMS = "persistentvolumeclaims"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(tmp_path, StatefulSetController, Scheduler) as made:
        yield made


def revisions(world: World) -> dict[str, int]:
    """Short: which number of revision each pod has."""
    numbers = {one["metadata"]["name"]: one["revision"] for one in world.registry.list(REVISIONS)}
    return {
        pod["metadata"]["name"]: numbers[pod["metadata"]["labels"]["controller-revision-hash"]] for pod in world.pods()
    }


def ready(world: World, count: int) -> bool:
    return bool(world.status(SETS, "web").get("readyReplicas", 0) == count)


def rolled_out(world: World, generation: int, count: int) -> bool:
    status = world.status(SETS, "web")
    complete = status["currentRevision"] == status["updateRevision"]
    return bool(status["observedGeneration"] == generation and complete and ready(world, count))


async def grown(world: World, count: int, **spec: Any) -> None:
    """A set of *count* pods that are ready, with kubelets that obey at once."""
    world.run_kubelets()
    world.create(SETS, workload(replicas=count, **spec))
    await world.until(lambda: ready(world, count))
    await world.settle()
    world.history.clear()


def claim_template(name: str = "data") -> Obj:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": name}, "spec": spec}


async def test_pods_come_one_by_one_each_after_the_former_is_ready(world: World) -> None:
    world.create(SETS, workload(replicas=3))
    await world.until(lambda: world.names() == ["web-0"])
    await world.settle()
    assert world.names() == ["web-0"]

    world.report("web-0", ready=False)
    await world.settle()
    assert world.names() == ["web-0"]

    world.report("web-0")
    await world.until(lambda: world.names() == ["web-0", "web-1"])
    world.report("web-1")
    await world.until(lambda: world.names() == ["web-0", "web-1", "web-2"])


async def test_a_parallel_set_makes_all_pods_at_once(world: World) -> None:
    world.create(SETS, workload(replicas=3, podManagementPolicy="Parallel"))

    await world.until(lambda: world.names() == ["web-0", "web-1", "web-2"])


async def test_a_pod_knows_its_name_its_number_its_service_and_its_owner(world: World) -> None:
    created = world.create(SETS, workload(serviceName="peers"))
    await world.until(lambda: world.names() == ["web-0"])

    pod = world.pod("web-0")

    labels = pod["metadata"]["labels"]
    assert labels["statefulset.kubernetes.io/pod-name"] == "web-0"
    assert labels["apps.kubernetes.io/pod-index"] == "0"
    assert labels["controller-revision-hash"] == world.status(SETS, "web")["updateRevision"]
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("web-0", "peers")
    (ref,) = pod["metadata"]["ownerReferences"]
    assert (ref["kind"], ref["uid"], ref["controller"]) == ("StatefulSet", created["metadata"]["uid"], True)


async def test_a_set_shrinks_from_its_highest_number_one_by_one(world: World) -> None:
    await grown(world, 3)

    world.change(SETS, "web", replicas=1)

    await world.until(lambda: world.history == ["-web-2", "-web-1"], lambda: world.history)
    assert world.names() == ["web-0"]
    await world.until(lambda: world.status(SETS, "web")["replicas"] == 1)


async def test_an_ordered_set_waits_for_a_leaving_pod_before_it_takes_the_next(world: World) -> None:
    await grown(world, 3)
    world.stop_kubelets()

    world.change(SETS, "web", replicas=1)

    await world.until(lambda: "deletionTimestamp" in world.pod("web-2")["metadata"])
    await world.settle()
    assert "deletionTimestamp" not in world.pod("web-1")["metadata"]


async def test_a_deleted_pod_comes_back_under_its_name(world: World) -> None:
    await grown(world, 2)
    before = world.pod("web-0")["metadata"]["uid"]

    world.registry.delete("pods", "default", "web-0")

    await world.until(lambda: ready(world, 2) and world.pod("web-0")["metadata"]["uid"] != before)
    assert world.history == ["-web-0", "+web-0"]


async def test_a_failed_pod_is_replaced_and_this_is_told(world: World) -> None:
    await grown(world, 2)

    world.report("web-1", phase="Failed", ready=False)

    await world.until(lambda: world.history == ["-web-1", "+web-1"] and ready(world, 2))
    assert world.told("RecreatingFailedPod") == ["StatefulSet default/web is recreating failed Pod web-1"]


async def test_on_delete_pods_keep_their_template_until_somebody_deletes_them(world: World) -> None:
    await grown(world, 2, updateStrategy={"type": "OnDelete"})

    world.change(SETS, "web", template=template(image="redis:7.2"))
    await world.until(lambda: world.status(SETS, "web")["observedGeneration"] == 2)
    await world.settle()
    assert revisions(world) == {"web-0": 1, "web-1": 1}
    assert world.history == []

    world.registry.delete("pods", "default", "web-1")

    await world.until(lambda: world.status(SETS, "web").get("updatedReplicas") == 1 and ready(world, 2))
    assert revisions(world) == {"web-0": 1, "web-1": 2}
    assert world.pod("web-1")["spec"]["containers"][0]["image"] == "redis:7.2"


async def test_a_rolling_update_goes_from_the_highest_number_down_one_at_a_time(world: World) -> None:
    await grown(world, 3)

    world.change(SETS, "web", template=template(image="redis:7.2"))

    await world.until(lambda: rolled_out(world, 2, 3))
    assert world.history == ["-web-2", "+web-2", "-web-1", "+web-1", "-web-0", "+web-0"]
    status = world.status(SETS, "web")
    assert status["currentRevision"] == status["updateRevision"]
    assert status["currentReplicas"] == 3


async def test_a_rolling_update_waits_for_a_pod_that_does_not_become_ready(world: World) -> None:
    await grown(world, 3)
    world.stop_kubelets()

    world.change(SETS, "web", template=template(image="redis:7.2"))
    await world.until(lambda: "deletionTimestamp" in world.pod("web-2")["metadata"])
    world.end("web-2")
    await world.until(lambda: revisions(world).get("web-2") == 2)
    world.report("web-2", ready=False)
    await world.settle()

    assert revisions(world) == {"web-0": 1, "web-1": 1, "web-2": 2}
    assert "deletionTimestamp" not in world.pod("web-1")["metadata"]


async def test_a_partition_keeps_the_lower_pods_as_they_were_even_when_they_die(world: World) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    await grown(world, 3, updateStrategy=strategy)

    world.change(SETS, "web", template=template(image="redis:7.2"))
    await world.until(lambda: world.status(SETS, "web").get("updatedReplicas") == 1 and ready(world, 3))
    world.registry.delete("pods", "default", "web-0")
    await world.until(lambda: world.history[-1] == "+web-0" and ready(world, 3))

    assert revisions(world) == {"web-0": 1, "web-1": 1, "web-2": 2}


async def test_going_back_to_a_former_template_uses_its_revision_again(world: World) -> None:
    await grown(world, 1)
    first = world.status(SETS, "web")["updateRevision"]
    world.change(SETS, "web", template=template(image="redis:7.2"))
    await world.until(lambda: world.status(SETS, "web")["currentRevision"] != first)

    world.change(SETS, "web", template=template())

    await world.until(lambda: world.status(SETS, "web")["currentRevision"] == first)
    numbers = {one["metadata"]["name"]: one["revision"] for one in world.registry.list(REVISIONS)}
    assert numbers[first] == 3
    assert len(numbers) == 2


async def test_old_revisions_are_forgotten_beyond_the_limit(world: World) -> None:
    await grown(world, 1, revisionHistoryLimit=1)

    for number in range(4):
        world.change(SETS, "web", template=template(image=f"redis:7.{number + 1}"))
        await world.until(functools.partial(rolled_out, world, number + 2, 1))
    await world.settle()

    assert len(world.registry.list(REVISIONS)) == 2


async def test_each_pod_gets_its_own_claims_and_keeps_them(world: World) -> None:
    world.create(SETS, workload(replicas=1, volumeClaimTemplates=[claim_template()]))
    await world.until(lambda: world.names() == ["web-0"])

    (claim,) = world.registry.list(CLAIMS)
    assert (claim["metadata"]["name"], claim["metadata"]["labels"]) == ("data-web-0", {"app": "web"})
    assert world.pod("web-0")["spec"]["volumes"] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}
    ]

    world.end("web-0")
    await world.until(lambda: world.names() == ["web-0"])
    assert [one["metadata"]["uid"] for one in world.registry.list(CLAIMS)] == [claim["metadata"]["uid"]]


async def test_claims_belong_to_the_set_when_they_are_to_go_with_it(world: World) -> None:
    policy = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    created = world.create(
        SETS,
        workload(replicas=1, volumeClaimTemplates=[claim_template()], persistentVolumeClaimRetentionPolicy=policy),
    )

    await world.until(lambda: world.registry.list(CLAIMS))

    (ref,) = world.registry.list(CLAIMS)[0]["metadata"]["ownerReferences"]
    assert ref["uid"] == created["metadata"]["uid"]


async def test_claims_belong_to_a_pod_that_is_scaled_away_when_they_are_to_go_with_it(world: World) -> None:
    policy = {"whenDeleted": "Retain", "whenScaled": "Delete"}
    world.create(
        SETS,
        workload(
            replicas=2,
            podManagementPolicy="Parallel",
            volumeClaimTemplates=[claim_template()],
            persistentVolumeClaimRetentionPolicy=policy,
        ),
    )
    await world.until(lambda: len(world.names()) == 2)
    leaving = world.pod("web-1")["metadata"]["uid"]

    world.change(SETS, "web", replicas=1)

    await world.until(lambda: world.names() == ["web-0"])
    claims = {one["metadata"]["name"]: one for one in world.registry.list(CLAIMS)}
    assert [ref["uid"] for ref in claims["data-web-1"]["metadata"]["ownerReferences"]] == [leaving]
    assert "ownerReferences" not in claims["data-web-0"]["metadata"]


async def test_orphans_with_its_names_are_adopted_and_strangers_let_go(world: World) -> None:
    await grown(world, 2)
    owner = world.registry.get(SETS, "default", "web")["metadata"]["uid"]

    pod = world.pod("web-1")
    stranger = {**pod, "metadata": {**pod["metadata"], "labels": {**pod["metadata"]["labels"], "app": "other"}}}
    world.registry.update("pods", stranger)
    await world.until(lambda: "ownerReferences" not in world.pod("web-1")["metadata"])
    pod = world.pod("web-1")
    back = {**pod, "metadata": {**pod["metadata"], "labels": {**pod["metadata"]["labels"], "app": "web"}}}
    world.registry.update("pods", back)

    await world.until(
        lambda: [ref["uid"] for ref in world.pod("web-1")["metadata"].get("ownerReferences") or ()] == [owner]
    )


async def test_a_set_made_anew_has_the_pods_and_the_revisions_of_the_one_before(world: World) -> None:
    await grown(world, 2, updateStrategy={"type": "OnDelete"})
    pods = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in world.pods()}
    before, *_ = world.registry.list(REVISIONS)
    for obj in (*world.pods(), before):  # as the garbage collector leaves them when their owner goes alone
        resource = REVISIONS if obj is before else "pods"
        world.registry.update(resource, {**obj, "metadata": {**obj["metadata"], "ownerReferences": []}})
    world.registry.delete(SETS, "default", "web")

    again = world.create(
        SETS, workload(replicas=2, updateStrategy={"type": "OnDelete"}, volumeClaimTemplates=[claim_template()])
    )
    await world.until(lambda: ready(world, 2))

    assert {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in world.pods()} == pods
    assert [one["metadata"]["name"] for one in world.registry.list(REVISIONS)] == [before["metadata"]["name"]]
    assert world.status(SETS, "web")["updatedReplicas"] == 2
    owners = {ref["uid"] for pod in world.pods() for ref in pod["metadata"]["ownerReferences"]}
    assert owners == {again["metadata"]["uid"]}


async def test_a_name_that_somebody_else_has_is_told_and_taken_when_it_is_free(world: World) -> None:
    world.run_kubelets()
    world.create("pods", bare_pod("web-1", app="stranger"))
    world.create(SETS, workload(replicas=2))
    await world.until(lambda: world.told("FailedCreate"))
    assert world.told("FailedCreate") == [
        'Create Pod web-1 in StatefulSet web failed error: pods "web-1" already exists'
    ]

    world.registry.delete("pods", "default", "web-1")

    await world.until(lambda: ready(world, 2))


async def test_a_pod_is_available_only_after_it_was_ready_long_enough(world: World) -> None:
    world.create(SETS, workload(replicas=1, minReadySeconds=1))
    await world.until(lambda: world.names() == ["web-0"])

    world.report("web-0")

    await world.until(lambda: ready(world, 1))
    assert world.status(SETS, "web")["availableReplicas"] == 0
    await world.until(lambda: world.status(SETS, "web")["availableReplicas"] == 1)


async def test_a_set_that_has_settled_writes_nothing_more(world: World) -> None:
    await grown(world, 3)
    version = world.registry.version

    owner = world.registry.get(SETS, "default", "web")
    marked = {**owner, "metadata": {**owner["metadata"], "annotations": {"touched": "yes"}}}
    world.registry.update(SETS, marked)
    await world.settle()

    assert world.registry.version == version + 1


async def test_a_set_that_is_being_deleted_makes_no_more_pods(world: World) -> None:
    await grown(world, 2)
    world.registry.delete(SETS, "default", "web", propagation="Foreground")

    world.registry.delete("pods", "default", "web-1")

    await world.until(lambda: world.names() == ["web-0"])
    await world.settle()
    assert world.history == ["-web-1"]
