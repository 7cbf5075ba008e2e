"""Claims about what namespaces refuse of pods: each rule of the Pod Security Standards, quotas, limits."""

from __future__ import annotations

from typing import Any

import pytest

from localkube.controllers.limit_range import LimitRangeAdmission
from localkube.controllers.pod_security import violations
from localkube.controllers.quota import QuotaController
from localkube.errors import ApiError
from tests.localkube.controllers.conftest import World

Obj = dict[str, Any]
SECURE: Obj = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def spec(*containers: Obj, **fields: Any) -> Obj:
    named = [{"name": f"c{number}", "securityContext": SECURE, **one} for number, one in enumerate(containers or ({},))]
    return {"containers": named, "securityContext": {"runAsNonRoot": True}, **fields}


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (spec(), ""),
        (spec({"ports": [{"hostPort": 80}]}), 'hostPort (container "c0" uses hostPort 80)'),
        (
            spec(volumes=[{"name": "v", "nfs": {}}]),
            'restricted volume types (volume "v" uses restricted volume type "nfs")',
        ),
        (spec(securityContext={"runAsNonRoot": True, "runAsUser": 0}), "runAsUser=0 (pod must not set runAsUser=0)"),
        (
            spec({"securityContext": {**SECURE, "runAsUser": 0}}),
            'runAsUser=0 (container "c0" must not set runAsUser=0)',
        ),
        (
            spec({"securityContext": {**SECURE, "runAsNonRoot": False}}),
            'runAsNonRoot != true (container "c0" must not set securityContext.runAsNonRoot=false)',
        ),
        (
            spec({"securityContext": {}}, {"securityContext": {}}),
            'allowPrivilegeEscalation != false (containers "c0", "c1" must set '
            "securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (containers "
            '"c0", "c1" must set securityContext.capabilities.drop=["ALL"]), seccompProfile (pod or containers "c0", '
            '"c1" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
        ),
        (
            spec({"securityContext": {**SECURE, "capabilities": {"drop": ["ALL"], "add": ["SYS_TIME"]}}}),
            'unrestricted capabilities (container "c0" must not include "SYS_TIME" in '
            "securityContext.capabilities.add)",
        ),
        (spec(hostPID=True, hostNetwork=True), "host namespaces (hostNetwork=true, hostPID=true)"),
    ],
)
def test_a_restricted_namespace_says_what_it_forbids(pod: Obj, words: str) -> None:
    assert violations(pod, "restricted") == words


def test_a_privileged_namespace_forbids_nothing() -> None:
    assert violations({"containers": [{"name": "c"}], "hostNetwork": True}, "privileged") == ""


def pod(name: str, memory: str) -> Obj:
    container = {"name": "c", "image": "busybox", "resources": {"requests": {"memory": memory}}}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [container]}}


def quota(world: World, **hard: str) -> None:
    named = {name.replace("_", "."): value for name, value in hard.items()}
    world.registry.create(
        "resourcequotas", {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": named}}
    )


async def test_a_quota_holds_for_resizes_and_pods_that_ended_do_not_count(world: World) -> None:
    world.start(QuotaController)
    quota(world, requests_memory="48Mi")
    made = world.registry.create("pods", pod("a", "32Mi"))
    world.registry.create("pods", pod("b", "16Mi"))
    asked = {**made, "spec": {**made["spec"], "containers": [{**made["spec"]["containers"][0]}]}}
    asked["spec"]["containers"][0]["resources"] = {"requests": {"memory": "33Mi"}}

    with pytest.raises(ApiError) as refused:
        world.registry.update("pods", asked, subresource="resize")
    ended = world.registry.get("pods", "default", "b")
    world.registry.update("pods", {**ended, "status": {**ended["status"], "phase": "Failed"}}, subresource="status")

    assert refused.value.message == (
        'pods "a" is forbidden: exceeded quota: q, requested: requests.memory=1Mi, used: requests.memory=48Mi, '
        "limited: requests.memory=48Mi"
    )
    world.registry.update("pods", {**asked, "metadata": made["metadata"]}, subresource="resize")


@pytest.mark.parametrize("spec_", [{"scopes": ["BestEffort"]}, {"hard": {"requests.ephemeral-storage": "1Gi"}}])
async def test_a_quota_that_would_not_be_counted_is_refused(world: World, spec_: Obj) -> None:
    world.start(QuotaController)

    with pytest.raises(ApiError) as refused:
        world.registry.create("resourcequotas", {"metadata": {"name": "q", "namespace": "default"}, "spec": spec_})

    assert refused.value.code == 501


@pytest.mark.parametrize(
    "limit", [{"type": "PersistentVolumeClaim"}, {"type": "Pod", "maxLimitRequestRatio": {"cpu": "2"}}]
)
async def test_a_limit_that_would_not_be_kept_is_refused(world: World, limit: Obj) -> None:
    world.start(LimitRangeAdmission)

    with pytest.raises(ApiError) as refused:
        world.registry.create(
            "limitranges", {"metadata": {"name": "l", "namespace": "default"}, "spec": {"limits": [limit]}}
        )

    assert refused.value.code == 501


async def test_a_limit_of_pods_is_of_their_sum(world: World) -> None:
    world.start(LimitRangeAdmission)
    limit = {"type": "Pod", "max": {"memory": "40Mi"}}
    world.registry.create(
        "limitranges", {"metadata": {"name": "l", "namespace": "default"}, "spec": {"limits": [limit]}}
    )
    both = pod("a", "16Mi")
    one = both["spec"]["containers"][0] | {"resources": {"limits": {"memory": "32Mi"}}}
    both["spec"]["containers"] = [one, {**one, "name": "d"}]

    with pytest.raises(ApiError, match="maximum memory usage per Pod is 40Mi, but limit is"):
        world.registry.create("pods", both)
