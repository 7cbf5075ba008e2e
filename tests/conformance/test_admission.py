"""Claims: who makes a pod that a namespace does not allow is told why, and so is whoever looks at what makes pods."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.client import Api, Obj
from tests.conformance.namespace import Namespace, build_container, build_deployment, build_pod, build_statefulset

RESOURCES = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "20m", "memory": "32Mi"}}


async def limit(ns: Namespace, plural: str, kind: str, name: str, **spec: Any) -> Obj:
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    return await ns.api.create(ns.path(plural, group="/api/v1"), body)


async def quota(ns: Namespace, **hard: str) -> None:
    """A quota that is in force: one whose status does not say yet what is used refuses in other words."""
    named = {name.replace("_", "."): value for name, value in hard.items()}
    await limit(ns, "resourcequotas", "ResourceQuota", "q", hard=named)
    path = ns.path("resourcequotas", "q", group="/api/v1")
    await ns.api.until(path, lambda q: (q.get("status") or {}).get("used", {}).keys() == named.keys())


def pod(name: str, **fields: Any) -> Obj:
    return build_pod(name, containers=[build_container(**fields)])


def uses_claim(name: str) -> Obj:
    """A pod's spec; a class may wait for the first one before it makes a volume."""
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    mounted = build_container("true", volumeMounts=[{"name": "data", "mountPath": "/data"}])
    return {"containers": [mounted], "volumes": volumes, "restartPolicy": "Never"}


async def failed_create(ns: Namespace, about: str) -> str:
    """The words of the event that tells why somebody's pods are not made."""
    [event, *_] = await ns.until_list(
        "events",
        lambda found: [one for one in found if one["reason"] == "FailedCreate"],
        fieldSelector=f"involvedObject.name={about},reason=FailedCreate",
    )
    assert event["type"] == "Warning"
    return str(event["message"])


@pytest.mark.needs_version("1.24")  # older ones do not say whose they are
async def test_a_quota_refuses_pods_that_do_not_say_what_they_may_use(ns: Namespace) -> None:
    await ns.takes_pods()
    await quota(ns, limits_memory="1Gi", requests_cpu="1")

    answer = await ns.api.post(ns.path("pods"), pod("a"))

    assert answer.refused() == (403, "Forbidden")
    assert answer.message == (
        'pods "a" is forbidden: failed quota: q: must specify limits.memory for: main; requests.cpu for: main'
    )


async def test_a_quota_refuses_what_is_too_much_together(ns: Namespace) -> None:
    await ns.takes_pods()
    await quota(ns, requests_memory="24Mi", pods="5")
    await ns.create("pods", pod("a", resources=RESOURCES))
    used = await ns.api.until(
        ns.path("resourcequotas", "q", group="/api/v1"), lambda q: q["status"]["used"]["pods"] == "1"
    )

    answer = await ns.api.post(ns.path("pods"), pod("b", resources=RESOURCES))

    assert used["status"]["used"]["requests.memory"] == "16Mi"
    assert answer.refused() == (403, "Forbidden")
    assert answer.message == (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.memory=16Mi, used: requests.memory=16Mi, '
        "limited: requests.memory=24Mi"
    )


async def test_a_quota_refuses_a_claim_that_grows_beyond_it(ns: Namespace) -> None:
    await quota(ns, requests_storage="3Gi")
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": asked}
    await ns.create("persistentvolumeclaims", claim)
    await ns.run("p", **uses_claim("c"))
    await ns.until("persistentvolumeclaims", "c", lambda c: c["status"]["phase"] == "Bound", 60)
    at = ns.path("resourcequotas", "q", group="/api/v1")
    await ns.api.until(at, lambda q: q["status"]["used"]["requests.storage"] == "1Gi")

    answer = await ns.api.patch(
        ns.path("persistentvolumeclaims", "c"), {"spec": {"resources": {"requests": {"storage": "4Gi"}}}}
    )

    assert answer.refused() == (403, "Forbidden")
    assert answer.message == (
        'persistentvolumeclaims "c" is forbidden: exceeded quota: q, requested: requests.storage=3Gi, used: '
        "requests.storage=1Gi, limited: requests.storage=3Gi"
    )


async def test_what_is_not_a_pod_is_counted_too(ns: Namespace) -> None:
    await quota(ns, services="1")
    service = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 1}]}}
    await ns.create("services", service | {"metadata": {"name": "a"}})

    await ns.api.until(
        ns.path("resourcequotas", "q", group="/api/v1"), lambda q: q["status"]["used"]["services"] == "1"
    )
    answer = await ns.api.post(ns.path("services"), service | {"metadata": {"name": "b"}})

    assert answer.refused() == (403, "Forbidden")
    assert answer.message == (
        'services "b" is forbidden: exceeded quota: q, requested: services=1, used: services=1, limited: services=1'
    )


@pytest.mark.needs_version("1.24")
async def test_a_statefulset_tells_why_its_pods_are_refused(ns: Namespace) -> None:
    await ns.takes_pods()
    await quota(ns, limits_memory="1Gi")
    await ns.create("statefulsets", build_statefulset("s"))

    told = await failed_create(ns, "s")

    # Older servers begin with a small letter.
    assert told[0].upper() + told[1:] == (
        'Create Pod s-0 in StatefulSet s failed error: pods "s-0" is forbidden: failed quota: q: must specify '
        "limits.memory for: main"
    )


async def test_a_limit_range_gives_what_was_left_out(ns: Namespace) -> None:
    await ns.takes_pods()
    await limit(
        ns,
        "limitranges",
        "LimitRange",
        "l",
        limits=[{"type": "Container", "default": {"memory": "64Mi"}, "defaultRequest": {"memory": "32Mi"}}],
    )
    await quota(ns, limits_memory="1Gi")

    made = await ns.create("pods", pod("a"))
    partly = await ns.create("pods", pod("b", resources={"requests": {"memory": "16Mi"}}))

    assert made["spec"]["containers"][0]["resources"] == {"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi"}}
    assert made["status"]["qosClass"] == "Burstable"
    assert partly["spec"]["containers"][0]["resources"]["requests"] == {"memory": "16Mi"}


@pytest.mark.parametrize(
    ("limits", "resources", "words"),
    [
        (
            {"max": {"memory": "24Mi"}},
            RESOURCES,
            "maximum memory usage per Container is 24Mi, but limit is 32Mi",
        ),
        (
            {"min": {"memory": "24Mi"}},
            RESOURCES,
            "minimum memory usage per Container is 24Mi, but request is 16Mi",
        ),
    ],
)
async def test_a_limit_range_refuses_what_is_too_much_or_too_little(
    ns: Namespace, limits: Obj, resources: Obj, words: str
) -> None:
    await ns.takes_pods()
    await limit(ns, "limitranges", "LimitRange", "l", limits=[{"type": "Container", **limits}])

    answer = await ns.api.post(ns.path("pods"), pod("a", resources=resources))

    assert answer.refused() == (403, "Forbidden")
    assert answer.message == f'pods "a" is forbidden: {words}'


async def labelled(api: Api, ns: Namespace, **labels: str) -> None:
    named = {f"pod-security.kubernetes.io/{name}": level for name, level in labels.items()}
    (await api.patch(f"/api/v1/namespaces/{ns.name}", {"metadata": {"labels": named}})).accepted()
    await ns.takes_pods()


VIOLATIONS = (
    'allowPrivilegeEscalation != false (container "main" must set securityContext.allowPrivilegeEscalation=false), '
    'unrestricted capabilities (container "main" must set securityContext.capabilities.drop=["ALL"]), '
    'runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true), '
    'seccompProfile (pod or container "main" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
    '"Localhost")'
)
SECURE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.mark.needs_version("1.25")
async def test_a_restricted_namespace_takes_secure_pods_only(ns: Namespace) -> None:
    await labelled(ns.api, ns, enforce="restricted")

    refused = await ns.api.post(ns.path("pods"), pod("a"))
    taken = await ns.api.post(ns.path("pods"), pod("b", securityContext=SECURE))

    assert refused.refused() == (403, "Forbidden")
    assert refused.message == f'pods "a" is forbidden: violates PodSecurity "restricted:latest": {VIOLATIONS}'
    assert taken.status == 201


@pytest.mark.needs_version("1.25")
async def test_a_baseline_namespace_takes_what_is_not_privileged(ns: Namespace) -> None:
    await labelled(ns.api, ns, enforce="baseline")
    added = {"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}}
    body = pod("a", securityContext=added)
    body["spec"] |= {"hostNetwork": True, "volumes": [{"name": "v", "hostPath": {"path": "/tmp"}}]}

    refused = await ns.api.post(ns.path("pods"), body)

    assert refused.refused() == (403, "Forbidden")
    assert refused.message == (
        'pods "a" is forbidden: violates PodSecurity "baseline:latest": non-default capabilities (container "main" '
        'must not include "SYS_ADMIN" in securityContext.capabilities.add), host namespaces (hostNetwork=true), '
        'hostPath volumes (volume "v"), privileged (container "main" must not set securityContext.privileged=true)'
    )
    assert (await ns.api.post(ns.path("pods"), pod("b"))).status == 201


@pytest.mark.needs_version("1.25")
@pytest.mark.parametrize("plural", ["statefulsets", "deployments"])
async def test_what_makes_pods_tells_why_they_are_refused(ns: Namespace, plural: str) -> None:
    await labelled(ns.api, ns, enforce="restricted")
    build = build_statefulset if plural == "statefulsets" else build_deployment

    made = await ns.create(plural, build("w"))
    about = "w"
    if plural == "deployments":
        [replica_set] = await ns.until_list("replicasets", bool)
        about = replica_set["metadata"]["name"]

    assert made["metadata"]["name"] == "w"
    assert f'is forbidden: violates PodSecurity "restricted:latest": {VIOLATIONS}' in await failed_create(ns, about)


@pytest.mark.needs_version("1.25")
async def test_a_namespace_may_warn_instead(ns: Namespace) -> None:
    await labelled(ns.api, ns, warn="restricted")

    one = await ns.api.post(ns.path("pods"), pod("a"))
    other = await ns.api.post(ns.path("statefulsets"), build_statefulset("s"))

    words = VIOLATIONS.replace('"', '\\"')
    told = f'299 - "would violate PodSecurity \\"restricted:latest\\": {words}"'
    assert (one.status, one.headers.get("Warning")) == (201, told)
    assert (other.status, other.headers.get("Warning")) == (201, told)
