"""Claims about lists and watches: nothing is missed, nothing comes twice, and what is forgotten is said to be."""

from __future__ import annotations

import asyncio
from typing import Any

from localkube.registry import Event, Registry
from tests.localkube.api.client import Api, Watch

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}}


async def seen(watch: Watch) -> tuple[str, str]:
    event = await watch.next()
    assert event is not None
    return event["type"], event["object"]["metadata"].get("name", "")


async def test_a_watch_resumes_where_the_list_ended(api: Api) -> None:
    await api.create(CONFIGMAPS, config_map("a"))
    version = (await api.get(CONFIGMAPS)).object()["metadata"]["resourceVersion"]
    await api.create(CONFIGMAPS, config_map("b"))

    async with api.watch(CONFIGMAPS, resourceVersion=version) as watch:
        await api.create(CONFIGMAPS, config_map("c"))
        await api.call("DELETE", f"{CONFIGMAPS}/a")
        events = [await seen(watch) for _ in range(3)]

    assert events == [("ADDED", "b"), ("ADDED", "c"), ("DELETED", "a")]


async def test_an_object_that_leaves_the_selection_is_deleted_for_its_watcher(api: Api) -> None:
    await api.create(CONFIGMAPS, config_map("a", tier="red"))

    async with api.watch(CONFIGMAPS, labelSelector="tier=red") as watch:
        events = [await seen(watch)]
        await api.merge(f"{CONFIGMAPS}/a", {"metadata": {"labels": {"tier": "blue"}}})
        await api.merge(f"{CONFIGMAPS}/a", {"data": {"k": "v"}})
        await api.merge(f"{CONFIGMAPS}/a", {"metadata": {"labels": {"tier": "red"}}})
        events += [await seen(watch) for _ in range(2)]

    assert events == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a")]


async def test_compaction_turns_a_resumed_watch_into_410(api: Api) -> None:
    version = (await api.get(CONFIGMAPS)).object()["metadata"]["resourceVersion"]
    await api.create(CONFIGMAPS, config_map("a"))
    api.registry.compact()

    async with api.watch(CONFIGMAPS, resourceVersion=version) as watch:
        event = await watch.next()

    assert event is not None
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_bookmarks_tell_how_far_a_quiet_watch_is(api: Api) -> None:
    await api.create(CONFIGMAPS, config_map("a"))
    version = (await api.get(CONFIGMAPS)).object()["metadata"]["resourceVersion"]

    async with api.watch(CONFIGMAPS, resourceVersion=version, allowWatchBookmarks="true", timeoutSeconds="1") as watch:
        events = [await watch.next(), await watch.next()]

    assert events[1] is None
    assert events[0] is not None
    assert (events[0]["type"], events[0]["object"]["metadata"]["resourceVersion"]) == ("BOOKMARK", version)


async def test_a_streamed_list_ends_with_a_marked_bookmark(api: Api) -> None:
    await api.create(CONFIGMAPS, config_map("a"))
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}

    async with api.watch(CONFIGMAPS, **query) as watch:
        first = await seen(watch)
        mark = await watch.next()

    assert first == ("ADDED", "a")
    assert mark is not None
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_pages_show_one_moment_whatever_happens_meanwhile(api: Api) -> None:
    for name in "abcde":
        await api.create(CONFIGMAPS, config_map(name))

    page = (await api.get(CONFIGMAPS, limit="2")).object()
    names = [one["metadata"]["name"] for one in page["items"]]
    await api.call("DELETE", f"{CONFIGMAPS}/d")
    while token := page["metadata"].get("continue"):
        page = (await api.get(CONFIGMAPS, **{"limit": "2", "continue": token})).object()
        names += [one["metadata"]["name"] for one in page["items"]]

    assert names == list("abcde")


async def test_an_unknown_field_selector_is_refused(api: Api) -> None:
    answer = await api.get(CONFIGMAPS, fieldSelector="data.k=v")

    assert answer.status == 400
    assert answer.message == '"data.k" is not a known field selector: only "metadata.name", "metadata.namespace"'


async def test_deletecollection_takes_what_the_selector_names(api: Api) -> None:
    for name, tier in (("a", "red"), ("b", "blue"), ("c", "red")):
        await api.create(CONFIGMAPS, config_map(name, tier=tier))

    await api.call("DELETE", CONFIGMAPS, labelSelector="tier=red")
    left = (await api.get(CONFIGMAPS)).object()["items"]

    assert [one["metadata"]["name"] for one in left] == ["b"]


async def test_a_subscriber_hears_what_exists_and_then_every_change_once() -> None:
    registry = Registry()
    registry.create("namespaces", {"metadata": {"name": "a"}})
    heard: list[tuple[str, str]] = []
    done = asyncio.Event()

    def hear(event: Event) -> None:
        heard.append((event.type, event.object["metadata"]["name"]))
        if len(heard) == 3:
            done.set()

    registry.subscribe("namespaces", hear)
    registry.create("namespaces", {"metadata": {"name": "b"}})
    registry.create("namespaces", {"metadata": {"name": "c"}})
    inside_the_write = list(heard)
    await asyncio.wait_for(done.wait(), 5)

    assert inside_the_write == []
    assert heard == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]


async def test_one_failing_subscriber_does_not_silence_the_others() -> None:
    registry = Registry()
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
    done = asyncio.Event()

    def fail(_: Event) -> None:
        raise ValueError("broken")

    registry.subscribe("namespaces", fail)
    registry.subscribe("namespaces", lambda _: done.set())
    registry.create("namespaces", {"metadata": {"name": "a"}})
    await asyncio.wait_for(done.wait(), 5)

    assert reported == ["broken"]
