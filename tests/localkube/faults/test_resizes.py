"""Claims: a fault holds a resize at each of the stages that a kubelet knows, and undone, it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from localkube.errors import ApiError
from localkube.faults import BadFault
from localkube.faults.injector import ResizeStage
from tests.localkube.faults.conftest import House

Obj = dict[str, Any]
SMALL, LARGE = {"requests": {"memory": "16Mi"}}, {"requests": {"memory": "32Mi"}}


async def start(house: House, resources: Obj = SMALL) -> None:
    container = {"name": "c", "image": "busybox", "command": ["sleep", "1000"], "resources": resources}
    await house.run("p", "", containers=[container])


def resize(house: House, resources: Obj = LARGE) -> None:
    pod = house.pod("p")
    [container] = pod["spec"]["containers"]
    spec = {**pod["spec"], "containers": [{**container, "resources": resources}]}
    house.cluster.registry.update("pods", {**pod, "spec": spec}, subresource="resize")


def told(house: House) -> tuple[str, str, Obj]:
    """What the pod says: memory promised, memory had, and its conditions about resizes by type."""
    status = house.pod("p")["status"]
    [container] = status["containerStatuses"]
    conditions = {one["type"]: one for one in status["conditions"] if one["type"].startswith("PodResize")}
    return container["allocatedResources"]["memory"], container["resources"]["requests"]["memory"], conditions


def reason(house: House, kind: str) -> str | None:
    condition = told(house)[2].get(kind)
    return None if condition is None else condition.get("reason", "")


@pytest.mark.parametrize(
    ("at", "promised", "kind", "why"),
    [
        ("deferred", "16Mi", "PodResizePending", "Deferred"),
        ("infeasible", "16Mi", "PodResizePending", "Infeasible"),
        ("in-progress", "32Mi", "PodResizeInProgress", ""),
        ("error", "32Mi", "PodResizeInProgress", "Error"),
    ],
)
async def test_a_resize_goes_no_further_until_the_fault_is_undone(
    house: House, at: ResizeStage, promised: str, kind: str, why: str
) -> None:
    await start(house)

    async with house.faults.resize_held("p", at):
        resize(house)
        await house.until(lambda: reason(house, kind) == why)
        assert told(house)[:2] == (promised, "16Mi")
        assert list(told(house)[2]) == [kind]
    await house.until(lambda: told(house) == ("32Mi", "32Mi", {}))

    assert house.restarts("p") == 0


async def test_the_words_of_a_refusal_are_a_kubelets_or_the_callers_own(house: House) -> None:
    await start(house)

    async with house.faults.resize_held("default/*", "deferred"):
        resize(house)
        await house.until(lambda: reason(house, "PodResizePending") == "Deferred")
        assert told(house)[2]["PodResizePending"]["message"] == (
            "Node didn't have enough resource: memory, requested: 33554432, used: 68685922305, capacity: 68719476736"
        )
        async with house.faults.resize_held("p", "error", message="it was to fail"):
            await house.until(lambda: reason(house, "PodResizeInProgress") == "Error")
            assert told(house)[2]["PodResizeInProgress"]["message"] == "it was to fail"


async def test_who_asks_for_what_it_has_is_held_by_nothing(house: House) -> None:
    await start(house)

    async with house.faults.resize_held("p", "error"):
        resize(house)
        await house.until(lambda: reason(house, "PodResizeInProgress") == "Error")
        resize(house, SMALL)
        await house.until(lambda: told(house) == ("16Mi", "16Mi", {}))


async def test_a_container_that_begins_anew_has_what_was_promised(house: House) -> None:
    await start(house)

    async with house.faults.resize_held("p", "in-progress"):
        resize(house)
        await house.until(lambda: reason(house, "PodResizeInProgress") == "")
        house.faults.kill("p")
        await house.until(lambda: house.restarts("p") == 1 and told(house) == ("32Mi", "32Mi", {}))


async def test_other_pods_are_resized_as_ever(house: House) -> None:
    await start(house)

    async with house.faults.resize_held(("q", "default/app=redis", "other/*"), "deferred"):
        resize(house)

        await house.until(lambda: told(house) == ("32Mi", "32Mi", {}))


async def test_what_the_node_could_never_give_is_refused_at_once(house: House) -> None:
    await start(house)

    with pytest.raises(ApiError) as refused:
        resize(house, {"requests": {"memory": "65Gi"}})

    assert (refused.value.code, refused.value.message) == (
        403,
        'pods "p" is forbidden: node didn\'t have enough allocatable resources: '
        "memory, requested: 69793218560, allocatable: 68719476736",
    )
    assert refused.value.details is not None
    assert refused.value.details["causes"] == [{"reason": "NodeCapacity"}]


@pytest.mark.parametrize("words", ["node:node-1", "everyone", "a/b/c", ()])
async def test_a_fault_of_resizes_names_pods(house: House, words: Any) -> None:
    with pytest.raises(BadFault):
        async with house.faults.resize_held(words, "error"):
            pass
