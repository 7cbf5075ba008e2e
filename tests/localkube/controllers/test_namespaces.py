"""Claims about namespaces: nothing of them is left, and nobody waits for nothing."""

from __future__ import annotations

from localkube.controllers.namespaces import NamespaceController
from localkube.registry import Obj
from tests.localkube.controllers.conftest import World


def condition(namespace: Obj, kind: str) -> Obj:
    found: Obj = next(one for one in namespace["status"]["conditions"] if one["type"] == kind)
    return found


async def test_a_namespace_goes_with_all_that_is_in_it(world: World) -> None:
    world.start(NamespaceController)
    world.create("configmaps", "c")
    world.create("secrets", "s")
    world.create("statefulsets.apps", "w", spec=workload())

    world.registry.delete("namespaces", None, "default")
    await world.until(lambda: world.registry.find("namespaces", None, "default") is None)

    left = [obj for _, _, obj in world.registry.everything() if obj is not None]
    assert left == []


async def test_it_waits_for_a_pod_to_stop_and_says_so(world: World) -> None:
    world.start(NamespaceController)
    world.pod("p")

    world.registry.delete("namespaces", None, "default")
    await world.until(lambda: "deletionTimestamp" in world.get("pods", "p")["metadata"])
    await world.settled()
    waiting = world.registry.get("namespaces", None, "default")
    world.ends("p")

    await world.until(lambda: world.registry.find("namespaces", None, "default") is None)
    assert waiting["status"]["phase"] == "Terminating"
    said = condition(waiting, "NamespaceContentRemaining")
    assert said["message"] == "Some resources are remaining: pods has 1 resource instances"


async def test_it_waits_for_whoever_holds_a_finalizer_and_says_so(world: World) -> None:
    world.start(NamespaceController)
    world.create("configmaps", "c", metadata={"finalizers": ["x.io/hold"]})

    world.registry.delete("namespaces", None, "default")
    await world.until(lambda: "deletionTimestamp" in world.get("configmaps", "c")["metadata"])
    await world.settled()
    waiting = world.registry.get("namespaces", None, "default")
    world.change("configmaps", "c", metadata={**world.get("configmaps", "c")["metadata"], "finalizers": []})

    await world.until(lambda: world.registry.find("namespaces", None, "default") is None)
    said = condition(waiting, "NamespaceFinalizersRemaining")["message"]
    assert said == "Some content in the namespace has finalizers remaining: x.io/hold in 1 resource instances"


async def test_an_empty_namespace_goes_without_more_ado(world: World) -> None:
    world.start(NamespaceController)
    world.registry.create("namespaces", {"metadata": {"name": "empty"}})

    world.registry.delete("namespaces", None, "empty")

    await world.until(lambda: world.registry.find("namespaces", None, "empty") is None)


async def test_a_namespace_that_was_terminating_in_an_earlier_life_goes(world: World) -> None:
    world.create("configmaps", "c")
    world.registry.delete("namespaces", None, "default")

    world.start(NamespaceController)

    await world.until(lambda: world.registry.find("namespaces", None, "default") is None)


async def test_every_namespace_has_a_default_account_and_gets_it_back(world: World) -> None:
    world.start(NamespaceController)
    await world.until(lambda: world.find("serviceaccounts", "default"))

    world.registry.delete("serviceaccounts", "default", "default")

    await world.until(lambda: world.find("serviceaccounts", "default"))


async def test_another_namespace_is_left_alone(world: World) -> None:
    world.start(NamespaceController)
    world.create("configmaps", "c")
    world.registry.create("namespaces", {"metadata": {"name": "other"}})
    world.registry.create("configmaps", {"metadata": {"name": "c", "namespace": "other"}})

    world.registry.delete("namespaces", None, "other")
    await world.until(lambda: world.registry.find("namespaces", None, "other") is None)

    assert world.names("configmaps") == ["c"]


def workload() -> Obj:
    labels = {"app": "a"}
    containers = [{"name": "c", "image": "redis:7"}]
    return {
        "serviceName": "s",
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
    }
