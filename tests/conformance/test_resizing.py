"""Claims: a running pod is given more or less cpu and memory in place, through its own door."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.client import MERGE, STRATEGIC, Answer, Obj
from tests.conformance.namespace import (
    Namespace,
    build_container,
    condition,
    container_status,
    is_ready,
)

pytestmark = pytest.mark.needs_version("1.33")


def resources(cpu: str, memory: str) -> Obj:
    return {"requests": {"cpu": cpu, "memory": memory}}


async def start(ns: Namespace, name: str = "p", **fields: Any) -> Obj:
    await ns.run(name, containers=[build_container(**{"resources": resources("10m", "16Mi")} | fields)])
    return await ns.until("pods", name, lambda p: is_ready(p) and container_status(p).get("resources"))


async def resize(ns: Namespace, container: Obj) -> Answer:
    body = {"spec": {"containers": [{"name": "main"} | container]}}
    return await ns.api.patch(ns.path("pods", "p") + "/resize", body, content_type=STRATEGIC)


async def test_resizing_is_discovered(ns: Namespace) -> None:
    listed = {one["name"]: one for one in (await ns.api.read("/api/v1"))["resources"]}

    assert listed["pods/resize"]["kind"] == "Pod"
    assert set(listed["pods/resize"]["verbs"]) == {"get", "patch", "update"}


async def test_a_pod_says_what_its_containers_were_given(ns: Namespace) -> None:
    pod = await start(ns)

    status = container_status(pod)
    assert status["resources"]["requests"] == {"cpu": "10m", "memory": "16Mi"}
    assert status["allocatedResources"] == {"cpu": "10m", "memory": "16Mi"}


async def test_a_running_container_is_resized_without_a_restart(ns: Namespace) -> None:
    before = await start(ns)

    answered = (await resize(ns, {"resources": resources("20m", "32Mi")})).accepted()
    after = await ns.until(
        "pods", "p", lambda p: container_status(p)["resources"]["requests"] == {"cpu": "20m", "memory": "32Mi"}
    )

    assert answered["spec"]["containers"][0]["resources"] == resources("20m", "32Mi")
    assert container_status(after)["allocatedResources"] == {"cpu": "20m", "memory": "32Mi"}
    assert container_status(after)["restartCount"] == 0
    assert container_status(after)["containerID"] == container_status(before)["containerID"]
    assert condition(after, "PodResizePending") == {}


async def test_a_container_that_wants_to_be_restarted_for_it_is(ns: Namespace) -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    await start(ns, resizePolicy=policy)

    (await resize(ns, {"resources": resources("10m", "32Mi")})).accepted()
    after = await ns.until("pods", "p", lambda p: container_status(p)["restartCount"] == 1 and is_ready(p))

    assert container_status(after)["resources"]["requests"]["memory"] == "32Mi"


async def test_a_whole_pod_may_be_put_and_only_its_resources_are_taken(ns: Namespace) -> None:
    pod = await start(ns)
    container = {**pod["spec"]["containers"][0], "resources": resources("20m", "16Mi"), "image": "redis:other"}
    wanted = {**pod, "spec": {**pod["spec"], "containers": [container]}}
    wanted["metadata"] = {k: v for k, v in pod["metadata"].items() if k != "resourceVersion"} | {"labels": {"a": "b"}}

    answered = (await ns.api.put(ns.path("pods", "p") + "/resize", wanted)).accepted()

    [now] = answered["spec"]["containers"]
    assert (now["resources"], now["image"]) == (resources("20m", "16Mi"), pod["spec"]["containers"][0]["image"])
    assert answered["metadata"].get("labels", {}) == pod["metadata"].get("labels", {})


async def test_a_stale_resize_is_409(ns: Namespace) -> None:
    pod = await start(ns)
    (await resize(ns, {"resources": resources("20m", "16Mi")})).accepted()

    answer = await ns.api.put(ns.path("pods", "p") + "/resize", pod)

    assert answer.refused() == (409, "Conflict")


async def test_a_dry_run_resizes_nothing(ns: Namespace) -> None:
    await start(ns)
    body = {"spec": {"containers": [{"name": "main", "resources": resources("20m", "16Mi")}]}}

    answer = await ns.api.patch(ns.path("pods", "p") + "/resize", body, content_type=STRATEGIC, dryRun="All")

    assert answer.accepted()["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "20m"
    assert (await ns.read("pods", "p"))["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "10m"


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"resources": {"requests": {"ephemeral-storage": "1Gi"}}}, "only cpu and memory resources are mutable"),
        (
            {"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]},
            "only cpu and memory resources are mutable",
        ),
        (
            {"resources": {"requests": {"cpu": None}}},
            "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
        ),
        (
            {"resources": {"limits": {"cpu": "10m", "memory": "16Mi"}}},
            'spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing',
        ),
        (
            {"resources": {"requests": {"cpu": "20m"}, "limits": {"cpu": "15m"}}},
            "must be less than or equal to cpu limit",
        ),
        ({"name": "other"}, "containers may not be added or removed on resize"),
    ],
)
async def test_a_resize_is_of_cpu_and_memory_only(ns: Namespace, container: Obj, words: str) -> None:
    await start(ns)

    answer = await resize(ns, container)

    assert answer.refused() == (422, "Invalid")
    assert words in answer.message


async def test_resources_are_not_changed_by_the_ordinary_way(ns: Namespace) -> None:
    await start(ns)
    body = {"spec": {"containers": [{"name": "main", "resources": resources("20m", "16Mi")}]}}

    answer = await ns.api.patch(ns.path("pods", "p"), body, content_type=STRATEGIC)

    assert answer.refused() == (422, "Invalid")
    assert "pod updates may not change fields other than" in answer.message


async def test_what_no_node_of_its_size_could_give_is_refused(ns: Namespace, version: tuple[int, int]) -> None:
    """At once since 1.36, by the kubelet before."""
    await start(ns)

    answer = await resize(ns, {"resources": resources("9000", "9000Ti")})

    if version >= (1, 36):
        assert answer.refused() == (403, "Forbidden")
        words = "node didn't have enough allocatable resources: cpu, requested: 9000000, allocatable: "
        assert answer.message.startswith(f'pods "p" is forbidden: {words}')
        assert "; memory, requested: 9895604649984000, allocatable: " in answer.message
        assert [one["reason"] for one in answer.body["details"]["causes"]] == ["NodeCapacity"]
        assert container_status(await ns.read("pods", "p"))["resources"] == resources("10m", "16Mi")
        return
    answer.accepted()
    pod = await ns.until("pods", "p", lambda p: condition(p, "PodResizePending"))

    pending = condition(pod, "PodResizePending")
    assert (pending["status"], pending["reason"]) == ("True", "Infeasible")
    assert "Node didn't have enough capacity: " in pending["message"]
    assert container_status(pod)["resources"]["requests"]["cpu"] == "10m"
    assert container_status(pod)["allocatedResources"]["cpu"] == "10m"
    assert is_ready(pod)


async def test_who_asks_for_less_again_waits_no_longer(ns: Namespace) -> None:
    pod = await start(ns)
    node = await ns.api.read(f"/api/v1/nodes/{pod['spec']['nodeName']}")
    neighbour = build_container(resources={"requests": {"memory": "16Mi"}})
    await ns.run("neighbour", nodeName=pod["spec"]["nodeName"], containers=[neighbour])
    await ns.until("pods", "neighbour", is_ready)
    (await resize(ns, {"resources": resources("10m", node["status"]["allocatable"]["memory"])})).accepted()
    await ns.until("pods", "p", lambda p: condition(p, "PodResizePending"))

    (await resize(ns, {"resources": resources("20m", "16Mi")})).accepted()
    pod = await ns.until("pods", "p", lambda p: container_status(p)["resources"]["requests"]["cpu"] == "20m")

    assert condition(pod, "PodResizePending") == {}


async def test_what_a_neighbour_takes_is_deferred_until_the_neighbour_goes(ns: Namespace) -> None:
    pod = await start(ns)
    node = await ns.api.read(f"/api/v1/nodes/{pod['spec']['nodeName']}")
    whole = node["status"]["allocatable"]["memory"]
    neighbour = build_container(resources={"requests": {"memory": "16Mi"}})
    await ns.run("neighbour", nodeName=pod["spec"]["nodeName"], containers=[neighbour])
    await ns.until("pods", "neighbour", is_ready)

    (await resize(ns, {"resources": resources("10m", whole)})).accepted()
    waiting = await ns.until("pods", "p", lambda p: condition(p, "PodResizePending"))
    assert condition(waiting, "PodResizePending")["reason"] == "Deferred"
    assert "Node didn't have enough resource: memory, requested: " in condition(waiting, "PodResizePending")["message"]

    (await resize(ns, {"resources": resources("10m", "16Mi")})).accepted()
    await ns.until("pods", "p", lambda p: not condition(p, "PodResizePending"))


async def test_limits_are_resized_with_requests(ns: Namespace) -> None:
    both = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "10m", "memory": "64Mi"}}
    await start(ns, resources=both)
    more = {"requests": {"cpu": "20m"}, "limits": {"cpu": "20m"}}

    (await resize(ns, {"resources": more})).accepted()
    pod = await ns.until("pods", "p", lambda p: container_status(p)["resources"]["requests"]["cpu"] == "20m")

    assert container_status(pod)["resources"]["limits"] == {"cpu": "20m", "memory": "64Mi"}


async def test_resizing_what_is_not_there_is_404(ns: Namespace) -> None:
    answer = await ns.api.patch(ns.path("pods", "p") + "/resize", {"spec": {}}, content_type=MERGE)

    assert answer.refused() == (404, "NotFound")


async def test_a_resize_is_a_new_generation_and_the_kubelet_says_which_it_has_seen(
    ns: Namespace, version: tuple[int, int]
) -> None:
    before = await start(ns)

    after = (await resize(ns, {"resources": resources("20m", "32Mi")})).accepted()

    if version >= (1, 34):
        assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
        await ns.until("pods", "p", lambda p: p["status"].get("observedGeneration") == after["metadata"]["generation"])


async def test_who_watches_sees_a_resize_in_progress_before_it_is_done(ns: Namespace) -> None:
    """Promised first (allocatedResources), then given (resources); the condition is there in between, and goes."""
    pod = await start(ns)
    seen: list[Obj] = []

    async with ns.api.watch(ns.path("pods"), resourceVersion=pod["metadata"]["resourceVersion"]) as watch:
        (await resize(ns, {"resources": resources("20m", "32Mi")})).accepted()
        events = await watch.until(
            lambda event: container_status(event.object)["resources"] == resources("20m", "32Mi"), timeout_s=60
        )
        seen = [event.object for event in events]

    for one in seen:
        has, promised = container_status(one)["resources"]["requests"], container_status(one)["allocatedResources"]
        if has != promised:
            assert condition(one, "PodResizeInProgress")["status"] == "True"
            assert condition(one, "PodResizeInProgress").get("reason", "") == ""
    assert any(condition(one, "PodResizeInProgress") for one in seen)
    await ns.until("pods", "p", lambda p: not condition(p, "PodResizeInProgress"))
