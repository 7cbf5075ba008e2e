"""Claims about verbs that look: what kubectl shows is what the API says."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.conformance.namespace import Namespace, build_configmap
from tests.localkube.kubectl.command import Kubectl


async def test_get_shows_a_table_with_the_columns_of_the_kind(ns: Namespace, kubectl: Kubectl) -> None:
    for name in ("b", "a"):
        await ns.create("configmaps", build_configmap(name, key="value"))

    shown = (await kubectl("get", "configmaps", "a", "b")).table

    assert [row[:2] for row in shown] == [["NAME", "DATA"], ["a", "1"], ["b", "1"]]


@pytest.mark.parametrize("form", ["json", "yaml"])
async def test_get_prints_the_object_of_the_api(ns: Namespace, kubectl: Kubectl, form: str) -> None:
    made = await ns.create("configmaps", build_configmap("a", key="value"))

    said = (await kubectl("get", "configmap/a", "-o", form, "--show-managed-fields")).ok()

    assert (json.loads if form == "json" else yaml.safe_load)(said) == made


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("jsonpath={.data.key}", "value"),
        ("jsonpath={range .metadata.labels}{.*}{end}", "blue"),
        ("name", "configmap/a\n"),
        ("go-template={{.data.key}}", "value"),
        ("custom-columns=N:.metadata.name,K:.data.key", "N     K\na     value\n"),
    ],
)
async def test_get_prints_what_a_template_asks_for(ns: Namespace, kubectl: Kubectl, form: str, said: str) -> None:
    await ns.create(
        "configmaps", build_configmap("a", key="value") | {"metadata": {"name": "a", "labels": {"l": "blue"}}}
    )

    assert (await kubectl("get", "configmap", "a", "-o", form)).ok() == said


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (("-l", "colour=red"), "ac"),
        (("-l", "colour!=red"), "bd"),
        (("-l", "colour in (red, blue), size"), "c"),
        (("-l", "!colour"), "d"),
        (("--field-selector", "metadata.name=b"), "b"),
        (("-l", "colour=red", "--field-selector", "metadata.name!=a"), "c"),
    ],
)
async def test_get_selects(ns: Namespace, kubectl: Kubectl, selection: tuple[str, ...], names: str) -> None:
    labels: dict[str, dict[str, str]] = {
        "a": {"colour": "red"}, "b": {"colour": "blue"}, "c": {"colour": "red", "size": "1"}, "d": {},
    }  # fmt: skip
    for name, given in labels.items():
        await ns.create("secrets", {"metadata": {"name": name, "labels": {**given, "test": "yes"}}})

    found = await kubectl.json("get", "secrets", *selection)

    # A cluster may keep secrets of its own here.
    assert [one["metadata"]["name"] for one in found["items"] if one.get("type") == "Opaque"] == list(names)


async def test_get_watches(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.create("configmaps", build_configmap("a"))

    async with kubectl.running("get", "configmaps", "-w", "--no-headers", "-o", "name") as watch:
        await watch.line_with("configmap/a")
        await ns.create("configmaps", build_configmap("b"))
        seen = await watch.line_with("configmap/b")

    assert seen == "configmap/b"


async def test_a_watch_of_a_table_repeats_the_changed_row(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.create("configmaps", build_configmap("a"))

    # By name, kubectl would take a change between its two requests for the object it has already shown.
    async with kubectl.running("get", "configmaps", "--field-selector=metadata.name=a", "-w") as watch:
        first = [(await watch.line_with(text)).split()[:2] for text in ("NAME", "a ")]
        await ns.api.patch(ns.path("configmaps", "a"), {"data": {"x": "1", "y": "2"}})
        later = (await watch.line_with("a ")).split()[:2]

    assert [*first, later] == [["NAME", "DATA"], ["a", "0"], ["a", "2"]]


async def test_describe_tells_a_pod_with_its_events(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.run("p", "echo hello; exec sleep 1000", labels={"colour": "red"})
    pod = await ns.until("pods", "p", lambda pod: pod["status"]["phase"] == "Running")
    await ns.until_list("events", lambda events: any(one["reason"] == "Started" for one in events))

    told = (await kubectl("describe", "pod", "p")).ok()

    stated = {words[0]: words[1] for line in told.splitlines() if len(words := line.split()) == 2}
    assert (stated["Name:"], stated["Status:"], stated["IP:"]) == ("p", "Running", pod["status"]["podIP"])
    assert stated["Labels:"] == "colour=red"
    assert "Container started" in told or "Started container main" in told  # before 1.36


async def test_events_are_those_of_the_object(ns: Namespace, kubectl: Kubectl) -> None:
    for name in ("p", "q"):
        await ns.run(name)
    await ns.until_list("events", lambda events: sum(one["reason"] == "Started" for one in events) == 2)

    shown = (await kubectl("events", "--for", "pod/p")).table

    assert shown[0] == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert {row[3] for row in shown[1:]} == {"Pod/p"}
    assert {"Scheduled", "Started"} <= {row[2] for row in shown[1:]}


async def test_api_resources_are_those_of_discovery(ns: Namespace, kubectl: Kubectl) -> None:
    core = await ns.api.read("/api/v1")
    apps = await ns.api.read("/apis/apps/v1")

    shown = {
        group: (await kubectl("api-resources", f"--api-group={group}", "--verbs=list", "-o", "name")).lines
        for group in ("", "apps")
    }
    short = (await kubectl("api-resources", "--api-group=apps", "--no-headers")).table

    def listed(document: dict[str, list[dict[str, object]]], suffix: str) -> set[str]:
        return {f"{one['name']}{suffix}" for one in document["resources"] if "list" in one["verbs"]}  # type: ignore[operator]

    assert (set(shown[""]), set(shown["apps"])) == (listed(core, ""), listed(apps, ".apps"))
    assert ["statefulsets", "sts", "apps/v1", "true", "StatefulSet"] in short


async def test_get_raw_is_the_answer_as_it_came(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.create("configmaps", build_configmap("a", key="value"))

    said = (await kubectl("get", "--raw", ns.path("configmaps", "a"))).ok()

    assert json.loads(said) == await ns.read("configmaps", "a")


async def test_what_is_not_there_is_said_to_be_not_there(kubectl: Kubectl) -> None:
    absent = await kubectl("get", "configmap", "nosuch")
    unknown = await kubectl("get", "nosuch")

    assert (absent.code, absent.text) == (1, 'Error from server (NotFound): configmaps "nosuch" not found\n')
    assert (unknown.code, unknown.text) == (1, 'error: the server doesn\'t have a resource type "nosuch"\n')
