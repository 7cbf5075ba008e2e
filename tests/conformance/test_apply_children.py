"""Claims: applying again what has been applied writes nothing, for each kind of object that the operator keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tdredis.manifests.children import build_children
from tdredis.manifests.drift import difference, stamp
from tdredis.manifests.endpoints import Target, build_endpoints, build_standby_endpoints
from tdredis.manifests.proxy import build_proxy_access, build_proxy_deployment
from tdredis.manifests.replication import build_replication_children
from tdredis.manifests.services import build_external_services
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
from tests.kit.builders import PASSWORDS, SITE, sample, standalone, standby


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
    if obj["kind"] == "PodDisruptionBudget":
        return bool(status.get("observedGeneration"))
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


# ---- what the operator itself makes

SETTINGS: Obj = {
    "annotations": {"team": "a"},
    "labels": {"team": "a"},
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]
            }
        }
    },
    "tolerations": [{"key": "redis", "operator": "Exists", "effect": "NoSchedule"}],
    "nodeSelector": {"disk": "ssd"},
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    "priorityClassName": "system-node-critical",
    "securityContext": {"supplementalGroups": [1000]},
    "containers": [
        {
            "name": "shipper",
            "image": "shipper:1",
            "tty": False,
            "resources": {"limits": {"cpu": "0.5", "memory": "0.5Gi"}},
            "ports": [{"containerPort": 8080, "hostPort": 0}],
            "livenessProbe": {"httpGet": {"port": 8080}, "initialDelaySeconds": 0},
            "volumeMounts": [{"name": "logs", "mountPath": "/logs", "readOnly": False}],
        }
    ],
    "volumes": [{"name": "logs", "emptyDir": {"sizeLimit": "1024Mi"}}],
}
QUANTITIES: Obj = {"requests": {"cpu": "0.5"}, "limits": {"memory": "2048Mi", "cpu": 2}}
EVERYTHING: Obj = {
    "env": "staging",
    "netmode": "NodePort",
    "storageclass": "fast",
    "memoryOverheadPercent": 25,
    "resources": QUANTITIES,
    "imagePullSecrets": ["mirror"],
    "pod": SETTINGS,
    "networkPolicy": {"enabled": True, "allowFrom": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}]},
    "monitorimage": "exporter:1",
}
TARGETS = [Target(pod="p-0", ip="10.1.2.3", node="n", uid="u"), Target(pod="p-1", ip="10.1.2.4", node=None, uid="v")]


def build_cluster(**spec: Any) -> tuple[Obj, ...]:
    cluster = sample(**spec)
    return (
        *build_children(cluster, SITE, PASSWORDS),
        *build_external_services(cluster),
        *build_proxy_access(cluster, SITE, PASSWORDS, "10.96.0.1", secret_version="1"),
        build_proxy_deployment(cluster, SITE, PASSWORDS, "10.96.0.1", secret_version="1"),
        build_endpoints(cluster, SITE, TARGETS),
    )


def build_standby(**spec: Any) -> tuple[Obj, ...]:
    resource = standby(**spec)
    return (
        *build_replication_children(resource, SITE, PASSWORDS),
        *build_external_services(resource),
        *(build_standby_endpoints(resource, SITE, f"{resource.name}{end}", TARGETS) for end in ("", "-ro")),
    )


PARTS: Obj = {"pod": SETTINGS, "resources": QUANTITIES}
WHOLE: dict[str, Callable[[], tuple[Obj, ...]]] = {
    "a cluster": build_cluster,
    "a cluster with everything": lambda: build_cluster(**EVERYTHING, proxy={**PARTS, "kind": "predixy"}),
    "a cluster without a proxy": lambda: build_cluster(**EVERYTHING, proxy={"enabled": False}),
    "a standby": build_standby,
    "a standby with everything": lambda: build_standby(
        **EVERYTHING, sentinel={**PARTS, "external": True, "auth": True, "replicas": 5}
    ),
    "a standalone": lambda: build_replication_children(standalone(), SITE, PASSWORDS),
    "a standalone with everything": lambda: build_replication_children(standalone(**EVERYTHING), SITE, PASSWORDS),
}
PLURALS = {
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "Service": "services",
    "StatefulSet": "statefulsets",
    "Deployment": "deployments",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "EndpointSlice": "endpointslices",
    "NetworkPolicy": "networkpolicies",
}


def localized(manifest: Obj, namespace: str) -> Obj:
    """*manifest* without pods, and in the test's namespace, where nobody owns it: who has no owner is collected."""
    metadata = {**manifest["metadata"], "namespace": namespace}
    del metadata["ownerReferences"]
    spec = {"spec": {**manifest["spec"], "replicas": 0}} if "replicas" in manifest.get("spec", {}) else {}
    return stamp({**manifest, **spec, "metadata": metadata})


@pytest.mark.needs_version("1.24")
@pytest.mark.parametrize("build", WHOLE.values(), ids=WHOLE)
async def test_what_we_make_is_taken_and_then_neither_differs_nor_is_written_again(
    ns: Namespace, build: Callable[[], tuple[Obj, ...]]
) -> None:
    made = [localized(manifest, ns.name) for manifest in build()]
    assert len({(each["kind"], each["metadata"]["name"]) for each in made}) == len(made)
    for manifest in made:
        version, plural = manifest["apiVersion"], PLURALS[manifest["kind"]]
        group = f"/apis/{version}" if "/" in version else f"/api/{version}"
        path = ns.path(plural, manifest["metadata"]["name"], group=group)
        (await ns.api.apply(path, manifest, force=True)).accepted()
        settled = await ns.api.until(path, is_settled)

        again = (await ns.api.apply(path, manifest, force=True)).accepted()

        assert difference(manifest, settled) is None
        assert again == settled


async def test_a_part_that_names_the_uid_of_its_object_changes_that_object_and_no_other(ns: Namespace) -> None:
    """How a role is written on a pod, and an owner on a volume claim."""
    path, nowhere = ns.path("configmaps", "a"), ns.path("configmaps", "b")
    made = await ns.create("configmaps", build_configmap("a", k="v"))

    def build_part(uid: str, name: str = "a", role: str = "primary") -> Obj:
        metadata = {"name": name, "uid": uid, "labels": {"role": role}}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}

    applied = (await ns.api.apply(path, build_part(made["metadata"]["uid"]), force=True)).accepted()
    of_another = await ns.api.apply(path, build_part("another", role="replica"), force=True)
    of_nobody = await ns.api.apply(nowhere, build_part("another", "b"), force=True)

    assert (applied["metadata"]["labels"], applied["data"]) == ({"role": "primary"}, {"k": "v"})
    assert of_another.refused() == (422, "Invalid")
    assert 'metadata.uid: Invalid value: "another": field is immutable' in of_another.message
    assert of_nobody.refused() == (409, "Conflict")
