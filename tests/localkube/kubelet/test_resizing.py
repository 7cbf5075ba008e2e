"""Claims of the room a node has: who waits for it gets it, and what was promised outlives the node's own restart."""

from __future__ import annotations

from typing import Any

from tests.localkube.kubelet.conftest import House, shell

Obj = dict[str, Any]


def asking(memory: str, **container: Any) -> Obj:
    return shell("exec sleep 60", resources={"requests": {"memory": memory}}, **container)


def resize(house: House, memory: str, name: str = "p") -> None:
    pod = house.pod(name)
    [container] = pod["spec"]["containers"]
    asked = {**container, "resources": {"requests": {"memory": memory}}}
    house.registry.update("pods", {**pod, "spec": {**pod["spec"], "containers": [asked]}}, subresource="resize")


def given(house: House, name: str = "p") -> str:
    memory: str = house.container(pod=name).get("allocatedResources", {}).get("memory", "")
    return memory


def pending(house: House, name: str = "p") -> str | None:
    conditions = house.status(name).get("conditions") or []
    return next((one["reason"] for one in conditions if one["type"] == "PodResizePending"), None)


async def test_who_waits_for_room_has_it_when_a_neighbour_goes(house: House) -> None:
    house.run(asking("1Gi"))
    house.run(asking("1Gi"), name="neighbour")
    await house.until_ready()
    await house.until_ready("neighbour")

    resize(house, "64Gi")
    await house.until(lambda: pending(house) == "Deferred")
    house.registry.delete("pods", "default", "neighbour", grace_s=0)
    await house.until(lambda: given(house) == "64Gi")

    assert pending(house) is None
    assert house.container()["restartCount"] == 0


async def test_who_waits_for_room_has_it_when_a_neighbour_needs_less(house: House) -> None:
    house.run(asking("1Gi"))
    house.run(asking("32Gi"), name="neighbour")
    await house.until_ready()
    await house.until_ready("neighbour")

    resize(house, "60Gi")
    await house.until(lambda: pending(house) == "Deferred")
    resize(house, "4Gi", "neighbour")
    await house.until(lambda: given(house) == "60Gi")

    assert pending(house) is None


async def test_less_is_given_however_full_the_node_is(house: House) -> None:
    house.run(asking("40Gi"))
    house.run(asking("40Gi"), name="neighbour")  # bound by hand: more than there is
    await house.until_ready()
    await house.until_ready("neighbour")

    resize(house, "39Gi")

    await house.until(lambda: given(house) == "39Gi")


async def test_a_restarted_node_keeps_to_what_it_promised(house: House) -> None:
    house.run(asking("1Gi"))
    house.run(asking("1Gi"), name="neighbour")
    await house.until_ready()
    await house.until_ready("neighbour")
    resize(house, "64Gi")
    await house.until(lambda: pending(house) == "Deferred")

    await house.kubelet.stop()
    house.kubelet.start()
    await house.until(lambda: house.container()["restartCount"] == 1 and house.is_ready())

    assert (given(house), pending(house)) == ("1Gi", "Deferred")


async def test_a_pod_that_has_ended_takes_no_room(house: House) -> None:
    house.run(asking("1Gi"))
    over = shell("exit 0", resources={"requests": {"memory": "60Gi"}})
    house.run(over, name="neighbour", restartPolicy="Never")
    await house.until_ready()
    await house.until(lambda: house.status("neighbour").get("phase") == "Succeeded")

    resize(house, "60Gi")

    await house.until(lambda: given(house) == "60Gi")
