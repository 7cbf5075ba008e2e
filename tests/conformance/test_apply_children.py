"""Claims: applying again what has been applied writes nothing, for each kind of object that the operator keeps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.client import Obj
from tests.conformance.namespace import (
    Namespace,
    build_configmap,
    build_deployment,
    build_pod_spec,
    build_redis,
    build_service,
    build_statefulset,
    condition,
)


def build_rich_pod_spec(setting: str = "1") -> Obj:
    """With all that the server completes or rewrites: quantities, probes, affinity, volumes, environment."""
    quantities = {"cpu": "100m", "memory": "65536Ki"}  # a server keeps them as they were written
    redis = build_redis(
        resources={"requests": quantities, "limits": quantities},
        livenessProbe={"tcpSocket": {"port": 6379}, "initialDelaySeconds": 5, "failureThreshold": 3},
        env=[
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "SETTING", "value": setting},
        ],
        volumeMounts=[{"name": "settings", "mountPath": "/etc/settings"}, {"name": "scratch", "mountPath": "/scratch"}],
    )
    term = {"labelSelector": {"matchLabels": {"app": "none"}}, "topologyKey": "kubernetes.io/hostname"}
    return build_pod_spec(
        containers=[redis],
        affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}},
        volumes=[{"name": "settings", "configMap": {"name": "settings"}}, {"name": "scratch", "emptyDir": {}}],
    )


def build_claim_template() -> Obj:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": "data"}, "spec": spec}


BUILDERS: dict[str, Callable[[], Obj]] = {
    "configmaps": lambda: build_configmap("a", k="v"),
    "secrets": lambda: {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a"},
        "type": "Opaque",
        "data": {"password": "YWJj"},
    },
    "services": lambda: build_service(
        "a", selector={"app": "a"}, type="NodePort", ports=[{"name": "redis", "port": 6379, "protocol": "TCP"}]
    ),
    "endpoints": lambda: {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "a"},
        "subsets": [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"name": "redis", "port": 6379, "protocol": "TCP"}]}],
    },
    "statefulsets": lambda: build_statefulset(
        "a",
        replicas=0,
        template=build_rich_pod_spec(),
        podManagementPolicy="Parallel",
        updateStrategy={"type": "OnDelete"},
        volumeClaimTemplates=[build_claim_template()],
    ),
    "deployments": lambda: build_deployment("a", replicas=0, template=build_rich_pod_spec()),
}


def is_settled(obj: Obj) -> bool:
    """Controllers have seen it and will write no more."""
    status = obj.get("status", {})
    if obj["kind"] == "Deployment":
        return condition(obj, "Progressing").get("reason") == "NewReplicaSetAvailable"
    if obj["kind"] == "StatefulSet":
        return bool(status.get("observedGeneration") and status.get("currentRevision"))
    return True


def without_bookkeeping(obj: Obj) -> Obj:
    return obj | {
        "metadata": {k: v for k, v in obj["metadata"].items() if k not in {"resourceVersion", "managedFields"}}
    }


@pytest.mark.parametrize("plural", BUILDERS)
async def test_applying_a_child_again_changes_nothing(ns: Namespace, plural: str) -> None:
    path = ns.path(plural, "a")
    (await ns.api.apply(path, BUILDERS[plural](), force=True)).accepted()
    settled = await ns.until(plural, "a", is_settled)

    again = (await ns.api.apply(path, BUILDERS[plural](), force=True)).accepted()

    assert without_bookkeeping(again) == without_bookkeeping(settled)


@pytest.mark.needs_version("1.24")  # older ones write the time of the apply, where a controller has written too
@pytest.mark.parametrize("plural", BUILDERS)
async def test_applying_a_child_again_writes_nothing(ns: Namespace, plural: str) -> None:
    path = ns.path(plural, "a")
    (await ns.api.apply(path, BUILDERS[plural](), force=True)).accepted()
    settled = await ns.until(plural, "a", is_settled)

    again = (await ns.api.apply(path, BUILDERS[plural](), force=True)).accepted()

    assert again == settled


async def test_a_quantity_written_otherwise_is_the_same_quantity(ns: Namespace) -> None:
    path = ns.path("deployments", "a")
    body = build_deployment("a", replicas=0, template=build_rich_pod_spec())
    (await ns.api.apply(path, body)).accepted()
    body["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = "64Mi"

    again = (await ns.api.apply(path, body)).accepted()

    limits = again["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["memory"] in {"64Mi", "65536Ki"}


async def test_what_an_editor_changed_is_taken_back_by_force(ns: Namespace) -> None:
    path = ns.path("statefulsets", "a")
    body = build_statefulset("a", replicas=0, template=build_rich_pod_spec())
    (await ns.api.apply(path, body)).accepted()
    containers = [{"name": "redis", "image": "redis:6"}]
    edit = {"spec": {"template": {"spec": {"containers": containers}}}}
    (await ns.api.patch(path, edit, "application/strategic-merge-patch+json", fieldManager="editor")).accepted()

    refused = await ns.api.apply(path, body)
    forced = (await ns.api.apply(path, body, force=True)).accepted()

    assert refused.refused() == (409, "Conflict")
    assert refused.body["details"]["causes"][0]["field"] == '.spec.template.spec.containers[name="redis"].image'
    assert forced["spec"]["template"]["spec"]["containers"][0]["image"] == "redis:7.0"


async def test_what_others_add_to_a_child_stays(ns: Namespace) -> None:
    path = ns.path("statefulsets", "a")
    body = build_statefulset("a", replicas=0, template=build_rich_pod_spec())
    (await ns.api.apply(path, body)).accepted()
    addition = {
        "metadata": {"annotations": {"example.com/theirs": "1"}},
        "spec": {"template": {"spec": {"containers": [{"name": "sidecar", "image": "redis:7.0"}]}}},
    }
    (await ns.api.patch(path, addition, "application/strategic-merge-patch+json", fieldManager="injector")).accepted()

    again = (await ns.api.apply(path, body, force=True)).accepted()

    assert again["metadata"]["annotations"]["example.com/theirs"] == "1"
    assert {c["name"] for c in again["spec"]["template"]["spec"]["containers"]} == {"redis", "sidecar"}


async def test_an_environment_variable_no_longer_applied_is_removed(ns: Namespace) -> None:
    path = ns.path("statefulsets", "a")
    body = build_statefulset("a", replicas=0, template=build_rich_pod_spec())
    (await ns.api.apply(path, body)).accepted()
    body["spec"]["template"]["spec"]["containers"][0]["env"].pop()

    again = (await ns.api.apply(path, body)).accepted()

    assert [e["name"] for e in again["spec"]["template"]["spec"]["containers"][0]["env"]] == ["POD_IP"]
    assert again["metadata"]["generation"] == 2
