"""Claims about a cache, each against a server that plays one exact script."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdredis.kube.cache import Cache, wait_synced
from tdredis.kube.client import Client
from tdredis.kube.objects import Child, Meta, parse_child
from tdredis.kube.resources import CONFIGMAPS, Resource
from tdredis.kube.versions import is_older
from tests.kit.waiting import eventually
from tests.unit.kube.scripted_server import (
    Act,
    ScriptedServer,
    answer,
    bookmark,
    build_list,
    build_object,
    build_status,
    connect,
    frame,
    hang,
    refuse,
    stream,
)


class Followed:
    """A running cache, and everything that it told us."""

    def __init__(self, server: ScriptedServer, client: Client, silence_s: float, chance: Callable[[], float]) -> None:
        self.server = server
        self.changes: list[tuple[str | None, str | None]] = []  # "name@version"
        self.events: list[str] = []
        self.cache: Cache[Child] = Cache(
            client,
            CONFIGMAPS,
            parse_child(CONFIGMAPS),
            label_selector="a=b",
            index=lambda child: child.metadata.labels.get("shard"),
            on_change=lambda old, new: self.changes.append((named(old), named(new))),
            on_event=self._on_event,
            silence_s=silence_s,
            backoff_first_s=0.02,
            backoff_most_s=0.1,
            chance=chance,
        )

    def _on_event(self, _: Resource, type_: str) -> None:
        self.events.append(type_)

    @property
    def names(self) -> list[str | None]:
        return [named(child) for child in self.cache]

    async def sees(self, *names: str) -> None:
        await eventually(lambda: self.names == list(names), lambda: (self.names, self.changes, self.events))

    async def until(self, condition: Callable[[], object]) -> None:
        await eventually(condition, lambda: (self.names, self.changes, self.events, self.server.requests))


def named(child: Child | None) -> str | None:
    return None if child is None else f"{child.metadata.name}@{child.metadata.resource_version}"


@asynccontextmanager
async def following(
    *script: Act, silence_s: float = 30.0, chance: Callable[[], float] = lambda: 0.5
) -> AsyncIterator[Followed]:
    async with ScriptedServer(*script) as server, connect(server) as client:
        followed = Followed(server, client, silence_s, chance)
        task = asyncio.create_task(followed.cache.run())
        try:
            yield followed
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


def added(name: str, version: int, **parts: object) -> bytes:
    return frame("ADDED", build_object(name, version, **parts))


def modified(name: str, version: int, **parts: object) -> bytes:
    return frame("MODIFIED", build_object(name, version, **parts))


def deleted(name: str, version: int) -> bytes:
    return frame("DELETED", build_object(name, version))


async def test_a_list_and_then_a_watch_from_its_version() -> None:
    script = (
        answer(build_list(5, build_object("a", 1), build_object("b", 2))),
        stream(added("c", 6), modified("a", 7), deleted("b", 8)),
    )
    async with following(*script) as followed:
        await followed.sees("a@7", "c@6")

        assert followed.cache.synced.is_set()
        assert followed.server.queries("watch")[0]["resourceVersion"] == "5"
        assert followed.server.queries("watch")[0]["labelSelector"] == "a=b"
        assert followed.changes == [(None, "a@1"), (None, "b@2"), (None, "c@6"), ("a@1", "a@7"), ("b@2", None)]


async def test_it_is_not_synced_before_the_last_page() -> None:
    async with following(answer(build_list(5, build_object("a", 1), continue_="t")), hang()) as followed:
        await followed.until(lambda: len(followed.server.requests) == 2)

        assert not followed.cache.synced.is_set()
        with pytest.raises(TimeoutError, match="configmaps"):
            await wait_synced([followed.cache], deadline_s=0.01)


async def test_a_watch_that_ends_in_order_goes_on_where_it_was() -> None:
    script = (answer(build_list(5)), stream(added("a", 6), then="end"), stream(added("b", 7)))
    async with following(*script) as followed:
        await followed.sees("a@6", "b@7")

        assert [query["resourceVersion"] for query in followed.server.queries("watch")] == ["5", "6"]
        assert len(followed.server.queries("list")) == 1


async def test_a_bookmark_moves_the_place_where_the_watch_goes_on() -> None:
    script = (answer(build_list(5)), stream(bookmark(90), then="end"), stream(added("a", 91)))
    async with following(*script) as followed:
        await followed.sees("a@91")

        assert [query["resourceVersion"] for query in followed.server.queries("watch")] == ["5", "90"]
        assert followed.changes == [(None, "a@91")]


async def test_a_connection_cut_in_the_middle_of_a_frame_loses_nothing() -> None:
    script = (
        answer(build_list(5)),
        stream(added("a", 6), added("b", 7)[:25], then="cut"),
        stream(added("b", 7)),
    )
    async with following(*script) as followed:
        await followed.sees("a@6", "b@7")

        assert [query["resourceVersion"] for query in followed.server.queries("watch")] == ["5", "6"]
        assert len(followed.server.queries("list")) == 1


@pytest.mark.parametrize(
    "gone",
    [
        stream(frame("ERROR", build_status(410, "Expired")), then="end"),
        stream(frame("ERROR", build_status(410, "Gone")), then="end"),
        refuse(410, "Expired"),
    ],
    ids=["frame", "frame-of-old", "status"],
)
async def test_after_410_it_lists_again_and_reports_what_vanished_meanwhile(gone: Act) -> None:
    script = (
        answer(build_list(5, build_object("a", 1), build_object("b", 2), build_object("c", 3))),
        gone,
        answer(build_list(50, build_object("b", 2), build_object("c", 40), build_object("d", 41))),
        stream(added("e", 51)),
    )
    async with following(*script) as followed:
        await followed.sees("b@2", "c@40", "d@41", "e@51")

        assert followed.changes[3:] == [("c@3", "c@40"), (None, "d@41"), ("a@1", None), (None, "e@51")]
        assert followed.server.queries("watch")[1]["resourceVersion"] == "50"


async def test_a_server_that_says_410_to_every_watch_is_not_asked_without_a_pause() -> None:
    script = (answer(build_list(5)), refuse(410, "Expired")) * 4
    async with following(*script, answer(build_list(6)), stream(added("a", 7))) as followed:
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        await followed.sees("a@7")

        # 2nd, 3rd and 4th time: twice, four and (cut off) five times the first wait of 20 ms.
        assert loop.time() - started_at >= 0.04 + 0.08 + 0.1


async def test_a_watch_that_always_ends_at_once_is_not_asked_without_a_pause() -> None:
    script = (answer(build_list(5)), *(stream(then="end"),) * 3, stream(added("a", 7)))
    async with following(*script) as followed:
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        await followed.sees("a@7")

        assert loop.time() - started_at >= 0.02 + 0.04 + 0.08


async def test_an_object_that_does_not_decode_costs_only_itself() -> None:
    broken = build_object("b", 7, labels={"shard": 3})
    script = (
        answer(build_list(5, build_object("x", 4, labels=[]), build_object("a", 1))),
        stream(added("b", 6), frame("MODIFIED", broken), added("c", 8), then="cut"),
        stream(modified("b", 9)),
    )
    async with following(*script) as followed:
        await followed.sees("a@1", "b@9", "c@8")

        assert followed.cache.synced.is_set()
        assert followed.events.count("UNDECODABLE") == 2
        assert [query["resourceVersion"] for query in followed.server.queries("watch")] == ["5", "8"]


async def test_an_object_whose_newest_state_does_not_decode_is_named_until_it_does() -> None:
    go_on = asyncio.Event()

    def parse(text: object) -> Child:
        child = parse_child(CONFIGMAPS)(text)  # type: ignore[arg-type]
        if child.metadata.generation == 13:
            raise ValueError("thirteen")
        return child

    async def act(request: object) -> object:
        broken = build_object("a", 6)
        broken["metadata"]["generation"] = 13  # type: ignore[call-overload,index]
        return await stream(frame("MODIFIED", broken))(request)  # type: ignore[arg-type]

    async with (
        ScriptedServer(answer(build_list(5, build_object("a", 1))), act) as server,  # type: ignore[arg-type]
        connect(server) as client,
    ):
        cache = Cache(client, CONFIGMAPS, parse)
        task = asyncio.create_task(cache.run())
        await eventually(lambda: cache.undecodable, lambda: list(cache))

        assert cache.undecodable == {("n", "a"): "thirteen"}
        assert [named(child) for child in cache] == ["a@1"]
        go_on.set()
        task.cancel()
        await asyncio.wait({task})


async def test_an_older_event_never_overwrites_a_newer_state() -> None:
    script = (
        answer(build_list(20, build_object("a", 15), build_object("b", 16))),
        stream(modified("a", 10), deleted("b", 12), added("c", 21)),
    )
    async with following(*script) as followed:
        await followed.sees("a@15", "b@16", "c@21")

        assert followed.events.count("STALE") == 2


async def test_an_event_that_repeats_what_is_known_changes_nothing() -> None:
    script = (answer(build_list(20, build_object("a", 15))), stream(modified("a", 15), added("c", 21)))
    async with following(*script) as followed:
        await followed.sees("a@15", "c@21")

        assert followed.changes == [(None, "a@15"), (None, "c@21")]


async def test_an_object_that_was_made_anew_replaces_the_one_of_the_same_name() -> None:
    script = (
        answer(build_list(20, build_object("a", 15))),
        stream(frame("ADDED", build_object("a", 3, uid="another")), added("c", 21)),
    )
    async with following(*script) as followed:
        await followed.sees("a@3", "c@21")


async def test_a_list_is_right_even_where_it_goes_backwards() -> None:
    script = (
        answer(build_list(50, build_object("a", 40))),
        refuse(410, "Expired"),
        answer(build_list(10, build_object("a", 9))),
        stream(modified("a", 11)),
    )
    async with following(*script) as followed:
        await followed.sees("a@11")

        assert followed.changes == [(None, "a@40"), ("a@40", "a@9"), ("a@9", "a@11")]


async def test_the_index_follows_every_change() -> None:
    script = (
        answer(build_list(5, *(build_object(name, 1, labels={"shard": "0"}) for name in ("b", "a", "c")))),
        stream(
            modified("a", 6, labels={"shard": "1"}),
            modified("b", 7),
            modified("c", 8, labels={"shard": "0", "x": "y"}),
            added("d", 9, labels={"shard": "1"}),
            deleted("d", 10),
            added("end", 11),
        ),
    )
    async with following(*script) as followed:
        await followed.until(lambda: followed.cache.get("n", "end"))

        assert [named(child) for child in followed.cache.by_index("0")] == ["c@8"]
        assert [named(child) for child in followed.cache.by_index("1")] == ["a@6"]
        assert followed.cache.by_index("2") == ()


async def test_the_index_is_sorted_by_name() -> None:
    script = (answer(build_list(5, *(build_object(name, 1, labels={"shard": "0"}) for name in ("b", "c", "a")))),)
    async with following(*script) as followed:
        await followed.until(followed.cache.synced.is_set)

        assert [child.metadata.name for child in followed.cache.by_index("0")] == ["a", "b", "c"]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(["0", "1", None]), st.booleans()), min_size=1, max_size=30
    )
)
def test_the_index_says_what_a_look_through_all_objects_says_after_each_change(
    changes: list[tuple[str, str | None, bool]],
) -> None:
    cache: Cache[Child] = Cache(
        cast(Client, None), CONFIGMAPS, parse_child(CONFIGMAPS), index=lambda child: child.metadata.labels.get("shard")
    )

    for version, (name, shard, is_deleted) in enumerate(changes, 1):
        found = build_object(name, version, labels={"shard": shard} if shard else {})
        cache._take(msgspec.Raw(msgspec.json.encode(found)))
        if is_deleted:
            cache._remove(("n", name))
        for each in ("0", "1"):
            seen = [child for child in cache.all() if child.metadata.labels.get("shard") == each]
            assert list(cache.by_index(each)) == seen
            assert cache.by_index(each) is cache.by_index(each)


async def test_a_watch_that_says_nothing_is_asked_again_at_the_same_place() -> None:
    script = (answer(build_list(5)), stream(), stream(added("a", 6)))
    async with following(*script, silence_s=0.1) as followed:
        await followed.sees("a@6")

        assert [query["resourceVersion"] for query in followed.server.queries("watch")][:2] == ["5", "5"]
        assert len(followed.server.queries("list")) == 1


async def test_429_is_waited_out_as_long_as_the_server_asked() -> None:
    script = (
        refuse(429, "TooManyRequests", headers={"Retry-After": "0.3"}),
        answer(build_list(5, build_object("a", 1))),
    )
    async with following(*script) as followed:
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        await followed.sees("a@1")

        assert loop.time() - started_at >= 0.3


async def test_frames_that_nobody_can_read_end_in_a_new_list() -> None:
    script = (
        answer(build_list(5)),
        *(stream(b"<html>\n"),) * 3,
        answer(build_list(9, build_object("a", 8))),
    )
    async with following(*script) as followed:
        await followed.sees("a@8")


async def test_a_restarted_server_is_followed_again_without_a_new_list() -> None:
    async with ScriptedServer(answer(build_list(5)), stream(added("a", 6))) as first, connect(first) as client:
        followed = Followed(first, client, 30.0, lambda: 0.5)
        task = asyncio.create_task(followed.cache.run())
        await followed.sees("a@6")

        await first.stop()
        await followed.until(lambda: followed.cache.last_error is not None)
        second = ScriptedServer(stream(added("b", 7)))
        await second.start(port=first.port)
        try:
            await followed.sees("a@6", "b@7")

            assert second.queries("watch")[0]["resourceVersion"] == "6"
            assert second.queries("list") == []
            assert followed.cache.last_error is None
        finally:
            task.cancel()
            await asyncio.wait({task})
            await second.stop()


async def test_it_knows_how_long_the_server_is_silent() -> None:
    async with following(answer(build_list(5)), stream()) as followed:
        assert followed.cache.silent_for_s() is None

        await followed.until(followed.cache.synced.is_set)

        silence_s = followed.cache.silent_for_s()
        assert silence_s is not None
        assert 0 <= silence_s < 5


async def test_watches_end_at_times_of_their_own() -> None:
    dice: Iterator[float] = iter([0.0, 0.999, 0.5, 0.5, 0.5])
    script = (answer(build_list(5)), stream(bookmark(6), then="end"), stream(added("a", 7)))
    async with following(*script, chance=lambda: next(dice)) as followed:
        await followed.sees("a@7")

        assert [query["timeoutSeconds"] for query in followed.server.queries("watch")] == ["300", "599"]


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [("9", "10", True), ("10", "9", False), ("9", "9", False), ("x9", "y1", False), ("", "1", False)],
)
def test_versions_compare_as_numbers_or_not_at_all(one: str, other: str, older: bool) -> None:
    assert is_older(Meta(name="a", resource_version=one), Meta(name="a", resource_version=other)) is older
