"""Claims: a Service's address leads to the ready pods behind it, or to the endpoints that somebody wrote."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conformance.answers import PORT, Standing, build_obedient_redis, ping, tell, until_answer
from tests.conformance.client import Obj
from tests.conformance.namespace import (
    Namespace,
    build_pod_spec,
    build_redis,
    build_service,
    build_statefulset,
    is_ready,
    names,
)


async def start_redis(ns: Namespace, name: str, **fields: Any) -> Obj:
    """A ready Redis whose key `who` holds its pod's name."""
    await ns.run(name, labels={"app": "redis"}, containers=[build_redis(**fields)])
    pod = await ns.until("pods", name, is_ready)
    assert await ping(pod["status"]["podIP"], PORT, "SET", "who", name) == "+OK"
    return pod


def addresses(endpoints: Obj, kind: str = "addresses") -> list[str]:
    return sorted(a["ip"] for subset in endpoints.get("subsets") or [] for a in subset.get(kind) or [])


async def test_a_cluster_ip_is_given_and_kept(ns: Namespace) -> None:
    made = await ns.create("services", build_service("a", selector={"app": "redis"}))

    changed = (await ns.api.patch(ns.path("services", "a"), {"spec": {"ports": [{"port": 7000}]}})).accepted()
    refused = await ns.api.patch(ns.path("services", "a"), {"spec": {"clusterIP": "10.96.200.200"}})

    assert made["spec"]["type"] == "ClusterIP"
    assert changed["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    assert refused.refused() == (422, "Invalid")


async def test_a_cluster_ip_leads_to_a_ready_pod(ns: Namespace) -> None:
    service = await ns.create("services", build_service("a", selector={"app": "redis"}))
    pod = await start_redis(ns, "one")

    await until_answer(service["spec"]["clusterIP"], PORT, "one", "GET", "who")
    endpoints = await ns.until("endpoints", "a", addresses)

    [subset] = endpoints["subsets"]
    [address] = subset["addresses"]
    assert (address["ip"], address["targetRef"]["kind"], address["targetRef"]["name"]) == (
        pod["status"]["podIP"],
        "Pod",
        "one",
    )
    assert subset["ports"] == [{"name": "redis", "port": PORT, "protocol": "TCP"}]


async def test_a_cluster_ip_follows_readiness(ns: Namespace) -> None:
    service = await ns.create("services", build_service("a", selector={"app": "redis"}))
    await ns.run("one", labels={"app": "redis"}, containers=[build_obedient_redis()])
    pod = await ns.until("pods", "one", lambda p: p["status"].get("podIP"))

    await tell(pod, "yes")
    await until_answer(service["spec"]["clusterIP"], PORT, "+PONG")
    await tell(pod, "no")
    unready = await ns.until("endpoints", "a", lambda e: addresses(e, "notReadyAddresses"))
    await until_answer(service["spec"]["clusterIP"], PORT, None)
    await tell(pod, "yes")
    await until_answer(service["spec"]["clusterIP"], PORT, "+PONG")

    assert (addresses(unready), addresses(unready, "notReadyAddresses")) == ([], [pod["status"]["podIP"]])


async def test_a_deleted_pod_leaves_the_endpoints(ns: Namespace) -> None:
    service = await ns.create("services", build_service("a", selector={"app": "redis"}))
    await start_redis(ns, "one")
    two = await start_redis(ns, "two")
    await ns.until("endpoints", "a", lambda e: len(addresses(e)) == 2)

    await ns.api.delete(ns.path("pods", "one"))
    left = await ns.until("endpoints", "a", lambda e: len(addresses(e)) == 1)

    assert addresses(left) == [two["status"]["podIP"]]
    await until_answer(service["spec"]["clusterIP"], PORT, "two", "GET", "who")


async def test_a_target_port_may_be_a_number_or_a_name(ns: Namespace) -> None:
    ports = [{"name": "n", "port": 7001, "targetPort": PORT}, {"name": "s", "port": 7002, "targetPort": "redis"}]
    service = await ns.create("services", build_service("a", selector={"app": "redis"}, ports=ports))
    await start_redis(ns, "one")

    await until_answer(service["spec"]["clusterIP"], 7001, "one", "GET", "who")
    await until_answer(service["spec"]["clusterIP"], 7002, "one", "GET", "who")


async def test_a_headless_service_has_endpoints_and_no_address(ns: Namespace) -> None:
    made = await ns.create("services", build_service("a", selector={"app": "redis"}, clusterIP="None"))
    pod = await start_redis(ns, "one")

    endpoints = await ns.until("endpoints", "a", addresses)

    assert (made["spec"]["clusterIP"], addresses(endpoints)) == ("None", [pod["status"]["podIP"]])


async def test_endpoints_of_pods_that_are_not_ready_can_be_asked_for(ns: Namespace) -> None:
    """So do members of a cluster find each other before any of them is ready."""
    body = build_service("a", selector={"app": "redis"}, clusterIP="None", publishNotReadyAddresses=True)
    await ns.create("services", body)
    never = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    await ns.run("one", labels={"app": "redis"}, containers=[build_redis(readinessProbe=never)])

    endpoints = await ns.until("endpoints", "a", addresses)

    assert addresses(endpoints) == [(await ns.read("pods", "one"))["status"]["podIP"]]


async def test_a_service_without_selector_leads_where_its_endpoints_say(ns: Namespace) -> None:
    one, two = await start_redis(ns, "one"), await start_redis(ns, "two")
    service = await ns.create("services", build_service("a"))

    def endpoints(pod: Obj) -> Obj:
        subset = {"addresses": [{"ip": pod["status"]["podIP"]}], "ports": [{"name": "redis", "port": PORT}]}
        return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "a"}, "subsets": [subset]}

    (await ns.api.apply(ns.path("endpoints", "a"), endpoints(one))).accepted()
    await until_answer(service["spec"]["clusterIP"], PORT, "one", "GET", "who")
    (await ns.api.apply(ns.path("endpoints", "a"), endpoints(two))).accepted()
    await until_answer(service["spec"]["clusterIP"], PORT, "two", "GET", "who")

    assert addresses(await ns.read("endpoints", "a")) == [two["status"]["podIP"]]


@pytest.mark.needs_version("1.21")
async def test_a_service_without_selector_leads_where_its_slices_say(ns: Namespace) -> None:
    one, two = await start_redis(ns, "one"), await start_redis(ns, "two")
    service = await ns.create("services", build_service("a"))

    def endpoint_slice(pod: Obj) -> Obj:
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "a-written",
                "labels": {"kubernetes.io/service-name": "a", "endpointslice.kubernetes.io/managed-by": "conformance"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [pod["status"]["podIP"]], "conditions": {"ready": True}}],
            "ports": [{"name": "redis", "port": PORT, "protocol": "TCP"}],
        }

    (await ns.api.apply(ns.path("endpointslices", "a-written"), endpoint_slice(one))).accepted()
    await until_answer(service["spec"]["clusterIP"], PORT, "one", "GET", "who")
    (await ns.api.apply(ns.path("endpointslices", "a-written"), endpoint_slice(two))).accepted()
    await until_answer(service["spec"]["clusterIP"], PORT, "two", "GET", "who")

    assert names(await ns.items("endpointslices")) == ["a-written"]


@pytest.mark.needs_version("1.21")
async def test_slices_mirror_the_ready_pods(ns: Namespace) -> None:
    service = await ns.create("services", build_service("a", selector={"app": "redis"}))
    pod = await start_redis(ns, "one")

    [found] = await ns.until_list(
        "endpointslices",
        lambda slices: slices and slices[0]["endpoints"] and slices[0]["endpoints"][0]["conditions"]["ready"],
        labelSelector="kubernetes.io/service-name=a",
    )

    assert found["endpoints"][0]["addresses"] == [pod["status"]["podIP"]]
    assert found["ports"] == [{"name": "redis", "port": PORT, "protocol": "TCP"}]
    assert found["metadata"]["ownerReferences"][0]["uid"] == service["metadata"]["uid"]


async def test_a_node_port_answers_on_the_machine(ns: Namespace) -> None:
    service = await ns.create("services", build_service("a", selector={"app": "redis"}, type="NodePort"))
    await start_redis(ns, "one")
    node_port = service["spec"]["ports"][0]["nodePort"]

    await until_answer(urlsplit(ns.api.access.server).hostname or "", node_port, "one", "GET", "who")

    assert 30000 <= node_port <= 32767
    for node in (await ns.api.read("/api/v1/nodes"))["items"]:
        [address] = [one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP"]
        await until_answer(address, node_port, "one", "GET", "who")


async def test_a_service_changes_its_type_and_keeps_its_address(ns: Namespace) -> None:
    path = ns.path("services", "a")
    made = await ns.create("services", build_service("a", selector={"app": "redis"}))

    open_ = (await ns.api.patch(path, {"spec": {"type": "NodePort"}})).accepted()
    closed = (
        await ns.api.put(path, open_ | {"spec": made["spec"] | {"type": "ClusterIP", "ports": made["spec"]["ports"]}})
    ).accepted()

    assert open_["spec"]["ports"][0]["nodePort"] >= 30000
    assert "nodePort" not in closed["spec"]["ports"][0]
    assert {o["spec"]["clusterIP"] for o in (made, open_, closed)} == {made["spec"]["clusterIP"]}


async def test_a_node_port_in_use_is_refused(ns: Namespace) -> None:
    first = await ns.create("services", build_service("a", type="NodePort"))
    taken = first["spec"]["ports"][0]["nodePort"]

    answer = await ns.api.post(
        ns.path("services"), build_service("b", type="NodePort", ports=[{"port": PORT, "nodePort": taken}])
    )

    assert answer.refused() == (422, "Invalid")
    assert f"Invalid value: {taken}: provided port is already allocated" in answer.message


async def test_a_load_balancer_that_nobody_serves_stays_pending(ns: Namespace) -> None:
    made = await ns.create("services", build_service("a", type="LoadBalancer"))

    assert made["spec"]["ports"][0]["nodePort"] >= 30000
    assert made["status"] == {"loadBalancer": {}}


async def test_the_address_of_a_load_balancer_is_what_its_controller_writes(ns: Namespace) -> None:
    """What comes after it, a change of the Service, leaves it alone."""
    await ns.create("services", build_service("a", selector={"app": "redis"}, type="LoadBalancer"))
    await start_redis(ns, "one")
    written = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}

    (await ns.api.patch(ns.path("services", "a") + "/status", {"status": written})).accepted()
    changed = {"spec": {"ports": [{"name": "other", "port": 7000, "targetPort": PORT}]}}
    (await ns.api.patch(ns.path("services", "a"), changed)).accepted()
    await ns.until("endpoints", "a", lambda e: [s["ports"][0]["name"] for s in e.get("subsets") or []] == ["other"])

    [ingress] = (await ns.read("services", "a"))["status"]["loadBalancer"]["ingress"]
    assert ingress["ip"] == "203.0.113.7"


@pytest.mark.needs_version("1.29")
async def test_only_a_load_balancer_has_an_address_outside(ns: Namespace) -> None:
    await ns.create("services", build_service("a"))
    written = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}}

    answer = await ns.api.patch(ns.path("services", "a") + "/status", written)

    assert answer.refused() == (422, "Invalid")
    assert "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is" in answer.message


async def test_a_service_that_changes_its_type_goes_on_answering(ns: Namespace) -> None:
    """New connections get through after each change, and one that stands outlives them all."""
    path = ns.path("services", "a")
    made = await ns.create("services", build_service("a", selector={"app": "redis"}))
    await start_redis(ns, "one")
    address, machine = made["spec"]["clusterIP"], urlsplit(ns.api.access.server).hostname or ""
    await until_answer(address, PORT, "one", "GET", "who")

    async with Standing(address, PORT) as standing:
        for kind in ("NodePort", "LoadBalancer", "ClusterIP", "LoadBalancer", "NodePort"):
            now = (await ns.api.patch(path, {"spec": {"type": kind}})).accepted()

            assert now["spec"]["clusterIP"] == address
            assert await ping(address, PORT, "GET", "who") == "one"
            assert await standing.ask("GET", "who") == "one"
            assert ("nodePort" in now["spec"]["ports"][0]) is (kind != "ClusterIP")
            if kind != "ClusterIP":
                await until_answer(machine, now["spec"]["ports"][0]["nodePort"], "one", "GET", "who")


async def test_a_standing_connection_stays_with_an_endpoint_that_is_taken_away(ns: Namespace) -> None:
    """Only new connections follow the endpoints: whoever moves them has to end the old ones."""
    one, two = await start_redis(ns, "one"), await start_redis(ns, "two")
    service = await ns.create("services", build_service("a"))

    def endpoints(pod: Obj) -> Obj:
        subset = {"addresses": [{"ip": pod["status"]["podIP"]}], "ports": [{"name": "redis", "port": PORT}]}
        return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "a"}, "subsets": [subset]}

    address = service["spec"]["clusterIP"]
    (await ns.api.apply(ns.path("endpoints", "a"), endpoints(one))).accepted()
    await until_answer(address, PORT, "one", "GET", "who")

    async with Standing(address, PORT) as standing:
        assert await standing.ask("GET", "who") == "one"
        (await ns.api.apply(ns.path("endpoints", "a"), endpoints(two))).accepted()
        await until_answer(address, PORT, "two", "GET", "who")

        assert [await ping(address, PORT, "GET", "who") for _ in range(5)] == ["two"] * 5
        assert await standing.ask("GET", "who") == "one"


async def test_each_pod_of_a_stateful_set_can_have_a_door_of_its_own(ns: Namespace) -> None:
    """By its name's label, before it is ready, and on a node port that stays with the name."""
    never = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    template = build_pod_spec(containers=[build_redis(readinessProbe=never)])
    await ns.takes_pods()
    body = build_statefulset("db", replicas=2, template=template, podManagementPolicy="Parallel")
    await ns.create("statefulsets", body)
    doors, uids = {}, {}
    for pod in ("db-0", "db-1"):
        selector = {"statefulset.kubernetes.io/pod-name": pod}
        service = build_service(pod, selector=selector, type="NodePort", publishNotReadyAddresses=True)
        doors[pod] = (await ns.create("services", service))["spec"]["ports"][0]["nodePort"]
    machine = urlsplit(ns.api.access.server).hostname or ""

    for pod, port in doors.items():
        running = await ns.until("pods", pod, lambda p: p["status"].get("podIP") and p["status"]["phase"] == "Running")
        await until_answer(running["status"]["podIP"], PORT, "+OK", "SET", "who", pod)
        await until_answer(machine, port, pod, "GET", "who")
        uids[pod] = running["metadata"]["uid"]
        assert addresses(await ns.read("endpoints", pod)) == [running["status"]["podIP"]]

    (await ns.api.delete(ns.path("pods", "db-0"))).accepted()
    again = await ns.until("pods", "db-0", lambda p: p["metadata"]["uid"] != uids["db-0"] and p["status"].get("podIP"))
    await until_answer(again["status"]["podIP"], PORT, "+OK", "SET", "who", "again")
    await until_answer(machine, doors["db-0"], "again", "GET", "who")


async def test_a_removed_service_answers_no_more(ns: Namespace) -> None:
    service = await ns.create("services", build_service("a", selector={"app": "redis"}))
    await start_redis(ns, "one")
    await until_answer(service["spec"]["clusterIP"], PORT, "one", "GET", "who")

    (await ns.api.delete(ns.path("services", "a"))).accepted()

    await until_answer(service["spec"]["clusterIP"], PORT, None)
    await ns.api.until_gone(ns.path("endpoints", "a"))


async def test_two_ports_without_names_are_refused(ns: Namespace) -> None:
    answer = await ns.api.post(ns.path("services"), build_service("a", ports=[{"port": 1}, {"port": 2}]))

    assert answer.refused() == (422, "Invalid")
    assert "spec.ports[0].name: Required value" in answer.message


@pytest.mark.needs_version("1.33")
async def test_who_asks_for_endpoints_is_told_that_they_are_deprecated(ns: Namespace) -> None:
    listed = await ns.api.get(ns.path("endpoints"))
    body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "a"}}
    made = await ns.api.post(ns.path("endpoints"), body)

    told = '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
    assert (listed.headers.get("Warning"), made.headers.get("Warning")) == (told, told)
