"""Claims about Endpoints and EndpointSlices: who is in them, and when a client may be sent there."""

from __future__ import annotations

from typing import Any

import pytest

from localkube.controllers.endpoints import EndpointsController
from localkube.controllers.gc import GarbageCollector
from localkube.controllers.mirroring import MirroringController
from localkube.controllers.slices import SLICES
from tests.localkube.controllers.conftest import World

Obj = dict[str, Any]
APP = {"labels": {"app": "a"}}
NAMED = {"containers": [{"name": "c", "image": "redis:7", "ports": [{"name": "redis", "containerPort": 7001}]}]}


def service(world: World, name: str = "s", /, *, port: Obj | None = None, **spec: Any) -> Obj:
    ports = [{"port": 6379, **(port or {})}]
    # No controller gives addresses here, so the Service brings one.
    full = {"clusterIP": "127.130.0.1", "ports": ports, "selector": {"app": "a"}, **spec}
    return world.create("services", name, spec={key: value for key, value in full.items() if value is not None})


def slices(world: World, name: str = "s") -> list[Obj]:
    return world.registry.list(SLICES, "default", labels={"kubernetes.io/service-name": name})


def in_slices(world: World, name: str = "s") -> dict[str, bool]:
    """Address and readiness."""
    ends = [end for one in slices(world, name) for end in one["endpoints"]]
    return {end["addresses"][0]: end["conditions"]["ready"] for end in ends}


def in_endpoints(world: World, kind: str = "addresses", name: str = "s") -> list[str]:
    found = world.find("endpoints", name) or {}
    return [address["ip"] for subset in found.get("subsets", []) for address in subset.get(kind, [])]


async def test_a_ready_pod_is_an_address_and_one_that_is_not_ready_is_told_apart(world: World) -> None:
    world.start(EndpointsController)
    service(world)
    world.pod("p", metadata=APP)
    world.pod("q", metadata=APP)

    world.runs("p", ip="127.0.0.2")
    world.runs("q", ip="127.0.0.3", ready=False)
    await world.until(lambda: in_slices(world) == {"127.0.0.2": True, "127.0.0.3": False})

    assert (in_endpoints(world), in_endpoints(world, "notReadyAddresses")) == (["127.0.0.2"], ["127.0.0.3"])


async def test_readiness_lost_is_seen(world: World) -> None:
    world.start(EndpointsController)
    service(world)
    world.pod("p", metadata=APP)
    world.runs("p", ip="127.0.0.2")
    await world.until(lambda: in_slices(world) == {"127.0.0.2": True})

    world.runs("p", ip="127.0.0.2", ready=False)

    await world.until(lambda: in_slices(world) == {"127.0.0.2": False} and not in_endpoints(world))


async def test_a_pod_that_is_stopping_serves_nobody_new(world: World) -> None:
    world.start(EndpointsController)
    service(world)
    world.pod("p", metadata=APP)
    world.runs("p", ip="127.0.0.2")
    await world.until(lambda: in_slices(world) == {"127.0.0.2": True})

    world.registry.delete("pods", "default", "p")
    await world.until(lambda: in_slices(world) == {"127.0.0.2": False})

    conditions = slices(world)[0]["endpoints"][0]["conditions"]
    assert conditions == {"ready": False, "serving": True, "terminating": True}
    assert in_endpoints(world) + in_endpoints(world, "notReadyAddresses") == []


async def test_publish_not_ready_addresses_calls_every_pod_ready(world: World) -> None:
    world.start(EndpointsController)
    service(world, clusterIP="None", publishNotReadyAddresses=True)
    world.pod("p", metadata=APP)

    world.runs("p", ip="127.0.0.2", ready=False)

    await world.until(lambda: in_slices(world) == {"127.0.0.2": True} and in_endpoints(world) == ["127.0.0.2"])


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_pod_that_is_over_is_no_endpoint(world: World, phase: str) -> None:
    world.start(EndpointsController)
    service(world)
    world.pod("p", metadata=APP)
    world.runs("p", ip="127.0.0.2")
    await world.until(lambda: in_slices(world))

    world.runs("p", ip="127.0.0.2", phase=phase, ready=False)

    await world.until(lambda: not in_slices(world))


async def test_a_pod_leaves_when_its_labels_no_longer_match(world: World) -> None:
    world.start(EndpointsController)
    service(world)
    world.pod("p", metadata=APP)
    world.runs("p", ip="127.0.0.2")
    await world.until(lambda: in_slices(world))

    world.change("pods", "p", metadata={**world.get("pods", "p")["metadata"], "labels": {"app": "other"}})

    await world.until(lambda: not in_slices(world) and not in_endpoints(world))


async def test_a_named_target_port_is_the_pods_own_number(world: World) -> None:
    world.start(EndpointsController)
    service(world, port={"name": "redis", "targetPort": "redis"})
    world.pod("p", metadata=APP, **NAMED)

    world.runs("p", ip="127.0.0.2")
    await world.until(lambda: in_slices(world))

    assert slices(world)[0]["ports"] == [{"name": "redis", "port": 7001, "protocol": "TCP"}]
    assert world.get("endpoints", "s")["subsets"][0]["ports"] == [{"name": "redis", "port": 7001, "protocol": "TCP"}]


async def test_pods_with_different_numbers_behind_one_name_get_slices_of_their_own(world: World) -> None:
    world.start(EndpointsController)
    service(world, port={"targetPort": "redis"})
    other = [{"name": "c", "image": "redis:7", "ports": [{"name": "redis", "containerPort": 7002}]}]
    world.pod("p", metadata=APP, **NAMED)
    world.pod("q", metadata=APP, containers=other)

    world.runs("p", ip="127.0.0.2")
    world.runs("q", ip="127.0.0.3")
    await world.until(lambda: len(in_slices(world)) == 2)

    assert sorted(one["ports"][0]["port"] for one in slices(world)) == [7001, 7002]


async def test_a_pod_without_the_named_port_is_no_endpoint(world: World) -> None:
    world.start(EndpointsController)
    service(world, port={"targetPort": "redis"})
    world.pod("p", metadata=APP)

    world.runs("p", ip="127.0.0.2")
    await world.settled()

    assert in_slices(world) == {}


async def test_a_slice_holds_at_most_a_hundred(world: World) -> None:
    world.start(EndpointsController)
    for number in range(101):
        world.pod(f"p{number}", metadata=APP)
        world.runs(f"p{number}", ip=f"127.0.1.{number}")

    service(world)
    await world.until(lambda: len(in_slices(world)) == 101)

    assert sorted(len(one["endpoints"]) for one in slices(world)) == [1, 100]


async def test_an_endpoint_names_its_pod_node_zone_and_hostname(world: World) -> None:
    zone = {"labels": {"topology.kubernetes.io/zone": "z"}}
    world.registry.create("nodes", {"metadata": {"name": "node-1", **zone}})
    world.start(EndpointsController)
    service(world, clusterIP="None")
    pod = world.pod("p", metadata=APP, hostname="h", subdomain="s")

    world.runs("p", ip="127.0.0.2")
    await world.until(lambda: in_slices(world))

    end = slices(world)[0]["endpoints"][0]
    target = {"kind": "Pod", "namespace": "default", "name": "p", "uid": pod["metadata"]["uid"]}
    assert ("node-1", "z", "h", target) == (end["nodeName"], end["zone"], end["hostname"], end["targetRef"])


async def test_a_headless_service_says_so_on_what_is_made_for_it(world: World) -> None:
    world.start(EndpointsController)

    service(world, clusterIP="None")
    await world.until(lambda: world.names(SLICES) and world.names("endpoints"))

    labels = {"service.kubernetes.io/headless": ""}
    assert labels == world.get("endpoints", "s")["metadata"]["labels"]
    assert labels.items() <= slices(world)[0]["metadata"]["labels"].items()


async def test_a_service_without_selector_is_left_to_its_owner(world: World) -> None:
    world.start(EndpointsController)
    world.pod("p")
    world.runs("p", ip="127.0.0.2")

    service(world, selector=None)
    await world.settled()

    assert (world.names("endpoints"), world.names(SLICES)) == ([], [])


async def test_what_somebody_else_wrote_for_a_service_is_left_alone(world: World) -> None:
    world.start(EndpointsController)
    labels = {"kubernetes.io/service-name": "s", "endpointslice.kubernetes.io/managed-by": "me"}
    mine = world.create(SLICES, "s-slots", metadata={"labels": labels}, addressType="IPv4", endpoints=[])

    service(world)
    await world.until(lambda: len(slices(world)) == 2)
    await world.settled()

    assert mine == world.get(SLICES, "s-slots")


async def test_endpoints_and_slices_go_with_their_service(world: World) -> None:
    world.start(EndpointsController, GarbageCollector)
    service(world)
    await world.until(lambda: world.names(SLICES) and world.names("endpoints"))

    world.registry.delete("services", "default", "s")

    await world.until(lambda: not world.names(SLICES) and not world.names("endpoints"))


async def test_what_was_deleted_by_hand_comes_back(world: World) -> None:
    world.start(EndpointsController)
    service(world)
    await world.until(lambda: world.names(SLICES) and world.names("endpoints"))

    world.registry.delete("endpoints", "default", "s")
    world.registry.delete(SLICES, "default", world.names(SLICES)[0])

    await world.until(lambda: world.names(SLICES) and world.names("endpoints"))


async def test_an_unchanged_world_is_not_written_again(world: World) -> None:
    world.start(EndpointsController)
    service(world, port={"name": "redis"})
    world.pod("p", metadata=APP)
    world.runs("p", ip="127.0.0.2")
    await world.until(lambda: in_slices(world))
    await world.settled()
    before = [obj["metadata"]["resourceVersion"] for one in (SLICES, "endpoints") for obj in world.registry.list(one)]

    world.change("services", "s", metadata={**world.get("services", "s")["metadata"], "annotations": {"a": "b"}})
    await world.settled()

    after = [obj["metadata"]["resourceVersion"] for one in (SLICES, "endpoints") for obj in world.registry.list(one)]
    assert before == after


def written(world: World, *ips: str, name: str = "s", metadata: Obj | None = None) -> Obj:
    """Endpoints as people write them."""
    addresses = [{"ip": ip} for ip in ips]
    subset = {"addresses": addresses, "ports": [{"name": "redis", "port": 7000}]}
    return world.create("endpoints", name, metadata=metadata, subsets=[subset])


async def test_written_endpoints_of_a_service_without_selector_are_mirrored_in_a_slice(world: World) -> None:
    world.start(MirroringController)
    service(world, selector=None)

    written(world, "127.0.0.2")
    await world.until(lambda: in_slices(world) == {"127.0.0.2": True})

    [mirror] = slices(world)
    assert mirror["ports"] == [{"name": "redis", "port": 7000, "protocol": "TCP"}]
    managed_by = mirror["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
    assert managed_by == "endpointslicemirroring-controller.k8s.io"


async def test_a_mirror_follows_what_is_written_until_it_is_deleted(world: World) -> None:
    world.start(MirroringController)
    service(world, selector=None)
    made = written(world, "127.0.0.2")
    await world.until(lambda: in_slices(world) == {"127.0.0.2": True})

    subset = {"notReadyAddresses": [{"ip": "127.0.0.3"}], "ports": made["subsets"][0]["ports"]}
    world.change("endpoints", "s", subsets=[subset])
    await world.until(lambda: in_slices(world) == {"127.0.0.3": False})
    world.registry.delete("endpoints", "default", "s")

    await world.until(lambda: not slices(world))


async def test_endpoints_made_from_a_selector_are_not_mirrored(world: World) -> None:
    world.start(EndpointsController, MirroringController)
    service(world)
    world.pod("p", metadata=APP)

    world.runs("p", ip="127.0.0.2")
    await world.until(lambda: in_endpoints(world))
    await world.settled()

    assert len(slices(world)) == 1


@pytest.mark.parametrize(
    "mark",
    [
        {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}},
    ],
)
async def test_endpoints_that_ask_for_it_are_not_mirrored(world: World, mark: Obj) -> None:
    world.start(MirroringController)
    service(world, selector=None)

    written(world, "127.0.0.2", metadata=mark)
    await world.settled()

    assert slices(world) == []


async def test_a_mirror_goes_when_the_service_gets_a_selector(world: World) -> None:
    world.start(MirroringController)
    made = service(world, selector=None)
    written(world, "127.0.0.2")
    await world.until(lambda: slices(world))

    world.change("services", "s", spec={**made["spec"], "selector": {"app": "a"}})

    await world.until(lambda: not slices(world))
