"""Claims about verbs that change: what the API says afterwards is what was typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conformance.namespace import (
    IMAGE,
    Namespace,
    build_configmap,
    build_deployment,
    build_pod_spec,
    build_statefulset,
    is_ready,
)
from tests.localkube.kubectl.command import Kubectl


async def test_create_makes_what_a_file_says_once(ns: Namespace, kubectl: Kubectl) -> None:
    said = [await kubectl("create", "-f", "-", stdin=build_configmap("a", key="value")) for _ in range(2)]

    assert said[0].ok() == "configmap/a created\n"
    assert (said[1].code, "AlreadyExists" in said[1].text) == (1, True)
    assert (await ns.read("configmaps", "a"))["data"] == {"key": "value"}


@pytest.mark.parametrize(
    ("command", "plural", "fields"),
    [
        (("configmap", "a", "--from-literal=k=v"), "configmaps", {"data": {"k": "v"}}),
        (("secret", "generic", "a", "--from-literal=k=v"), "secrets", {"data": {"k": "dg=="}, "type": "Opaque"}),
        (("serviceaccount", "a"), "serviceaccounts", {"kind": "ServiceAccount"}),
    ],
)
async def test_create_makes_what_its_arguments_say(
    ns: Namespace, kubectl: Kubectl, command: tuple[str, ...], plural: str, fields: dict[str, object]
) -> None:
    (await kubectl("create", *command)).ok()

    made = await ns.read(plural, "a")
    assert {name: made[name] for name in fields} == fields


async def test_apply_creates_then_does_nothing_then_changes_and_drops(ns: Namespace, kubectl: Kubectl) -> None:
    wanted = [build_configmap("a", x="1", y="2"), build_configmap("a", x="1", y="2"), build_configmap("a", x="3")]

    said, versions = [], []
    for one in wanted:
        said.append((await kubectl("apply", "-f", "-", stdin=one)).ok())
        versions.append((await ns.read("configmaps", "a"))["metadata"]["resourceVersion"])

    assert said == ["configmap/a created\n", "configmap/a unchanged\n", "configmap/a configured\n"]
    assert versions[0] == versions[1] != versions[2]
    assert (await ns.read("configmaps", "a"))["data"] == {"x": "3"}


async def test_apply_leaves_what_others_set(ns: Namespace, kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=build_configmap("a", x="1"))
    await ns.api.patch(ns.path("configmaps", "a"), {"data": {"theirs": "2"}})

    (await kubectl("apply", "-f", "-", stdin=build_configmap("a", x="3"))).ok()

    assert (await ns.read("configmaps", "a"))["data"] == {"x": "3", "theirs": "2"}


async def test_apply_server_side_owns_what_it_set_and_asks_before_it_takes(ns: Namespace, kubectl: Kubectl) -> None:
    first = await kubectl("apply", "--server-side", "-f", "-", stdin=build_configmap("a", x="1"))
    (
        await ns.api.apply(ns.path("configmaps", "a"), build_configmap("a", x="2"), manager="other", force=True)
    ).accepted()
    refused = await kubectl("apply", "--server-side", "-f", "-", stdin=build_configmap("a", x="3"))
    between = (await ns.read("configmaps", "a"))["data"]
    (await kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=build_configmap("a", x="3"))).ok()

    after = await ns.read("configmaps", "a")
    owners = {one["manager"]: one["operation"] for one in after["metadata"]["managedFields"]}
    assert first.ok() == "configmap/a serverside-applied\n"
    assert (refused.code, 'conflict with "other": .data.x' in refused.text) == (1, True)
    assert (between, after["data"]) == ({"x": "2"}, {"x": "3"})
    assert owners == {"kubectl": "Apply"}


async def test_edit_stores_what_the_editor_leaves(ns: Namespace, kubectl: Kubectl, tmp_path: Path) -> None:
    await ns.create("configmaps", build_configmap("a", key="before"))
    editing = Kubectl(kubectl.kubeconfig, ns.name, tmp_path, {"KUBE_EDITOR": "sed -i s/before/after/"})

    said = (await editing("edit", "configmap", "a")).ok()
    again = (await editing("edit", "configmap", "a")).ok()

    assert (said, again) == ("configmap/a edited\n", "Edit cancelled, no changes made.\n")
    assert (await ns.read("configmaps", "a"))["data"] == {"key": "after"}


@pytest.mark.parametrize(
    ("kind", "patch", "images"),
    [
        (
            "strategic",
            {"spec": {"template": {"spec": {"containers": [{"name": "other", "image": "redis:8"}]}}}},
            {"main": IMAGE, "other": "redis:8"},
        ),
        (
            "merge",
            {"spec": {"template": {"spec": {"containers": [{"name": "other", "image": "redis:8"}]}}}},
            {"other": "redis:8"},
        ),
        (
            "json",
            [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "redis:8"}],
            {"main": "redis:8"},
        ),
    ],
)
async def test_patch_merges_as_its_type_says(
    ns: Namespace, kubectl: Kubectl, kind: str, patch: object, images: dict[str, str]
) -> None:
    await ns.create("deployments", build_deployment("d", replicas=0))

    said = (await kubectl("patch", "deployment", "d", f"--type={kind}", "-p", json.dumps(patch))).ok()

    containers = (await ns.read("deployments", "d"))["spec"]["template"]["spec"]["containers"]
    assert said == "deployment.apps/d patched\n"
    assert {one["name"]: one["image"] for one in containers} == images


async def test_patch_of_nothing_says_so(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.create("deployments", build_deployment("d", replicas=0))

    said = (await kubectl("patch", "deployment", "d", "-p", '{"spec": {"replicas": 0}}')).ok()

    assert said == "deployment.apps/d patched (no change)\n"


async def test_scale_changes_how_many_there_are(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.takes_pods()
    await ns.create("statefulsets", build_statefulset("s", replicas=1))
    await ns.until("statefulsets", "s", lambda one: one["status"].get("readyReplicas") == 1)

    refused = await kubectl("scale", "statefulset", "s", "--current-replicas=5", "--replicas=3")
    said = (await kubectl("scale", "statefulset", "s", "--replicas=2")).ok()
    await ns.until("statefulsets", "s", lambda one: one["status"].get("readyReplicas") == 2)
    (await kubectl("scale", "statefulset/s", "--replicas=0")).ok()
    await ns.until_list("pods", lambda pods: not pods)

    assert (refused.code, "Expected replicas to be 5, was 1" in refused.text) == (1, True)
    assert said == "statefulset.apps/s scaled\n"


async def test_delete_waits_until_it_is_gone(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.run("p")
    await ns.until("pods", "p", is_ready)

    said = (await kubectl("delete", "pod", "p", "--wait")).ok()

    assert said.startswith('pod "p" deleted')
    assert (await ns.api.get(ns.path("pods", "p"))).status == 404


async def test_delete_does_not_wait_for_a_finalizer_when_told_so(ns: Namespace, kubectl: Kubectl) -> None:
    held = build_configmap("a") | {"metadata": {"name": "a", "finalizers": ["example.com/hold"]}}
    await ns.create("configmaps", held)

    timed_out = await kubectl("delete", "configmap", "a", "--timeout=1s")
    said = (await kubectl("delete", "configmap", "a", "--wait=false")).ok()
    still = await ns.read("configmaps", "a")
    await ns.api.patch(ns.path("configmaps", "a"), {"metadata": {"finalizers": None}})

    assert (timed_out.code, "timed out waiting for the condition" in timed_out.text) == (1, True)
    assert said.startswith('configmap "a" deleted')
    assert "deletionTimestamp" in still["metadata"]


async def test_delete_by_label_takes_no_other(ns: Namespace, kubectl: Kubectl) -> None:
    for name, colour in (("a", "red"), ("b", "blue")):
        labelled = build_configmap(name) | {"metadata": {"name": name, "labels": {"colour": colour}}}
        await ns.create("configmaps", labelled)

    (await kubectl("delete", "configmaps", "-l", "colour=red")).ok()

    assert [one["metadata"]["name"] for one in await ns.items("configmaps", labelSelector="colour")] == ["b"]


async def test_rollout_tells_waits_and_goes_back(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.takes_pods()
    await ns.create("deployments", build_deployment("d", template=build_pod_spec()))
    first = (await kubectl("rollout", "status", "deployment/d", "--timeout=50s")).ok()
    (await kubectl("set", "env", "deployment/d", "A=B")).ok()
    (await kubectl("rollout", "status", "deployment/d", "--timeout=50s")).ok()
    changed = (await ns.read("deployments", "d"))["spec"]["template"]["spec"]["containers"][0].get("env")
    history = (await kubectl("rollout", "history", "deployment/d")).table
    undone = (await kubectl("rollout", "undo", "deployment/d")).ok()
    (await kubectl("rollout", "status", "deployment/d", "--timeout=50s")).ok()

    after = await ns.read("deployments", "d")
    assert 'deployment "d" successfully rolled out' in first
    assert changed == [{"name": "A", "value": "B"}]
    assert [row[0] for row in history if row and row[0].isdigit()] == ["1", "2"]
    assert undone == "deployment.apps/d rolled back\n"
    assert "env" not in after["spec"]["template"]["spec"]["containers"][0]
    assert after["status"]["updatedReplicas"] == after["status"]["availableReplicas"] == 1


async def test_rollout_of_a_stateful_set_is_waited_for(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.takes_pods()
    await ns.create("statefulsets", build_statefulset("s"))
    (await kubectl("rollout", "status", "statefulset/s", "--timeout=50s")).ok()
    before = (await ns.read("pods", "s-0"))["metadata"]["uid"]

    (await kubectl("rollout", "restart", "statefulset/s")).ok()
    (await kubectl("rollout", "status", "statefulset/s", "--timeout=50s")).ok()

    assert (await ns.read("pods", "s-0"))["metadata"]["uid"] != before
