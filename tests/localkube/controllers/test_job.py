"""Claims about Jobs: how many pods they start, and when they are over."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from localkube.controllers.gc import GarbageCollector
from localkube.controllers.indexes import indexes_text
from localkube.controllers.job import JOBS, JobController
from localkube.errors import ApiError
from localkube.registry import time_text
from tests.localkube.controllers.conftest import World

Obj = dict[str, Any]


def job(world: World, name: str = "j", /, **spec: Any) -> Obj:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}
    return world.create(JOBS, name, spec={"template": template, **spec})


def status(world: World) -> Obj:
    found: Obj = world.get(JOBS, "j").get("status") or {}
    return found


def conditions(world: World) -> list[str]:
    return [one["type"] for one in status(world).get("conditions") or ()]


def ends(world: World, name: str, phase: str, *, ago_s: float = 0) -> None:
    """The pod is over since *ago_s*, as a kubelet says it."""
    at = time_text(world.registry.now() - datetime.timedelta(seconds=ago_s))
    ended = {"name": "c", "restartCount": 0, "state": {"terminated": {"exitCode": 0, "finishedAt": at}}}
    world.change("pods", name, subresource="status", status={"phase": phase, "containerStatuses": [ended]})


async def test_a_job_is_complete_when_its_pod_has_succeeded(world: World) -> None:
    world.start(JobController)
    job(world)
    await world.until(lambda: status(world).get("active") == 1)

    ends(world, world.names("pods")[0], "Succeeded")
    await world.until(lambda: conditions(world) == ["Complete"])

    assert status(world)["succeeded"] == 1
    assert "completionTime" in status(world)
    assert "active" not in status(world)


async def test_its_pods_are_known_by_labels_it_was_given(world: World) -> None:
    world.start(JobController)

    made = job(world)
    await world.until(lambda: world.names("pods"))

    pod = world.get("pods", world.names("pods")[0])
    assert pod["metadata"]["labels"]["job-name"] == "j"
    assert made["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


async def test_no_more_pods_than_parallelism_run_at_once_and_completions_in_all(world: World) -> None:
    world.start(JobController)
    job(world, parallelism=2, completions=3)
    await world.until(lambda: len(world.names("pods")) == 2)
    first, second = world.names("pods")

    ends(world, first, "Succeeded")
    await world.until(lambda: len(world.names("pods")) == 3)
    ends(world, second, "Succeeded")
    await world.until(lambda: status(world).get("succeeded") == 2)
    await world.settled()

    assert len(world.names("pods")) == 3


async def test_a_failed_pod_is_followed_by_another_only_after_a_while(world: World) -> None:
    world.start(JobController)
    job(world)
    await world.until(lambda: world.names("pods"))
    [first] = world.names("pods")

    ends(world, first, "Failed")
    await world.until(lambda: status(world).get("failed") == 1)
    await world.settled()
    assert world.names("pods") == [first]
    ends(world, first, "Failed", ago_s=11)

    await world.until(lambda: len(world.names("pods")) == 2)


async def test_a_job_that_failed_too_often_has_failed(world: World) -> None:
    world.start(JobController)
    job(world, backoffLimit=0)
    await world.until(lambda: world.names("pods"))

    ends(world, world.names("pods")[0], "Failed")
    await world.until(lambda: conditions(world) == ["Failed"])

    assert status(world)["conditions"][0]["reason"] == "BackoffLimitExceeded"


async def test_a_job_past_its_deadline_has_failed_and_its_pods_are_stopped(world: World) -> None:
    world.start(JobController)
    job(world, activeDeadlineSeconds=1)

    await world.until(lambda: conditions(world) == ["Failed"])

    assert status(world)["conditions"][0]["reason"] == "DeadlineExceeded"
    assert world.names("pods") == []


async def test_a_suspended_job_runs_nothing_until_it_is_resumed(world: World) -> None:
    world.start(JobController)
    job(world, suspend=True)
    await world.until(lambda: conditions(world) == ["Suspended"])
    await world.settled()
    assert world.names("pods") == []

    world.change(JOBS, "j", spec={**world.get(JOBS, "j")["spec"], "suspend": False})

    await world.until(lambda: world.names("pods"))


async def test_a_deleted_pod_is_replaced(world: World) -> None:
    world.start(JobController)
    job(world)
    await world.until(lambda: world.names("pods"))
    [first] = world.names("pods")

    world.ends(first)

    await world.until(lambda: world.names("pods") not in ([], [first]))


async def test_a_finished_job_goes_after_the_time_it_asked_for(world: World) -> None:
    world.start(JobController, GarbageCollector)
    job(world, ttlSecondsAfterFinished=0)
    await world.until(lambda: world.names("pods"))

    ends(world, world.names("pods")[0], "Succeeded")

    await world.until(lambda: not world.names(JOBS) and not world.names("pods"))


@pytest.mark.parametrize("wish", [{"backoffLimitPerIndex": 1}, {"podFailurePolicy": {"rules": []}}])
async def test_a_job_that_asks_for_what_is_missing_runs_nothing_and_says_so(world: World, wish: Obj) -> None:
    world.start(JobController)

    job(world, **wish)
    await world.until(lambda: world.registry.list("events"))

    assert world.names("pods") == []
    assert world.registry.list("events")[0]["message"].startswith("localkube does not implement ")


async def test_parallelism_alone_is_a_work_queue_that_one_success_ends(world: World) -> None:
    world.start(JobController)
    made = job(world, parallelism=2)
    await world.until(lambda: len(world.names("pods")) == 2)
    first, second = world.names("pods")

    ends(world, first, "Succeeded")
    ends(world, second, "Succeeded")
    await world.until(lambda: conditions(world) == ["Complete"])

    assert "completions" not in made["spec"]
    assert len(world.names("pods")) == 2


def index_of(world: World, name: str) -> str:
    text: str = world.get("pods", name)["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]
    return text


async def test_each_index_is_done_once_and_tried_again_when_it_failed(world: World) -> None:
    world.start(JobController)
    job(world, parallelism=2, completions=3, completionMode="Indexed")
    await world.until(lambda: len(world.names("pods")) == 2)
    first, second = sorted(world.names("pods"), key=lambda name: index_of(world, name))
    assert [index_of(world, name) for name in (first, second)] == ["0", "1"]

    ends(world, first, "Failed", ago_s=60)
    ends(world, second, "Succeeded")
    await world.until(lambda: len(world.names("pods")) == 4)
    for name in world.names("pods"):
        if name not in (first, second):
            ends(world, name, "Succeeded")
    await world.until(lambda: conditions(world) == ["Complete"])

    assert sorted(index_of(world, name) for name in world.names("pods")) == ["0", "0", "1", "2"]
    assert status(world)["completedIndexes"] == "0-2"


async def test_a_pod_knows_its_index(world: World) -> None:
    world.start(JobController)

    job(world, completions=1, completionMode="Indexed")
    await world.until(lambda: world.names("pods"))

    pod = world.get("pods", world.names("pods")[0])
    assert pod["metadata"]["name"].startswith("j-0-")
    assert pod["spec"]["hostname"] == "j-0"
    assert [one["name"] for one in pod["spec"]["containers"][0]["env"]] == ["JOB_COMPLETION_INDEX"]


def test_indexes_are_told_as_spans() -> None:
    assert indexes_text([0, 2, 3, 4, 7]) == "0,2-4,7"


async def test_an_indexed_job_must_say_how_many(world: World) -> None:
    with pytest.raises(ApiError, match=r"spec\.completions: Required value: when completion mode is Indexed"):
        job(world, parallelism=2, completionMode="Indexed")
