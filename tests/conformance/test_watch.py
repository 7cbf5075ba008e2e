"""Claims: what WATCH promises: nothing lost, nothing twice, in order, resumable, and honest when it cannot resume."""

from __future__ import annotations

import asyncio

from tests.conformance.client import Obj
from tests.conformance.namespace import Namespace, build_configmap

METADATA = "application/json;as={};g=meta.k8s.io;v=v1"


def version(obj: Obj) -> int:
    return int(obj["metadata"]["resourceVersion"])


async def list_version(ns: Namespace) -> str:
    return str((await ns.api.read(ns.path("configmaps")))["metadata"]["resourceVersion"])


def labelled(name: str, tier: str) -> Obj:
    body = build_configmap(name)
    body["metadata"]["labels"] = {"tier": tier}
    return body


async def test_a_watch_from_a_list_shows_every_change_in_order(ns: Namespace) -> None:
    since = await list_version(ns)

    async with ns.api.watch(ns.path("configmaps"), resourceVersion=since, labelSelector="tier") as watch:
        await ns.create("configmaps", labelled("a", "x"))
        await ns.api.patch(ns.path("configmaps", "a"), {"data": {"k": "v"}})
        await ns.api.delete(ns.path("configmaps", "a"))
        events = await watch.take(3)

    assert [e.seen for e in events] == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    versions = [int(since), *(version(e.object) for e in events)]
    assert versions == sorted(set(versions))


async def test_a_watch_resumes_from_any_version_it_has_shown(ns: Namespace) -> None:
    since = await list_version(ns)
    first = await ns.create("configmaps", labelled("a", "x"))
    await ns.create("configmaps", labelled("b", "x"))
    await ns.api.delete(ns.path("configmaps", "a"))

    async with ns.api.watch(ns.path("configmaps"), resourceVersion=since, labelSelector="tier") as from_list:
        whole = await from_list.take(3)
    resume = first["metadata"]["resourceVersion"]
    async with ns.api.watch(ns.path("configmaps"), resourceVersion=resume, labelSelector="tier") as from_event:
        rest = await from_event.take(2)

    assert [e.seen for e in whole] == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]
    assert rest == whole[1:]


async def test_a_watch_without_version_begins_with_what_exists(ns: Namespace) -> None:
    await ns.create("configmaps", labelled("a", "x"))
    await ns.create("configmaps", labelled("b", "x"))

    async with ns.api.watch(ns.path("configmaps"), labelSelector="tier") as watch:
        initial = await watch.take(2)
        await ns.create("configmaps", labelled("c", "x"))
        later = await watch.take(1)

    assert sorted(e.seen for e in initial) == [("ADDED", "a"), ("ADDED", "b")]
    assert [e.seen for e in later] == [("ADDED", "c")]


async def test_two_hundred_quick_writes_are_two_hundred_events(ns: Namespace) -> None:
    since = await list_version(ns)
    await ns.create("configmaps", labelled("a", "x"))

    async with ns.api.watch(ns.path("configmaps"), resourceVersion=since, labelSelector="tier") as watch:
        for number in range(200):
            (await ns.api.patch(ns.path("configmaps", "a"), {"data": {"n": str(number)}})).accepted()
        events = await watch.take(201)

    assert [e.object.get("data", {}).get("n") for e in events] == [None, *(str(n) for n in range(200))]


async def test_several_watchers_see_the_same(ns: Namespace) -> None:
    since = await list_version(ns)
    path = ns.path("configmaps")

    async with (
        ns.api.watch(path, resourceVersion=since, labelSelector="tier") as one,
        ns.api.watch(path, resourceVersion=since, labelSelector="tier") as other,
    ):
        for name in ("a", "b", "c"):
            await ns.create("configmaps", labelled(name, "x"))
        seen = await asyncio.gather(one.take(3), other.take(3))

    assert seen[0] == seen[1]


async def test_an_object_that_leaves_the_selection_is_deleted_for_the_watcher(ns: Namespace) -> None:
    since = await list_version(ns)
    path = ns.path("configmaps", "a")

    async with ns.api.watch(ns.path("configmaps"), resourceVersion=since, labelSelector="tier=x") as watch:
        await ns.create("configmaps", labelled("a", "y"))
        await ns.api.patch(path, {"metadata": {"labels": {"tier": "x"}}})
        await ns.api.patch(path, {"metadata": {"labels": {"tier": "y"}}})
        await ns.api.patch(path, {"metadata": {"labels": {"tier": "x"}}})
        events = await watch.take(3)

    assert [e.seen for e in events] == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a")]


async def test_a_watch_by_name_shows_that_name_only(ns: Namespace) -> None:
    since = await list_version(ns)

    async with ns.api.watch(ns.path("configmaps"), resourceVersion=since, fieldSelector="metadata.name=b") as watch:
        await ns.create("configmaps", build_configmap("a"))
        await ns.create("configmaps", build_configmap("b"))
        events = await watch.take(1)

    assert [e.seen for e in events] == [("ADDED", "b")]


async def test_events_carry_whole_objects_with_their_kind(ns: Namespace) -> None:
    since = await list_version(ns)

    async with ns.api.watch(ns.path("configmaps"), resourceVersion=since, fieldSelector="metadata.name=a") as watch:
        made = await ns.create("configmaps", build_configmap("a", k="v"))
        [event] = await watch.take(1)

    assert event.object == made
    assert (event.object["kind"], event.object["apiVersion"]) == ("ConfigMap", "v1")


async def test_a_watch_for_metadata_only_is_sent_nothing_else(ns: Namespace) -> None:
    await ns.create("secrets", {"metadata": {"name": "a"}, "stringData": {"k": "v"}})
    path, named = ns.path("secrets"), "metadata.name=a"
    listed = await ns.api.request(
        "GET", path, accept=METADATA.format("PartialObjectMetadataList"), query={"fieldSelector": named}
    )
    since = listed.accepted()["metadata"]["resourceVersion"]

    async with ns.api.watch(
        path, accept=METADATA.format("PartialObjectMetadata"), resourceVersion=since, fieldSelector=named
    ) as watch:
        await ns.api.delete(ns.path("secrets", "a"))
        await ns.create("secrets", {"metadata": {"name": "a"}, "stringData": {"k": "v"}})
        events = await watch.take(2)

    assert [e.seen for e in events] == [("DELETED", "a"), ("ADDED", "a")]
    shown = [*listed.body["items"], *(e.object for e in events)]
    assert [set(each) - {"kind", "apiVersion"} for each in shown] == [{"metadata"}] * 3


async def test_a_deletion_has_a_version_of_its_own(ns: Namespace) -> None:
    made = await ns.create("configmaps", build_configmap("a", k="v"))

    async with ns.api.watch(
        ns.path("configmaps"), resourceVersion=made["metadata"]["resourceVersion"], fieldSelector="metadata.name=a"
    ) as watch:
        await ns.api.delete(ns.path("configmaps", "a"))
        [event] = await watch.take(1)

    assert (event.type, event.object["data"]) == ("DELETED", {"k": "v"})
    assert version(event.object) > version(made)


async def test_a_watch_ends_in_good_order_at_its_timeout(ns: Namespace) -> None:
    since = await list_version(ns)

    async with ns.api.watch(
        ns.path("configmaps"), resourceVersion=since, labelSelector="tier", timeoutSeconds=1
    ) as watch:
        ended = await watch.next(10)

    assert ended is None


async def test_bookmarks_come_before_a_watch_ends(ns: Namespace) -> None:
    since = await list_version(ns)
    made = await ns.create("configmaps", labelled("a", "x"))

    async with ns.api.watch(
        ns.path("configmaps"),
        resourceVersion=since,
        labelSelector="tier",
        allowWatchBookmarks="true",
        timeoutSeconds=5,
    ) as watch:
        events = await watch.until(lambda event: event.type == "BOOKMARK")

    bookmark = events[-1].object
    assert version(bookmark) >= version(made)
    assert bookmark["kind"] == "ConfigMap"
    assert "data" not in bookmark


async def test_no_bookmark_comes_unasked(ns: Namespace) -> None:
    since = await list_version(ns)

    async with ns.api.watch(
        ns.path("configmaps"), resourceVersion=since, labelSelector="tier", timeoutSeconds=3
    ) as watch:
        event = await watch.next(10)

    assert event is None


async def test_a_version_that_is_gone_is_410_expired(ns: Namespace) -> None:
    async with ns.api.watch(ns.path("configmaps"), resourceVersion=1) as watch:
        event = await watch.next()

    assert event is not None
    assert (event.type, event.object["code"], event.object["reason"]) == ("ERROR", 410, "Expired")
    assert event.object["message"].startswith("too old resource version: 1 (")


async def test_a_version_that_is_no_number_is_refused(ns: Namespace) -> None:
    answer = await ns.api.get(ns.path("configmaps"), watch="true", resourceVersion="abc")

    assert answer.status >= 400
    assert 'Invalid value: "abc"' in answer.message


async def test_an_expired_continue_token_is_no_silent_success(ns: Namespace) -> None:
    answer = await ns.api.get(ns.path("configmaps"), **{"continue": "bm90IGEgdG9rZW4"})

    assert answer.refused() == (400, "BadRequest")
