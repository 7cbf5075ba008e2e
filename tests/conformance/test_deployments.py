"""Claims: what a Deployment promises while it rolls, when it is available, and when it cannot go on."""

from __future__ import annotations

from typing import Any

from tests.conformance.answers import build_obedient_redis, tell
from tests.conformance.client import Obj
from tests.conformance.namespace import (
    Namespace,
    build_container,
    build_deployment,
    build_pod_spec,
    condition,
    container_status,
    is_ready,
)


def with_env(value: str, **fields: Any) -> Obj:
    container = build_container(env=[{"name": "SETTING", "value": value}], **fields)
    return build_pod_spec(containers=[container])


def is_complete(deployment: Obj) -> bool:
    """As `kubectl rollout status` decides."""
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    counts = [status.get(f, 0) for f in ("replicas", "updatedReplicas", "availableReplicas")]
    return status.get("observedGeneration") == deployment["metadata"]["generation"] and counts == [wanted] * 3


async def test_a_deployment_becomes_available(ns: Namespace) -> None:
    await ns.takes_pods()
    await ns.create("deployments", build_deployment("d", replicas=2))

    done = await ns.until("deployments", "d", is_complete)

    assert (done["status"]["readyReplicas"], "unavailableReplicas" in done["status"]) == (2, False)
    assert condition(done, "Available")["status"] == "True"
    progressing = await ns.until(
        "deployments", "d", lambda d: condition(d, "Progressing").get("reason") == "NewReplicaSetAvailable"
    )
    assert condition(progressing, "Progressing")["status"] == "True"


async def test_pods_belong_to_a_replica_set_that_belongs_to_the_deployment(ns: Namespace) -> None:
    await ns.takes_pods()
    made = await ns.create("deployments", build_deployment("d"))
    [pod] = await ns.until_list("pods", lambda found: len(found) == 1, labelSelector="app=d")

    [owner] = pod["metadata"]["ownerReferences"]
    replica_set = await ns.read("replicasets", owner["name"])

    assert owner["kind"] == "ReplicaSet"
    assert replica_set["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    digest = pod["metadata"]["labels"]["pod-template-hash"]
    assert (replica_set["metadata"]["name"], replica_set["spec"]["selector"]["matchLabels"]) == (
        f"d-{digest}",
        {"app": "d", "pod-template-hash": digest},
    )


async def test_a_new_template_replaces_the_pods(ns: Namespace) -> None:
    await ns.takes_pods()
    await ns.create("deployments", build_deployment("d", template=with_env("old")))
    await ns.until("deployments", "d", is_complete)

    (await ns.api.patch(ns.path("deployments", "d"), {"spec": {"template": {"spec": with_env("new")}}})).accepted()
    await ns.until("deployments", "d", is_complete)
    pods = await ns.until_list("pods", lambda found: len(found) == 1, labelSelector="app=d")

    assert [p["spec"]["containers"][0]["env"][0]["value"] for p in pods] == ["new"]
    assert sorted(s["spec"]["replicas"] for s in await ns.items("replicasets", labelSelector="app=d")) == [0, 1]


async def test_a_roll_out_whose_pods_never_get_ready_keeps_the_old_ones(ns: Namespace) -> None:
    await ns.takes_pods()
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    body = build_deployment("d", template=with_env("old"), strategy=strategy, progressDeadlineSeconds=2)
    await ns.create("deployments", body)
    await ns.until("deployments", "d", is_complete)

    broken = with_env("new", readinessProbe={"exec": {"command": ["false"]}, "periodSeconds": 1})
    (await ns.api.patch(ns.path("deployments", "d"), {"spec": {"template": {"spec": broken}}})).accepted()
    stuck = await ns.until(
        "deployments", "d", lambda d: condition(d, "Progressing").get("reason") == "ProgressDeadlineExceeded"
    )
    pods = await ns.items("pods", labelSelector="app=d")

    assert condition(stuck, "Progressing")["status"] == "False"
    assert (stuck["status"]["availableReplicas"], condition(stuck, "Available")["status"]) == (1, "True")
    assert [p["spec"]["containers"][0]["env"][0]["value"] for p in pods if is_ready(p)] == ["old"]


async def test_availability_goes_with_readiness(ns: Namespace) -> None:
    await ns.takes_pods()
    await ns.create("deployments", build_deployment("d", template=build_pod_spec(containers=[build_obedient_redis()])))
    [pod] = await ns.until_list(
        "pods", lambda found: [p for p in found if p["status"].get("podIP")], labelSelector="app=d"
    )

    await tell(pod, "yes")
    await ns.until("deployments", "d", lambda d: condition(d, "Available").get("status") == "True")
    await tell(pod, "no")
    unwell = await ns.until("deployments", "d", lambda d: condition(d, "Available").get("status") == "False")

    assert condition(unwell, "Available")["reason"] == "MinimumReplicasUnavailable"
    assert unwell["status"]["unavailableReplicas"] == 1


async def test_a_deleted_pod_is_replaced_by_another(ns: Namespace) -> None:
    await ns.takes_pods()
    await ns.create("deployments", build_deployment("d"))
    [first] = await ns.until_list("pods", lambda found: [p for p in found if is_ready(p)], labelSelector="app=d")

    (await ns.api.delete(ns.path("pods", first["metadata"]["name"]))).accepted()

    await ns.until_list(
        "pods",
        lambda found: [p for p in found if is_ready(p) and p["metadata"]["name"] != first["metadata"]["name"]],
        labelSelector="app=d",
    )


async def test_a_container_that_dies_is_restarted_in_its_pod(ns: Namespace) -> None:
    await ns.takes_pods()
    script = (
        "test -e /scratch/again && { trap 'exit 0' TERM; while :; do sleep 0.1; done; }; touch /scratch/again; exit 3"
    )
    container = build_container(script, volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}])
    template = build_pod_spec(containers=[container], volumes=[{"name": "scratch", "emptyDir": {}}])
    await ns.create("deployments", build_deployment("d", template=template))

    [pod] = await ns.until_list(
        "pods",
        lambda found: found and container_status(found[0]).get("restartCount", 0) >= 1 and is_ready(found[0]),
        labelSelector="app=d",
    )

    assert container_status(pod)["lastState"]["terminated"]["exitCode"] == 3


async def test_recreate_stops_the_old_before_it_starts_the_new(ns: Namespace) -> None:
    await ns.takes_pods()
    body = build_deployment("d", template=with_env("old"), strategy={"type": "Recreate"})
    await ns.create("deployments", body)
    done = await ns.until("deployments", "d", is_complete)

    async with ns.api.watch(
        ns.path("pods"), resourceVersion=done["metadata"]["resourceVersion"], labelSelector="app=d"
    ) as watch:
        (await ns.api.patch(ns.path("deployments", "d"), {"spec": {"template": {"spec": with_env("new")}}})).accepted()
        events = await watch.until(
            lambda e: e.type == "ADDED" and e.object["spec"]["containers"][0]["env"][0]["value"] == "new", 30
        )

    # A pod whose phase is final runs no more, and is not waited for.
    assert any(e.type == "DELETED" or e.object["status"]["phase"] in {"Succeeded", "Failed"} for e in events[:-1])
