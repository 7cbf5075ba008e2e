"""Claims: where pods go, and what is said of those that cannot go anywhere."""

from __future__ import annotations

import re

from tests.conformance.client import Obj
from tests.conformance.namespace import (
    Namespace,
    build_container,
    build_deployment,
    build_pod_spec,
    condition,
    is_ready,
)


def apart(app: str) -> Obj:
    """No two pods of the app on one node, as `env: production` wants."""
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


async def nodes(ns: Namespace) -> list[Obj]:
    found: list[Obj] = (await ns.api.read("/api/v1/nodes"))["items"]
    return found


async def until_unschedulable(ns: Namespace, name: str) -> str:
    """The scheduler's word on the pod."""
    pod = await ns.until("pods", name, lambda p: condition(p, "PodScheduled").get("reason") == "Unschedulable")
    assert (condition(pod, "PodScheduled")["status"], pod["status"]["phase"]) == ("False", "Pending")
    return str(condition(pod, "PodScheduled")["message"])


async def test_nodes_are_ready_and_tell_their_capacity(ns: Namespace) -> None:
    found = await nodes(ns)

    assert found
    for node in found:
        assert condition(node, "Ready")["status"] == "True"
        assert {"cpu", "memory", "pods"} <= set(node["status"]["allocatable"])
        assert node["metadata"]["labels"]["kubernetes.io/hostname"]


async def test_pods_that_must_be_apart_are_and_one_too_many_waits(ns: Namespace) -> None:
    await ns.takes_pods()
    count = len(await nodes(ns))
    body = build_deployment("d", replicas=count + 1, template=build_pod_spec(affinity=apart("d")))
    await ns.create("deployments", body)

    placed = await ns.until_list(
        "pods", lambda found: len([p for p in found if is_ready(p)]) == count, labelSelector="app=d"
    )
    [waiting] = [p for p in placed if not p["spec"].get("nodeName")]
    message = await until_unschedulable(ns, waiting["metadata"]["name"])

    assert len({p["spec"]["nodeName"] for p in placed if "nodeName" in p["spec"]}) == count
    assert re.match(
        rf"0/{count} nodes are available: {count} node\(s\) didn't match pod (affinity/)?anti-affinity", message
    )


async def test_a_pod_that_cannot_be_placed_has_an_event_that_says_why(ns: Namespace) -> None:
    made = await ns.run("p", nodeSelector={"conformance.example.com/absent": "yes"})
    count = len(await nodes(ns))

    message = await until_unschedulable(ns, "p")
    event, *_ = await ns.until_list(
        "events",
        lambda found: found,
        fieldSelector=f"involvedObject.uid={made['metadata']['uid']},reason=FailedScheduling",
    )

    assert message.startswith(f"0/{count} nodes are available: {count} node(s) didn't match")
    assert (event["type"], event["message"].rstrip(".")) == ("Warning", message.rstrip("."))


async def test_a_pod_that_asks_for_too_much_is_told_of_what(ns: Namespace) -> None:
    await ns.run("p", containers=[build_container(resources={"requests": {"cpu": "9000", "memory": "1Mi"}})])
    count = len(await nodes(ns))

    assert f"0/{count} nodes are available: {count} Insufficient cpu" in await until_unschedulable(ns, "p")


async def test_a_pod_that_waits_goes_when_what_held_it_is_gone(ns: Namespace) -> None:
    count = len(await nodes(ns))
    for number in range(count + 1):
        await ns.run(f"p-{number}", labels={"app": "p"}, affinity=apart("p"))
    pods = await ns.until_list("pods", lambda found: len([p for p in found if is_ready(p)]) == count)
    [waiting] = [p["metadata"]["name"] for p in pods if "nodeName" not in p["spec"]]
    placed = next(p["metadata"]["name"] for p in pods if "nodeName" in p["spec"])

    (await ns.api.delete(ns.path("pods", placed))).accepted()

    pod = await ns.until("pods", waiting, is_ready, 60)
    assert condition(pod, "PodScheduled")["status"] == "True"


async def test_a_node_can_be_named_by_a_label(ns: Namespace) -> None:
    host = (await nodes(ns))[-1]["metadata"]["labels"]["kubernetes.io/hostname"]

    await ns.run("p", nodeSelector={"kubernetes.io/hostname": host})
    pod = await ns.until("pods", "p", is_ready)

    assert pod["spec"]["nodeName"] == (await nodes(ns))[-1]["metadata"]["name"]


async def test_required_node_affinity_is_obeyed(ns: Namespace) -> None:
    host = (await nodes(ns))[0]["metadata"]["labels"]["kubernetes.io/hostname"]
    expression = {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": [host]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [expression, {"key": "absent", "operator": "Exists"}]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}

    await ns.run("p", affinity=affinity)

    assert "didn't match" in await until_unschedulable(ns, "p")


async def test_preferred_anti_affinity_never_keeps_a_pod_waiting(ns: Namespace) -> None:
    await ns.takes_pods()
    term = apart("d")["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}
    count = len(await nodes(ns))
    template = build_pod_spec(affinity={"podAntiAffinity": preferred})
    await ns.create("deployments", build_deployment("d", replicas=count + 1, template=template))

    pods = await ns.until_list(
        "pods", lambda found: len([p for p in found if is_ready(p)]) == count + 1, 60, labelSelector="app=d"
    )

    assert len({p["spec"]["nodeName"] for p in pods}) == count
