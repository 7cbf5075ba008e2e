"""Claims about the real kubectl against this server: what people type works and says what it says elsewhere."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.localkube.api.client import Api
from tests.localkube.api.test_custom_resources import CRD, CRDS, foo

POD = """
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: a}}
spec:
  containers: [{name: c, image: "redis:7", ports: [{containerPort: 6379}]}]
"""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("create", "namespace", "x"), "namespace/x created\n"),
        (("create", "configmap", "x", "--from-literal=a=b"), "configmap/x created\n"),
        (("create", "secret", "generic", "x", "--from-literal=a=b"), "secret/x created\n"),
        (("create", "deployment", "x", "--image=redis:7", "--replicas=2", "--port=80"), "deployment.apps/x created\n"),
        (("create", "service", "clusterip", "x", "--tcp=80:6379"), "service/x created\n"),
        (("create", "serviceaccount", "x"), "serviceaccount/x created\n"),
        (("create", "job", "x", "--image=redis:7", "--", "true"), "job.batch/x created\n"),
        (("create", "pdb", "x", "--selector=a=b", "--min-available=50%"), "poddisruptionbudget.policy/x created\n"),
        (("create", "role", "x", "--verb=get", "--resource=pods"), "role.rbac.authorization.k8s.io/x created\n"),
        (("run", "x", "--image=redis:7"), "pod/x created\n"),
        (("auth", "can-i", "create", "pods"), "yes\n"),
        (("get", "pods"), "No resources found in default namespace.\n"),
    ],
)
async def test_commands_that_need_nothing_before(api: Api, command: tuple[str, ...], said: str) -> None:
    assert await api.kubectl(*command) == said


async def test_apply_creates_then_finds_nothing_to_do(api: Api) -> None:
    said = [await api.kubectl("apply", "-f", "-", stdin=POD) for _ in range(2)]
    changed = await api.kubectl("apply", "-f", "-", stdin=POD.replace("app: a", "app: b"))

    assert (said, changed) == (["pod/p created\n", "pod/p unchanged\n"], "pod/p configured\n")


async def test_a_pod_is_shown_labelled_described_and_deleted(api: Api) -> None:
    await api.kubectl("apply", "-f", "-", stdin=POD)

    shown = (await api.kubectl("get", "pods", "-o", "wide")).splitlines()
    labelled = await api.kubectl("label", "pod", "p", "tier=red")
    described = await api.kubectl("describe", "pod", "p")
    deleted = await api.kubectl("delete", "pod", "p", "--wait")

    assert shown[0].split() == [
        "NAME",
        "READY",
        "STATUS",
        "RESTARTS",
        "AGE",
        "IP",
        "NODE",
        "NOMINATED",
        "NODE",
        "READINESS",
        "GATES",
    ]
    assert shown[1].split()[:4] == ["p", "0/1", "Pending", "0"]
    assert labelled == "pod/p labeled\n"
    assert "tier=red" in described
    assert deleted == 'pod "p" deleted from default namespace\n'


async def test_a_deployment_is_scaled_edited_and_rolled(api: Api) -> None:
    await api.kubectl("create", "deployment", "d", "--image=redis:7")

    said = [
        await api.kubectl("scale", "deployment", "d", "--replicas=3"),
        await api.kubectl("set", "image", "deployment/d", "redis=redis:8"),
        await api.kubectl("rollout", "restart", "deployment", "d"),
        await api.kubectl(
            "patch", "deployment", "d", "--type=json", "-p", '[{"op": "remove", "path": "/metadata/labels"}]'
        ),
    ]
    seen = json.loads(await api.kubectl("get", "deployment", "d", "-o", "json"))

    assert said == [
        "deployment.apps/d scaled\n",
        "deployment.apps/d image updated\n",
        "deployment.apps/d restarted\n",
        "deployment.apps/d patched\n",
    ]
    assert seen["spec"]["replicas"] == 3
    assert seen["spec"]["template"]["spec"]["containers"][0]["image"] == "redis:8"


async def test_custom_resources_have_columns_short_names_and_explanations(api: Api) -> None:
    applied = await api.kubectl(
        "apply",
        "-f",
        "-",
        stdin=yaml.safe_dump({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", **CRD}),
    )
    waited = await api.kubectl("wait", "--for=condition=Established", "crd/foos.example.com", "--timeout=10s")
    await api.kubectl("apply", "-f", "-", stdin=json.dumps(foo(size=4)))

    by_short_name = [line.split() for line in (await api.kubectl("get", "fo")).splitlines()]
    by_category = [line.split() for line in (await api.kubectl("get", "bars")).splitlines()]
    explained = await api.kubectl("explain", "foos.spec")

    assert applied == "customresourcedefinition.apiextensions.k8s.io/foos.example.com created\n"
    assert waited == "customresourcedefinition.apiextensions.k8s.io/foos.example.com condition met\n"
    assert by_short_name == by_category == [["NAME", "SIZE"], ["a", "4"]]
    assert "KIND:       Foo" in explained
    assert "app\t<string> -required-" in explained


async def test_an_unknown_field_of_a_custom_resource_is_refused_before_it_is_stored(api: Api) -> None:
    await api.create(CRDS, CRD)

    said = await api.kubectl("apply", "-f", "-", stdin=json.dumps(foo(sise=4)))

    assert said.startswith("exit 1: Error from server (BadRequest)")
    assert 'strict decoding error: unknown field "spec.sise"' in said
