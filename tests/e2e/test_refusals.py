"""Bad input is refused by the API server, with a message that says what to write."""

from __future__ import annotations

import json

import pytest

from tdredis.kube.client import Client
from tests.e2e.needs import CEL_RULES, SERVER_VALIDATION, TEMPLATES_ARE_CHECKED
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, sample, standalone

CEL = pytest.mark.needs(CEL_RULES)
STRICT = pytest.mark.needs(SERVER_VALIDATION)
LONG = "r" * 60


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": 2}, "spec.size in body should be greater than or equal to 3"),
        pytest.param({"size": "3"}, "spec.size in body must be of type integer", marks=STRICT),
        ({"env": "prod"}, 'spec.env: Unsupported value: "prod": supported values: "production", "staging", "demo"'),
        ({"netmode": "Bridge"}, 'supported values: "ClusterIP", "NodePort", "LoadBalancer"'),
        ({"capacity": -1}, "spec.capacity in body should be greater than or equal to 0"),
        pytest.param({"capacity": 40}, "capacity is too small for its shards: write 16 (MiB) times size", marks=CEL),
        pytest.param({"replcas": 2}, 'unknown field "spec.replcas"', marks=STRICT),
        pytest.param({"image": None}, "spec.image: Required value", marks=STRICT),
        pytest.param({"proxyimage": ""}, "proxyimage is empty: write the image of the proxy", marks=CEL),
        pytest.param(
            {"proxysecret": "two\nlines"}, "a password has a line break in it: write it on one line", marks=CEL
        ),
        ({"app": "-rat"}, "spec.app in body should match"),
        ({"resources": {"limits": {"memory": " 1Gi"}}}, "spec.resources.limits.memory in body should match"),
        ({"storage": {"size": "64GB"}}, "spec.storage.size in body should match"),
        pytest.param({"app": "-rat"}, "write letters, digits, '-', '_' and '.'", marks=CEL),
        pytest.param({"image": "Redis:7"}, "write an image such as redis:7.0", marks=CEL),
        pytest.param({"vip": "10.0.0.256"}, "write an IP address such as 192.0.2.7, or a host's name", marks=CEL),
        pytest.param(
            {"resources": {"limits": {"memory": "512m"}}},
            "memory: write an amount with its unit, such as 512Mi or 2Gi",
            marks=CEL,
        ),
        pytest.param(
            {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
            "more cpu is requested than its limit: write a smaller request, or a limit that is as large",
            marks=CEL,
        ),
        pytest.param(
            {"resources": {"limits": {"memry": "1Gi"}}},
            "write amounts of cpu, memory or ephemeral-storage, and of nothing else",
            marks=CEL,
        ),
    ],
)
async def test_a_bad_spec_is_refused_with_what_to_write(
    kube: Kube, namespace: str, change: dict[str, object], says: str
) -> None:
    code, _, err = await kube.kubectl("apply", "-f", "-", stdin=json.dumps(sample(namespace, **change)))

    assert code == 1
    assert says in err


@CEL
async def test_a_name_too_long_for_its_children_is_refused(kube: Kube, namespace: str) -> None:
    manifest = sample(namespace)
    manifest["metadata"]["name"] = LONG

    code, _, err = await kube.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    assert code == 1
    assert "metadata.name is too long: write at most 48 characters" in err


@CEL
async def test_the_app_of_an_instance_is_fixed(kube: Kube, namespace: str) -> None:
    paused = sample(namespace, paused=True)  # so that it makes nothing
    assert (await kube.kubectl("apply", "-f", "-", stdin=json.dumps(paused)))[0] == 0

    code, _, err = await kube.kubectl("apply", "-f", "-", stdin=json.dumps(sample(namespace, paused=True, app="mouse")))

    assert code == 1
    assert "app cannot be changed" in err
    assert "write the previous app again, or make another resource" in err


@CEL
async def test_a_name_that_no_service_can_have_is_refused(kube: Kube, namespace: str) -> None:
    manifest = sample(namespace)
    manifest["metadata"]["name"] = "1.rat"

    code, _, err = await kube.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    assert code == 1
    assert "write lower-case letters, digits and '-', a letter first" in err


@pytest.mark.needs(TEMPLATES_ARE_CHECKED)
async def test_what_kubernetes_refuses_of_an_object_is_not_called_carried_out(
    kube: Kube, client: Client, namespace: str
) -> None:
    mounts = [{"name": "no-such", "mountPath": "/a"}]
    async with Operator(kube, namespace):
        subject = await Subject.create(client, standalone(namespace, env="demo"))
        await subject.until_ready()
        await subject.change(pod={"containers": [{"name": "a", "image": "a", "volumeMounts": mounts}]})

        async def refused() -> Obj | None:
            accepted = condition(await subject.get(), "Accepted")
            return accepted if accepted.get("reason") == "objects_are_valid" else None

        accepted = await eventually(refused, "Accepted says that Kubernetes refuses an object")
        assert accepted is not None
        assert accepted["status"] == "False"
        assert f"apply StatefulSet {subject.name}" in accepted["message"]
        assert 'volumeMounts[0].name: Not found: "no-such"' in accepted["message"]
        assert condition(await subject.get(), "Ready")["status"] == "True"

        await subject.change(pod=None)

        async def carried_out() -> bool:
            return bool(condition(await subject.get(), "Accepted").get("status") == "True")

        await eventually(carried_out, "taking it back ends it")
