"""Claims: what a StatefulSet with Parallel and OnDelete promises, the one way in which the operator uses them."""

from __future__ import annotations

from tests.conformance.client import Obj
from tests.conformance.namespace import (
    Namespace,
    build_container,
    build_pod_spec,
    build_statefulset,
    container_status,
    is_ready,
    names,
)

PARALLEL: Obj = {"podManagementPolicy": "Parallel", "updateStrategy": {"type": "OnDelete"}}


def build_claim_template(name: str = "data", storage: str = "1Gi") -> Obj:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}
    return {"metadata": {"name": name}, "spec": spec}


CLAIM: Obj = build_claim_template()


def never_ready() -> Obj:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    return build_pod_spec(containers=[build_container(readinessProbe=probe)])


def with_env(value: str) -> Obj:
    return build_pod_spec(containers=[build_container(env=[{"name": "SETTING", "value": value}])])


def env_of(pod: Obj) -> str:
    return str(pod["spec"]["containers"][0]["env"][0]["value"])


async def until_ready(ns: Namespace, name: str, count: int) -> Obj:
    return await ns.until("statefulsets", name, lambda s: s["status"].get("readyReplicas", 0) == count)


async def test_parallel_pods_do_not_wait_for_each_other(ns: Namespace) -> None:
    await ns.takes_pods()
    await ns.create("statefulsets", build_statefulset("s", replicas=3, template=never_ready(), **PARALLEL))

    pods = await ns.until_list("pods", lambda found: len(found) == 3, labelSelector="app=s")

    assert names(pods) == ["s-0", "s-1", "s-2"]


async def test_ordered_pods_wait_for_the_one_before(ns: Namespace) -> None:
    await ns.takes_pods()
    await ns.create("statefulsets", build_statefulset("s", replicas=2, template=never_ready()))

    await ns.until("pods", "s-0", lambda p: container_status(p).get("started"))

    assert names(await ns.items("pods", labelSelector="app=s")) == ["s-0"]


async def test_a_pod_knows_its_name_host_name_service_owner_and_revision(ns: Namespace) -> None:
    await ns.takes_pods()
    made = await ns.create("statefulsets", build_statefulset("s", **PARALLEL))

    pod = await ns.until("pods", "s-0", bool)
    owner = await ns.until("statefulsets", "s", lambda s: s["status"].get("updateRevision"))

    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("s-0", "s")
    assert pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "s-0"
    assert pod["metadata"]["labels"]["controller-revision-hash"] == owner["status"]["updateRevision"]
    [reference] = pod["metadata"]["ownerReferences"]
    assert (reference["kind"], reference["uid"], reference["controller"]) == (
        "StatefulSet",
        made["metadata"]["uid"],
        True,
    )


async def test_status_counts_what_is_ready(ns: Namespace) -> None:
    await ns.takes_pods()
    await ns.create("statefulsets", build_statefulset("s", replicas=2, **PARALLEL))

    status = (await until_ready(ns, "s", 2))["status"]

    assert (status["replicas"], status["updatedReplicas"], status["observedGeneration"]) == (2, 2, 1)
    assert status["currentRevision"] == status["updateRevision"]


async def test_a_new_template_restarts_nothing_until_a_pod_is_deleted(ns: Namespace) -> None:
    await ns.takes_pods()
    await ns.create("statefulsets", build_statefulset("s", replicas=2, template=with_env("old"), **PARALLEL))
    before = (await until_ready(ns, "s", 2))["status"]
    first = [await ns.read("pods", name) for name in ("s-0", "s-1")]

    (await ns.api.patch(ns.path("statefulsets", "s"), {"spec": {"template": {"spec": with_env("new")}}})).accepted()
    changed = await ns.until("statefulsets", "s", lambda s: s["status"]["observedGeneration"] == 2)
    untouched = [await ns.read("pods", name) for name in ("s-0", "s-1")]
    (await ns.api.delete(ns.path("pods", "s-1"))).accepted()
    returned = await ns.until(
        "pods", "s-1", lambda p: p["metadata"]["uid"] != first[1]["metadata"]["uid"] and is_ready(p), 100
    )
    after = await ns.until("statefulsets", "s", lambda s: s["status"].get("updatedReplicas") == 1)

    assert [p["metadata"]["uid"] for p in untouched] == [p["metadata"]["uid"] for p in first]
    assert changed["status"]["updateRevision"] != before["updateRevision"]
    assert returned["metadata"]["labels"]["controller-revision-hash"] == changed["status"]["updateRevision"]
    assert (env_of(returned), env_of(await ns.read("pods", "s-0"))) == ("new", "old")
    assert after["status"]["replicas"] == 2


async def test_a_template_taken_back_has_its_old_revision(ns: Namespace) -> None:
    await ns.takes_pods()
    path = ns.path("statefulsets", "s")
    await ns.create("statefulsets", build_statefulset("s", template=with_env("old"), **PARALLEL))
    before = await ns.until("statefulsets", "s", lambda s: s["status"].get("updateRevision"))

    (await ns.api.patch(path, {"spec": {"template": {"spec": with_env("new")}}})).accepted()
    await ns.until("statefulsets", "s", lambda s: s["status"]["observedGeneration"] == 2)
    (await ns.api.patch(path, {"spec": {"template": {"spec": with_env("old")}}})).accepted()
    after = await ns.until("statefulsets", "s", lambda s: s["status"]["observedGeneration"] == 3)

    assert after["status"]["updateRevision"] == before["status"]["updateRevision"]


async def test_scaling_down_removes_the_highest_and_up_brings_it_back(ns: Namespace) -> None:
    await ns.takes_pods()
    await ns.create("statefulsets", build_statefulset("s", replicas=3, **PARALLEL))
    await until_ready(ns, "s", 3)

    (await ns.api.patch(ns.path("statefulsets", "s") + "/scale", {"spec": {"replicas": 1}})).accepted()
    left = await ns.until_list("pods", lambda found: len(found) == 1, labelSelector="app=s")
    (await ns.api.patch(ns.path("statefulsets", "s"), {"spec": {"replicas": 2}})).accepted()
    grown = await ns.until_list("pods", lambda found: len(found) == 2, labelSelector="app=s")

    assert (names(left), names(grown)) == (["s-0"], ["s-0", "s-1"])


async def test_the_scale_subresource_tells_count_and_selector(ns: Namespace) -> None:
    await ns.takes_pods()
    await ns.create("statefulsets", build_statefulset("s", replicas=2, **PARALLEL))
    await until_ready(ns, "s", 2)

    scale = await ns.api.read(ns.path("statefulsets", "s") + "/scale")

    assert (scale["spec"]["replicas"], scale["status"]["replicas"], scale["status"]["selector"]) == (2, 2, "app=s")


async def test_a_deleted_pod_returns_to_its_claim_and_its_data(ns: Namespace) -> None:
    await ns.takes_pods()
    mounted = build_container(
        "echo $(cat /data/mark 2>/dev/null || echo empty); echo kept > /data/mark; trap 'exit 0' TERM; "
        "while :; do sleep 0.1; done",
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
    )
    template = build_pod_spec(containers=[mounted])
    await ns.create(
        "statefulsets",
        build_statefulset("s", template=template, volumeClaimTemplates=[build_claim_template()], **PARALLEL),
    )
    first = await ns.until("pods", "s-0", is_ready)
    await ns.until_log("s-0", "empty")
    claim = await ns.read("persistentvolumeclaims", "data-s-0")

    (await ns.api.delete(ns.path("pods", "s-0"))).accepted()
    second = await ns.until("pods", "s-0", lambda p: p["metadata"]["uid"] != first["metadata"]["uid"] and is_ready(p))
    await ns.until_log("s-0", "kept")

    assert (await ns.read("persistentvolumeclaims", "data-s-0"))["metadata"]["uid"] == claim["metadata"]["uid"]
    volumes = {v["name"]: v for v in second["spec"]["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "data-s-0"


async def test_claims_stay_when_the_set_goes(ns: Namespace) -> None:
    await ns.takes_pods()
    body = build_statefulset("s", volumeClaimTemplates=[build_claim_template()], **PARALLEL)
    await ns.create("statefulsets", body)
    claim = await ns.until("persistentvolumeclaims", "data-s-0", bool)

    (await ns.api.delete(ns.path("statefulsets", "s"), {"propagationPolicy": "Foreground"})).accepted()
    await ns.api.until_gone(ns.path("statefulsets", "s"))
    left = await ns.read("persistentvolumeclaims", "data-s-0")

    assert await ns.items("pods", labelSelector="app=s") == []
    assert left["metadata"]["uid"] == claim["metadata"]["uid"]
    assert "deletionTimestamp" not in left["metadata"]
    assert left["metadata"]["labels"] == {"app": "s"}


async def test_fields_other_than_a_few_are_fixed_at_creation(ns: Namespace) -> None:
    await ns.create("statefulsets", build_statefulset("s", replicas=0, **PARALLEL))

    for change in ({"serviceName": "other"}, {"podManagementPolicy": "OrderedReady"}):
        answer = await ns.api.patch(ns.path("statefulsets", "s"), {"spec": change})
        assert answer.refused() == (422, "Invalid")
        assert "updates to statefulset spec for fields other than" in answer.message


async def test_a_template_that_its_selector_does_not_find_is_refused(ns: Namespace) -> None:
    body = build_statefulset("s")
    body["spec"]["template"]["metadata"]["labels"] = {"app": "other"}

    answer = await ns.api.post(ns.path("statefulsets"), body)

    assert answer.refused() == (422, "Invalid")
    assert "`selector` does not match template `labels`" in answer.message


async def test_orphaned_pods_are_adopted_by_a_set_of_the_same_name(ns: Namespace) -> None:
    await ns.takes_pods()
    body = build_statefulset("s", replicas=2, volumeClaimTemplates=[CLAIM], **PARALLEL)
    await ns.create("statefulsets", body)
    await until_ready(ns, "s", 2)
    before = await ns.read("pods", "s-0")

    (await ns.api.delete(ns.path("statefulsets", "s"), {"propagationPolicy": "Orphan"})).accepted()
    await ns.api.until_gone(ns.path("statefulsets", "s"))
    orphan = await ns.read("pods", "s-0")
    larger = [build_claim_template(storage="2Gi")]
    again = await ns.create("statefulsets", {**body, "spec": {**body["spec"], "volumeClaimTemplates": larger}})
    adopted = await ns.until(
        "pods",
        "s-0",
        lambda p: again["metadata"]["uid"] in {r["uid"] for r in p["metadata"].get("ownerReferences", [])},
    )
    seen = await until_ready(ns, "s", 2)

    assert "ownerReferences" not in orphan["metadata"]
    assert adopted["metadata"]["uid"] == before["metadata"]["uid"]
    assert container_status(adopted)["restartCount"] == 0
    # Of the revision that the new set has of its template: nothing is outdated.
    assert adopted["metadata"]["labels"]["controller-revision-hash"] == seen["status"]["updateRevision"]


async def test_a_pod_taken_by_force_is_replaced(ns: Namespace) -> None:
    await ns.takes_pods()
    await ns.create("statefulsets", build_statefulset("s", **PARALLEL))
    first = await ns.until("pods", "s-0", is_ready)

    (await ns.api.delete(ns.path("pods", "s-0"), {"gracePeriodSeconds": 0})).accepted()

    await ns.until("pods", "s-0", lambda p: p["metadata"]["uid"] != first["metadata"]["uid"] and is_ready(p))
