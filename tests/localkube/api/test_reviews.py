"""Claims about tokens and permissions: whose a token is, what its holder may do, and what stored roles give others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localkube.api.client import Api

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


async def may(api: Api, user: str, resource: str = "", *groups: str, **more: Any) -> dict[str, Any]:
    asked = {"verb": "get", "resource": resource, "namespace": "default", **more}
    answer = await api.create(ACCESS, {"spec": {"user": user, "groups": list(groups), "resourceAttributes": asked}})
    found: dict[str, Any] = answer.object()["status"]
    return found


async def give(api: Api, subject: dict[str, str], *rules: dict[str, list[str]]) -> None:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    for path, body in (
        ("roles", {"metadata": {"name": "r"}, "rules": list(rules)}),
        ("rolebindings", {"metadata": {"name": "b"}, "subjects": [subject], "roleRef": role}),
    ):
        (await api.create(f"{RBAC}/namespaces/default/{path}", body)).object()


async def test_the_token_belongs_to_a_master_and_no_other_token_to_anybody(api: Api) -> None:
    known = await api.create(TOKENS, {"spec": {"token": api.server.token}})
    other = await api.create(TOKENS, {"spec": {"token": "bad"}})
    none = await api.create(TOKENS, {"spec": {}})

    assert known.object()["status"] == {
        "authenticated": True,
        "user": {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]},
    }
    assert other.object()["status"] == {"user": {}, "error": "invalid bearer token"}
    assert (none.status, none.message) == (400, "token is required for TokenReview in authentication")


@pytest.mark.parametrize(
    ("subject", "user", "groups"),
    [
        ({"kind": "User", "name": "me"}, "me", ()),
        ({"kind": "Group", "name": "us"}, "me", ("us",)),
        ({"kind": "ServiceAccount", "name": "me"}, "system:serviceaccount:default:me", ()),
    ],
)
async def test_a_role_allows_what_its_rules_name_to_whom_its_binding_names(
    api: Api, subject: dict[str, str], user: str, groups: tuple[str, ...]
) -> None:
    await give(api, subject, {"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "*/status"]})

    asked = {
        "pods": await may(api, user, "pods", *groups),
        "secrets": await may(api, user, "secrets", *groups),
        "elsewhere": await may(api, user, "pods", *groups, namespace="other"),
        "log": await may(api, user, "pods", *groups, subresource="log"),
        "status": await may(api, user, "services", *groups, subresource="status"),
        "verb": await may(api, user, "pods", *groups, verb="delete"),
        "stranger": await may(api, "stranger", "pods"),
    }

    assert [name for name, status in asked.items() if status["allowed"]] == ["pods", "status"]
    assert asked["pods"]["reason"] == 'RBAC: allowed by RoleBinding "b/default" of Role "r"'


async def test_a_rule_may_name_single_objects(api: Api) -> None:
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}
    await give(api, {"kind": "User", "name": "me"}, rule)

    seen = [(await may(api, "me", "pods", name=name))["allowed"] for name in ("a", "b", "")]

    assert seen == [True, False, False]


async def test_masters_may_everything_without_any_role(api: Api) -> None:
    assert await may(api, "me", "pods", "system:masters") == {"allowed": True}


async def test_a_question_about_nothing_or_nobody_is_refused(api: Api) -> None:
    nothing = await api.create(ACCESS, {"spec": {"user": "me"}})
    nobody = await api.create(ACCESS, {"spec": {"resourceAttributes": {"verb": "get"}}})

    assert (nothing.status, nobody.status) == (422, 422)
    assert "exactly one of nonResourceAttributes or resourceAttributes must be specified" in nothing.message
    assert "at least one of user or group must be specified" in nobody.message


async def test_a_question_is_never_kept(api: Api) -> None:
    assert (await api.get(TOKENS)).status == 405


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("auth", "can-i", "create", "pods"), "yes"),
        (("auth", "can-i", "get", "/metrics"), "yes"),
        (("auth", "whoami"), "kubernetes-admin"),
        (("auth", "can-i", "--list"), "*.*"),
        (("create", "cronjob", "x", "--image=busybox", "--schedule=* * * * *"), "cronjob.batch/x created"),
    ],
)
async def test_what_people_ask(api: Api, command: tuple[str, ...], said: str) -> None:
    assert said in await api.kubectl(*command)
