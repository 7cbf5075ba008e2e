"""Claims: events can be written, counted up, and found by the object they speak of."""

from __future__ import annotations

from typing import Any

from tests.conformance.client import Obj
from tests.conformance.namespace import Namespace, build_configmap, names


def build_event(name: str, about: Obj, **fields: Any) -> Obj:
    meta = about["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        },
        "reason": "Tested",
        "message": "a claim was made",
        "type": "Normal",
        "source": {"component": "conformance"},
        "firstTimestamp": "2026-01-02T03:04:05Z",
        "lastTimestamp": "2026-01-02T03:04:05Z",
        "count": 1,
    } | fields


async def test_events_are_found_by_what_they_are_about(ns: Namespace) -> None:
    one = await ns.create("configmaps", build_configmap("one"))
    two = await ns.create("configmaps", build_configmap("two"))
    await ns.create("events", build_event("first", one))
    await ns.create("events", build_event("second", two, reason="Other", type="Warning"))

    by_name = await ns.items("events", fieldSelector="involvedObject.kind=ConfigMap,involvedObject.name=one")
    by_uid = await ns.items("events", fieldSelector=f"involvedObject.uid={two['metadata']['uid']}")
    by_kind = await ns.items("events", fieldSelector="type=Warning,reason=Other")

    assert (names(by_name), names(by_uid), names(by_kind)) == (["first"], ["second"], ["second"])


async def test_an_event_can_be_counted_up(ns: Namespace) -> None:
    about = await ns.create("configmaps", build_configmap("one"))
    await ns.create("events", build_event("first", about))

    counted = (await ns.api.patch(ns.path("events", "first"), {"count": 2})).accepted()

    assert (counted["count"], counted["message"]) == (2, "a claim was made")


async def test_an_event_about_another_namespace_is_refused(ns: Namespace) -> None:
    about = await ns.create("configmaps", build_configmap("one"))
    body = build_event("first", about)
    body["involvedObject"]["namespace"] = "default"

    answer = await ns.api.post(ns.path("events"), body)

    assert answer.refused() == (422, "Invalid")
    assert "involvedObject.namespace" in answer.message
