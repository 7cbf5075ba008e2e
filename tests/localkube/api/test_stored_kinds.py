"""Claims about kinds that are kept for their readers: what they get by default, and what of them is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localkube.api.client import Api

ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
CRON_JOBS = "/apis/batch/v1/namespaces/default/cronjobs"


def cron_job(restart: str | None = "Never", **spec: Any) -> dict[str, Any]:
    pod: dict[str, Any] = {"containers": [{"name": "c", "image": "busybox"}]}
    if restart:
        pod["restartPolicy"] = restart
    filled = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}, **spec}
    return {"metadata": {"name": "a"}, "spec": filled}


async def test_a_cron_job_gets_its_policies_and_its_pods_their_defaults(api: Api) -> None:
    made = (await api.create(CRON_JOBS, cron_job())).object()["spec"]

    job = made.pop("jobTemplate")
    assert made == {
        "schedule": "* * * * *",
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    }
    assert job["spec"]["template"]["spec"]["dnsPolicy"] == "ClusterFirst"
    assert "backoffLimit" not in job["spec"]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (cron_job(schedule="x"), 'spec.schedule: Invalid value: "x": expected exactly 5 fields, found 1: [x]'),
        (
            cron_job(restart=None),
            'spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
        ),
        (cron_job(concurrencyPolicy="x"), 'supported values: "Allow", "Forbid", "Replace"'),
    ],
)
async def test_a_cron_job_that_could_never_run_is_refused(api: Api, body: dict[str, Any], complaint: str) -> None:
    answer = await api.create(CRON_JOBS, body)

    assert answer.status == 422
    assert complaint in answer.message


async def test_a_network_policy_is_about_what_it_rules(api: Api) -> None:
    spec = {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}], "egress": [{}]}

    made = (await api.create(POLICIES, {"metadata": {"name": "a"}, "spec": spec})).object()

    assert made["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert made["spec"]["ingress"] == [{"ports": [{"port": 80, "protocol": "TCP"}]}]


async def test_a_role_says_what_may_be_done_to_what(api: Api) -> None:
    answer = await api.create(ROLES, {"metadata": {"name": "a"}, "rules": [{"verbs": []}]})

    assert [cause["field"] for cause in answer.body["details"]["causes"]] == [
        "rules[0].verbs",
        "rules[0].apiGroups",
        "rules[0].resources",
    ]


async def test_a_binding_never_changes_its_role(api: Api) -> None:
    group = {"apiGroup": "rbac.authorization.k8s.io"}
    await api.create(BINDINGS, {"metadata": {"name": "a"}, "roleRef": {"kind": "Role", "name": "r", **group}})

    answer = await api.merge(f"{BINDINGS}/a", {"roleRef": {"name": "other"}})

    assert answer.status == 422
    assert "cannot change roleRef" in answer.message
