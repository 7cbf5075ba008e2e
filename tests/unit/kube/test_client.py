"""Claims about one call: its deadline, its errors, its credentials, its pages."""

import asyncio
import json
import time
from contextlib import aclosing

import pytest
from structlog.testing import capture_logs

from tdredis.api.json_object import JSONObject
from tdredis.kube.client import Client
from tdredis.kube.config import ClusterConfig
from tdredis.kube.credentials import Credential
from tdredis.kube.errors import (
    ApiError,
    Conflict,
    DeadlineExceeded,
    Gone,
    NotFound,
    ServerUnavailable,
    TooManyRequests,
    Unauthorized,
    WatchSilent,
)
from tdredis.kube.resources import CONFIGMAPS, ENDPOINTSLICES, PODS, REDISCLUSTERS, Resource
from tdredis.kube.transport import CONNECTIONS, MOST_WARNINGS
from tests.kit.waiting import eventually
from tests.unit.kube.scripted_server import (
    ScriptedServer,
    answer,
    build_list,
    build_object,
    connect,
    frame,
    hang,
    refuse,
    stream,
)

MANIFEST: JSONObject = {"metadata": {"name": "a", "namespace": "n"}, "data": {"k": "v"}}


async def test_an_object_comes_back_as_json() -> None:
    async with ScriptedServer(answer(build_object("a", 1))) as server, connect(server) as client:
        got = await client.get(CONFIGMAPS, "n", "a")

        assert got == build_object("a", 1)
        assert server.requests[0].said == "GET /api/v1/namespaces/n/configmaps/a"


async def test_an_absent_object_is_found_to_be_none() -> None:
    async with ScriptedServer(refuse(404, "NotFound")) as server, connect(server) as client:
        assert await client.find(CONFIGMAPS, "n", "a") is None


async def test_a_selector_arrives_as_it_was_written() -> None:
    selector = "a in (b,c),!d,e=f+g"
    async with ScriptedServer(answer(build_list(1))) as server, connect(server) as client:
        await client.list(CONFIGMAPS, label_selector=selector)

        assert server.requests[0].query["labelSelector"] == selector


async def test_a_name_cannot_climb_to_another_path() -> None:
    async with ScriptedServer(refuse(404, "NotFound")) as server, connect(server) as client:
        await client.find(CONFIGMAPS, "n", "../secrets/s")

        assert server.requests[0].path == "/api/v1/namespaces/n/configmaps/..%2Fsecrets%2Fs"


async def test_a_slow_answer_costs_the_deadline_and_no_more() -> None:
    async with ScriptedServer(hang()) as server, connect(server, deadline_s=0.1) as client:
        started_at = time.monotonic()

        with pytest.raises(DeadlineExceeded, match=r"no answer in 0\.1 s"):
            await client.get(CONFIGMAPS, "n", "a")

        assert time.monotonic() - started_at < 2.0


async def test_the_deadline_counts_the_body_too() -> None:
    async with ScriptedServer(stream(b'{"metadata":')) as server, connect(server, deadline_s=0.1) as client:
        with pytest.raises(DeadlineExceeded):
            await client.get(CONFIGMAPS, "n", "a")


async def test_429_is_raised_with_the_time_to_wait() -> None:
    script = refuse(429, "TooManyRequests", headers={"Retry-After": "7"})
    async with ScriptedServer(script) as server, connect(server) as client:
        with pytest.raises(TooManyRequests) as raised:
            await client.get(CONFIGMAPS, "n", "a")

        assert raised.value.retry_after_s == 7.0
        assert len(server.requests) == 1


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with ScriptedServer() as server:
        client = connect(server)
    with pytest.raises(ServerUnavailable) as raised:
        await client.get(CONFIGMAPS, "n", "a")
    await client.close()

    assert raised.value.reason == "Unreachable"


async def test_a_page_of_html_is_no_object() -> None:
    async with ScriptedServer(answer("<html>login</html>")) as server, connect(server) as client:
        with pytest.raises(ServerUnavailable, match="not what Kubernetes answers"):
            await client.get(CONFIGMAPS, "n", "a")


async def test_a_redirect_is_not_followed_because_it_would_carry_the_token_along() -> None:
    async with ScriptedServer(answer("", 302, {"Location": "/elsewhere"})) as server, connect(server) as client:
        with pytest.raises(ApiError):
            await client.get(CONFIGMAPS, "n", "a")

        assert len(server.requests) == 1


class Renewing:
    """Credentials that are good from the second on."""

    def __init__(self) -> None:
        self.given = 0

    async def current(self) -> Credential:
        return Credential({"Authorization": f"Bearer token-{self.given}"})

    def refused(self) -> None:
        self.given += 1


async def test_a_401_is_asked_again_once_with_fresh_credentials() -> None:
    async with ScriptedServer(refuse(401, "Unauthorized"), answer(build_object("a", 1))) as server:
        async with Client(ClusterConfig(server.url, Renewing())) as client:
            await client.get(CONFIGMAPS, "n", "a")

        assert [seen.headers["Authorization"] for seen in server.requests] == ["Bearer token-0", "Bearer token-1"]


async def test_a_second_401_is_raised() -> None:
    script = (refuse(401, "Unauthorized"), refuse(401, "Unauthorized"))
    async with ScriptedServer(*script) as server, Client(ClusterConfig(server.url, Renewing())) as client:
        with pytest.raises(Unauthorized):
            await client.get(CONFIGMAPS, "n", "a")

        assert len(server.requests) == 2


async def test_a_list_follows_its_pages() -> None:
    script = (
        answer(build_list(9, build_object("a", 1), continue_="t1")),
        answer(build_list(9, build_object("b", 2), continue_="t2")),
        answer(build_list(9, build_object("c", 3))),
    )
    async with ScriptedServer(*script) as server, connect(server) as client:
        items, version = await client.list_raw(CONFIGMAPS)

        assert [json.loads(bytes(item))["metadata"]["name"] for item in items] == ["a", "b", "c"]
        assert version == "9"
        assert [query.get("continue") for query in server.queries("list")] == [None, "t1", "t2"]


async def test_a_token_that_expired_under_way_starts_over_without_pages() -> None:
    script = (
        answer(build_list(9, build_object("a", 1), continue_="t1")),
        refuse(410, "Expired"),
        answer(build_list(12, build_object("b", 2))),
    )
    async with ScriptedServer(*script) as server, connect(server) as client:
        items, version = await client.list_raw(CONFIGMAPS)

        assert [json.loads(bytes(item))["metadata"]["name"] for item in items] == ["b"]
        assert version == "12"
        assert server.queries("list")[2] == {}


async def test_a_list_whose_items_are_null_is_empty() -> None:
    async with (
        ScriptedServer(answer('{"metadata":{"resourceVersion":"1"},"items":null}')) as server,
        connect(server) as client,
    ):
        assert await client.list(CONFIGMAPS) == []


async def test_every_write_is_counted_with_its_outcome() -> None:
    seen: list[tuple[str, str, str]] = []

    def on_write(verb: str, resource: Resource, outcome: str) -> None:
        seen.append((verb, str(resource), outcome))

    script = (
        answer(build_object("a", 1)),
        answer(build_object("a", 1), 201),
        refuse(409, "Conflict"),
        refuse(404, "NotFound"),
        answer(build_object("a", 1)),
        hang(),
    )
    async with (
        ScriptedServer(*script) as server,
        Client(ClusterConfig(server.url), on_write=on_write, deadline_s=0.5) as client,
    ):
        await client.apply(CONFIGMAPS, MANIFEST)
        await client.create(CONFIGMAPS, MANIFEST)
        with pytest.raises(Conflict):
            await client.patch(CONFIGMAPS, "n", "a", {})
        with pytest.raises(NotFound):
            await client.delete(CONFIGMAPS, "n", "a")
        await client.get(CONFIGMAPS, "n", "a")
        with pytest.raises(DeadlineExceeded):
            await client.apply(CONFIGMAPS, MANIFEST)

        assert seen == [
            ("apply", "configmaps", "ok"),
            ("create", "configmaps", "ok"),
            ("patch", "configmaps", "Conflict"),
            ("delete", "configmaps", "NotFound"),
            ("apply", "configmaps", "DeadlineExceeded"),
        ]


async def test_status_is_applied_to_its_subresource() -> None:
    async with ScriptedServer(answer(build_object("a", 1))) as server, connect(server) as client:
        await client.apply(REDISCLUSTERS, {"metadata": {"name": "a", "namespace": "n"}}, subresource="status")

        seen = server.requests[0]
        assert seen.path.endswith("/redisclusters/a/status")
        assert seen.headers["Content-Type"] == "application/apply-patch+yaml"


async def test_discovery_names_what_is_served_in_the_groups_we_use() -> None:
    script = {
        "/apis": {
            "groups": [
                {"name": "discovery.k8s.io", "versions": [{"groupVersion": "discovery.k8s.io/v1beta1"}]},
                {"name": "metrics.k8s.io", "versions": [{"groupVersion": "metrics.k8s.io/v1beta1"}]},
            ]
        },
        "/api/v1": {"resources": [{"name": "pods"}, {"name": "pods/status"}]},
        "/apis/discovery.k8s.io/v1beta1": {"resources": [{"name": "endpointslices"}]},
    }
    acts = [answer(script["/apis"]), answer(script["/api/v1"]), answer(script["/apis/discovery.k8s.io/v1beta1"])]  # type: ignore[arg-type]  # literal dicts are JSON
    async with ScriptedServer(*acts) as server, connect(server) as client:
        served = await client.discover()

        assert PODS.key in served
        assert ENDPOINTSLICES.key not in served
        assert ("discovery.k8s.io", "v1beta1", "endpointslices") in served
        assert not any("metrics" in seen.path for seen in server.requests)


async def test_a_group_that_cannot_be_asked_is_not_taken_for_absent() -> None:
    groups: JSONObject = {"groups": [{"name": "policy", "versions": [{"groupVersion": "policy/v1"}]}]}
    script = (answer(groups), refuse(503, "ServiceUnavailable"), refuse(503, "ServiceUnavailable"))
    async with ScriptedServer(*script) as server, connect(server) as client:
        with pytest.raises(ServerUnavailable):
            await client.discover()


async def collect(client: Client, frames: list[bytes], **options: float) -> None:
    watch = client.watch(CONFIGMAPS, resource_version="1", **options)  # type: ignore[arg-type]  # only silence_s is passed
    async with aclosing(watch):
        async for one in watch:
            frames.append(one)  # noqa: PERF401 - what came before an error counts too


async def test_frames_come_whole_however_they_are_cut() -> None:
    first, second = frame("ADDED", build_object("a", 1)), frame("ADDED", build_object("b", 2))
    both = first + second
    script = stream(both[:10], both[10 : len(first) + 5], both[len(first) + 5 :], b"\n", then="end")
    async with ScriptedServer(script) as server, connect(server) as client:
        frames: list[bytes] = []
        await collect(client, frames)

        assert frames == [first.strip(), second.strip()]


async def test_a_frame_that_was_cut_in_its_middle_is_not_handed_out() -> None:
    whole, half = frame("ADDED", build_object("a", 1)), frame("ADDED", build_object("b", 2))[:20]
    async with ScriptedServer(stream(whole, half, then="cut")) as server, connect(server) as client:
        frames: list[bytes] = []
        with pytest.raises(ServerUnavailable):
            await collect(client, frames)

        assert frames == [whole.strip()]


async def test_a_watch_that_says_nothing_is_given_up() -> None:
    async with ScriptedServer(stream(frame("ADDED", build_object("a", 1)))) as server, connect(server) as client:
        frames: list[bytes] = []
        with pytest.raises(WatchSilent):
            await collect(client, frames, silence_s=0.1)

        assert len(frames) == 1


async def test_a_watch_from_too_long_ago_is_gone() -> None:
    async with ScriptedServer(refuse(410, "Expired")) as server, connect(server) as client:
        with pytest.raises(Gone):
            await collect(client, [])


async def test_a_watch_that_is_left_gives_its_connection_up() -> None:
    left = asyncio.Event()

    async def act(request: object) -> object:
        try:
            return await stream(frame("ADDED", build_object("a", 1)))(request)  # type: ignore[arg-type]
        finally:
            left.set()

    async with ScriptedServer(act) as server, connect(server) as client:  # type: ignore[arg-type]  # web.Request in, response out
        watch = client.watch(CONFIGMAPS, resource_version="1")
        async with aclosing(watch):
            await anext(watch)

        await eventually(left.is_set, lambda: server.requests)


async def test_a_client_that_was_closed_says_so() -> None:
    async with ScriptedServer() as server:
        client = connect(server)
        await client.close()

        with pytest.raises(RuntimeError, match="closed"):
            await client.get(CONFIGMAPS, "n", "a")


async def test_who_has_connections_apart_waits_for_none_that_a_slow_server_holds() -> None:
    """The lease is renewed that way, whatever number of workers waits for its answers."""
    slow = (hang(),) * CONNECTIONS
    async with ScriptedServer(*slow, answer(build_object("a", 1))) as server, connect(server) as client:
        workers = [asyncio.create_task(client.get(PODS, "n", "p")) for _ in range(2 * CONNECTIONS)]
        await eventually(lambda: len(server.requests) == CONNECTIONS, lambda: len(server.requests))
        try:
            async with client.apart() as lease, asyncio.timeout(2):
                assert await lease.get(CONFIGMAPS, "n", "a") == build_object("a", 1)
            assert len(server.requests) == CONNECTIONS + 1
        finally:
            for each in workers:
                each.cancel()
            await asyncio.wait(workers)


WARNINGS = {
    "Warning": '299 - "would violate PodSecurity \\"restricted:latest\\"", 299 - "policy/v1beta1 is deprecated"'
}


async def test_each_warning_of_the_server_is_said_once() -> None:
    both = [answer(build_object("a", 1), headers=WARNINGS), answer(build_object("a", 1), headers=WARNINGS)]
    refused = refuse(422, "Invalid", headers={"Warning": '299 - "unknown field \\"spec.x\\""'})
    async with ScriptedServer(*both, refused) as server, connect(server) as client:
        with capture_logs() as said:
            for _ in range(2):
                await client.get(CONFIGMAPS, "n", "a")
            with pytest.raises(ApiError):
                await client.apply(CONFIGMAPS, MANIFEST)

    assert [(line["event"], line["words"]) for line in said] == [
        ("the API server warns", 'would violate PodSecurity "restricted:latest"'),
        ("the API server warns", "policy/v1beta1 is deprecated"),
        ("the API server warns", 'unknown field "spec.x"'),
    ]


async def test_warnings_without_end_are_not_kept_without_end() -> None:
    acts = [
        answer(build_object("a", 1), headers={"Warning": f'299 - "object {number} is odd"'})
        for number in range(MOST_WARNINGS + 20)
    ]
    async with ScriptedServer(*acts) as server, connect(server) as client:
        with capture_logs() as said:
            for _ in acts:
                await client.get(CONFIGMAPS, "n", "a")

    assert (len(said), len(client._transport.warned)) == (len(acts), MOST_WARNINGS)
