"""Claims about a Service's addresses: who gives them, who may choose them, when they are free again."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from localkube.controllers.services import NODE_PORTS, ServiceController
from localkube.errors import ApiError
from tests.localkube.controllers.conftest import World

Obj = dict[str, Any]


def service(world: World, name: str = "s", /, **spec: Any) -> Obj:
    return world.create("services", name, spec={"ports": [{"port": 6379}], **spec})


def node_ports(made: Obj) -> list[int | None]:
    return [port.get("nodePort") for port in made["spec"]["ports"]]


async def test_the_answer_to_a_create_shows_the_cluster_ip(world: World) -> None:
    world.start(ServiceController)

    spec = service(world)["spec"]

    assert spec["clusterIP"].startswith(f"127.{world.settings.block + 64}.")
    assert [spec["clusterIP"]] == spec["clusterIPs"]


async def test_no_two_services_share_an_address(world: World) -> None:
    world.start(ServiceController)

    given = [service(world, f"s{number}")["spec"]["clusterIP"] for number in range(300)]

    assert len(set(given)) == 300


async def test_a_freed_address_is_not_given_again_soon(world: World) -> None:
    world.start(ServiceController)
    first = service(world)["spec"]["clusterIP"]
    world.registry.delete("services", "default", "s")

    assert first != service(world)["spec"]["clusterIP"]


async def test_addresses_of_an_earlier_life_are_known(world: World) -> None:
    address = f"127.{world.settings.block + 64}.0.1"
    service(world, "old", clusterIP=address)
    world.start(ServiceController)

    assert address != service(world)["spec"]["clusterIP"]


async def test_a_headless_service_has_no_address(world: World) -> None:
    world.start(ServiceController)

    assert service(world, clusterIP="None")["spec"]["clusterIP"] == "None"


async def test_an_address_may_be_chosen_once(world: World) -> None:
    world.start(ServiceController)
    chosen = f"127.{world.settings.block + 64}.3.3"
    service(world, clusterIP=chosen)

    with pytest.raises(ApiError) as refused:
        service(world, "other", clusterIP=chosen)

    assert refused.value.code == 422
    assert "provided IP is already allocated" in refused.value.message


@pytest.mark.parametrize("foreign", ["10.0.0.1", "127.1.2.3", "nonsense"])
async def test_an_address_of_somebody_else_is_refused(world: World, foreign: str) -> None:
    world.start(ServiceController)

    with pytest.raises(ApiError) as refused:
        service(world, clusterIP=foreign)

    assert "is not in the valid range" in refused.value.message


async def test_a_refused_or_dry_write_takes_nothing(world: World) -> None:
    world.start(ServiceController)
    wanted = f"127.{world.settings.block + 64}.3.3"
    head = {"name": "dry", "namespace": "default"}
    world.registry.create(
        "services", {"metadata": head, "spec": {"clusterIP": wanted, "ports": [{"port": 1}]}}, dry_run=True
    )

    assert service(world, clusterIP=wanted)["spec"]["clusterIP"] == wanted


async def test_node_ports_are_given_from_their_range_and_differ(world: World) -> None:
    world.start(ServiceController)

    ports = node_ports(service(world, type="NodePort", ports=[{"name": "a", "port": 1}, {"name": "b", "port": 2}]))

    assert len(set(ports)) == 2
    assert all(port in NODE_PORTS for port in ports)


async def test_a_node_port_may_be_chosen_once(world: World) -> None:
    world.start(ServiceController)
    service(world, type="NodePort", ports=[{"port": 1, "nodePort": 30123}])

    with pytest.raises(ApiError) as refused:
        service(world, "other", type="NodePort", ports=[{"port": 1, "nodePort": 30123}])

    expected = (
        'Service "other" is invalid: spec.ports[0].nodePort: Invalid value: 30123: provided port is already allocated'
    )
    assert expected == refused.value.message


async def test_a_node_port_out_of_range_is_refused(world: World) -> None:
    world.start(ServiceController)

    with pytest.raises(ApiError, match="The range of valid ports is 30000-32767"):
        service(world, type="NodePort", ports=[{"port": 1, "nodePort": 80}])


async def test_an_update_that_leaves_them_out_keeps_address_and_node_ports(world: World) -> None:
    world.start(ServiceController)
    made = service(world, type="NodePort")

    again = world.change("services", "s", spec={"type": "NodePort", "ports": [{"port": 6379, "targetPort": 7}]})

    assert (made["spec"]["clusterIP"], node_ports(made)) == (again["spec"]["clusterIP"], node_ports(again))


async def test_a_service_that_becomes_internal_gives_its_node_port_back(world: World) -> None:
    world.start(ServiceController)
    made = service(world, type="NodePort")

    internal = world.change("services", "s", spec={**made["spec"], "type": "ClusterIP"})

    assert node_ports(internal) == [None]
    port = node_ports(made)[0]
    assert node_ports(service(world, "t", type="NodePort", ports=[{"port": 1, "nodePort": port}])) == [port]


async def test_an_internal_service_may_not_ask_for_a_node_port(world: World) -> None:
    world.start(ServiceController)

    with pytest.raises(ApiError, match="may not be used when `type` is 'ClusterIP'"):
        service(world, ports=[{"port": 1, "nodePort": 30123}])


async def test_a_service_that_becomes_external_gives_its_address_back(world: World) -> None:
    world.start(ServiceController)
    made = service(world)

    external = world.change("services", "s", spec={"type": "ExternalName", "externalName": "example.org"})

    assert "clusterIP" not in external["spec"]
    address = made["spec"]["clusterIP"]
    assert service(world, "t", clusterIP=address)["spec"]["clusterIP"] == address


async def test_a_port_that_something_else_holds_is_not_given(world: World, tmp_path: Path) -> None:
    world.start(ServiceController)
    [first] = node_ports(service(world, type="NodePort"))
    twin = World(tmp_path, world.settings.block)  # so that it would choose the very same port
    twin.start(ServiceController)

    with socket.create_server(("127.0.0.1", first or 0)):
        [given] = node_ports(service(twin, type="NodePort"))

    await twin.stop()
    assert given in NODE_PORTS
    assert given != first


async def test_a_load_balancer_gets_an_outside_address_of_its_own(world: World) -> None:
    world.start(ServiceController)
    made = service(world, type="LoadBalancer")

    await world.until(lambda: world.get("services", "s")["status"]["loadBalancer"])

    ingress = world.get("services", "s")["status"]["loadBalancer"]["ingress"]
    assert ingress[0]["ip"].startswith(f"127.{world.settings.block + 64}.128.")
    assert ingress[0]["ip"] != made["spec"]["clusterIP"]
    assert node_ports(made) != [None]


async def test_an_outside_address_that_somebody_else_wrote_is_theirs(world: World) -> None:
    world.start(ServiceController)
    made = service(world, type="LoadBalancer")
    await world.until(lambda: world.get("services", "s")["status"]["loadBalancer"])
    theirs = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}

    world.change("services", "s", subresource="status", status=theirs)
    world.change("services", "s", spec={**made["spec"], "sessionAffinity": "ClientIP"})
    await world.settled()

    assert world.get("services", "s")["status"] == theirs


async def test_a_load_balancer_may_do_without_node_ports(world: World) -> None:
    world.start(ServiceController)

    assert node_ports(service(world, type="LoadBalancer", allocateLoadBalancerNodePorts=False)) == [None]


async def test_the_outside_address_goes_when_the_type_does(world: World) -> None:
    world.start(ServiceController)
    made = service(world, type="LoadBalancer")
    await world.until(lambda: world.get("services", "s")["status"]["loadBalancer"])

    spec = {name: value for name, value in made["spec"].items() if name != "externalTrafficPolicy"}
    world.change("services", "s", spec={**spec, "type": "ClusterIP"})

    await world.until(lambda: not world.get("services", "s")["status"]["loadBalancer"])
