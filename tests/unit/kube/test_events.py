"""Claims about what people read, and that it never floods."""

import asyncio
import json
from collections.abc import Callable

import pytest
import structlog

from tdredis.kube.events import EventRecorder, Reference
from tests.kit.waiting import eventually
from tests.unit.kube.scripted_server import (
    Act,
    ScriptedServer,
    answer,
    build_object,
    build_status,
    connect,
    refuse,
)

RAT = Reference("cache.tongdun.net/v1alpha1", "RedisCluster", "n", "redis-rat", "u")
OK = answer(build_object("e", 1))


class Time:
    """Epoch and monotonic seconds at once."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds


async def recording(*script: Act, do: Callable[[EventRecorder, Time], object], **options: object) -> ScriptedServer:
    """The server after `do` recorded and everything was flushed."""
    async with ScriptedServer(*script) as server, connect(server) as client:
        time = Time()
        recorder = EventRecorder(client, now=time, monotonic=time, first_retry_s=0.01, **options)  # type: ignore[arg-type]
        recorder.start()
        done = do(recorder, time)
        if asyncio.iscoroutine(done):
            await done
        assert await recorder.flush(5.0)
        await recorder.stop()
        return server


def bodies(server: ScriptedServer) -> list[dict[str, object]]:
    return [json.loads(seen.body) for seen in server.requests]


async def test_an_event_says_of_what_and_why() -> None:
    server = await recording(OK, do=lambda recorder, _: recorder.record(RAT, "Warning", "PodLost", "rat-0-0 is gone"))

    (body,) = bodies(server)
    assert server.requests[0].said == "POST /api/v1/namespaces/n/events"
    assert body["involvedObject"] == {
        "apiVersion": "cache.tongdun.net/v1alpha1",
        "kind": "RedisCluster",
        "namespace": "n",
        "name": "redis-rat",
        "uid": "u",
    }
    assert (body["type"], body["reason"], body["message"], body["count"]) == (
        "Warning",
        "PodLost",
        "rat-0-0 is gone",
        1,
    )
    assert (body["firstTimestamp"], body["lastTimestamp"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z")


async def test_equal_events_become_one_with_a_count() -> None:
    async def do(recorder: EventRecorder, time: Time) -> None:
        for _ in range(3):
            recorder.record(RAT, "Normal", "Met", "m")
        await recorder.flush()
        time.seconds += 5
        recorder.record(RAT, "Normal", "Met", "m")
        recorder.record(RAT, "Normal", "Met", "another")

    server = await recording(OK, OK, OK, do=do)

    first, second, third = bodies(server)
    assert [seen.method for seen in server.requests] == ["POST", "PATCH", "POST"]
    assert first["count"] == 3
    assert second == {"count": 4, "lastTimestamp": "2023-11-14T22:13:25Z"}
    assert third["message"] == "another"


async def test_after_the_window_it_is_news_again() -> None:
    async def do(recorder: EventRecorder, time: Time) -> None:
        recorder.record(RAT, "Normal", "Met", "m")
        await recorder.flush()
        time.seconds += 601
        recorder.record(RAT, "Normal", "Met", "m")

    server = await recording(OK, OK, do=do)

    assert [seen.method for seen in server.requests] == ["POST", "POST"]


async def test_an_event_that_the_server_has_dropped_is_written_anew() -> None:
    async def do(recorder: EventRecorder, _: Time) -> None:
        recorder.record(RAT, "Normal", "Met", "m")
        await recorder.flush()
        recorder.record(RAT, "Normal", "Met", "m")

    server = await recording(OK, refuse(404, "NotFound"), OK, do=do)

    assert [seen.method for seen in server.requests] == ["POST", "PATCH", "POST"]


async def test_one_object_cannot_flood_the_others_out() -> None:
    other = Reference("v1", "K", "n", "other", "o")

    def do(recorder: EventRecorder, time: Time) -> None:
        for number in range(10):
            recorder.record(RAT, "Normal", "Met", str(number))
        recorder.record(other, "Normal", "Met", "heard")
        time.seconds += 10
        recorder.record(RAT, "Normal", "Met", "later")

    server = await recording(*(OK,) * 4, do=do, burst=2, refill_s=10.0)

    assert [body["message"] for body in bodies(server)] == ["0", "1", "heard", "later"]


async def test_a_flood_of_one_thing_does_not_hide_another() -> None:
    def do(recorder: EventRecorder, time: Time) -> None:
        for number in range(10):
            recorder.record(RAT, "Normal", "Applied", str(number))
        recorder.record(RAT, "Normal", "FailedOver", "told")
        recorder.record(RAT, "Normal", "FailedOver", "too soon")
        time.seconds += 9.9
        recorder.record(RAT, "Normal", "FailedOver", "still too soon")
        time.seconds += 0.2
        recorder.record(RAT, "Normal", "Applied", "there was a token")
        recorder.record(RAT, "Normal", "FailedOver", "and again")

    server = await recording(*(OK,) * 5, do=do, burst=2, refill_s=10.0)

    assert [body["message"] for body in bodies(server)] == ["0", "1", "told", "there was a token", "and again"]


async def test_the_queue_is_bounded() -> None:
    def do(recorder: EventRecorder, _: Time) -> None:
        for number in range(10):
            recorder.record(RAT, "Normal", "Met", str(number))
        assert recorder.dropped == 7

    server = await recording(*(OK,) * 3, do=do, most_waiting=3)

    assert len(server.requests) == 3


async def test_an_outage_is_waited_out_and_a_refusal_is_dropped() -> None:
    def do(recorder: EventRecorder, _: Time) -> None:
        recorder.record(RAT, "Normal", "Met", "first")
        recorder.record(RAT, "Normal", "Met", "second")

    server = await recording(refuse(503, "ServiceUnavailable"), refuse(403, "Forbidden"), OK, do=do)

    assert [body["message"] for body in bodies(server)] == ["first", "first", "second"]


@pytest.mark.parametrize(("cause", "warnings"), [("NamespaceTerminating", 0), ("Webhook", 1)])
async def test_what_goes_with_its_namespace_is_dropped_without_a_word(cause: str, warnings: int) -> None:
    def do(recorder: EventRecorder, _: Time) -> None:
        recorder.record(RAT, "Normal", "Met", "first")
        recorder.record(RAT, "Normal", "Met", "second")

    refusal = build_status(403, "Forbidden")
    refusal["details"] = {"causes": [{"reason": cause, "message": "no"}]}
    with structlog.testing.capture_logs() as said:
        server = await recording(answer(refusal, 403), OK, do=do)

    assert [body["message"] for body in bodies(server)] == ["first", "second"]
    assert [line["log_level"] for line in said if line["event"] == "event dropped"] == ["warning"] * warnings


async def test_a_long_outage_costs_events_and_nothing_else() -> None:
    def do(recorder: EventRecorder, _: Time) -> None:
        recorder.record(RAT, "Normal", "Met", "m")

    server = await recording(*(refuse(503, "ServiceUnavailable"),) * 3, do=do)

    assert len(server.requests) == 3


async def test_a_message_is_cut_to_what_the_server_takes_and_never_tells_a_secret() -> None:
    def do(recorder: EventRecorder, _: Time) -> None:
        recorder.record(RAT, "Normal", "Met", "hunter2" + "ä" * 2000)

    server = await recording(OK, do=do, redact=lambda _about, text: text.replace("hunter2", "***"))

    message = str(bodies(server)[0]["message"])
    assert message.startswith("***ä")
    assert len(message.encode()) <= 1024


async def test_a_stop_does_not_wait_for_a_server_that_hangs() -> None:
    async with ScriptedServer() as server, connect(server, deadline_s=30) as client:
        recorder = EventRecorder(client)
        recorder.start()
        recorder.record(RAT, "Normal", "Met", "m")
        await eventually(lambda: server.requests, lambda: server.requests)
        async with asyncio.timeout(5):
            await recorder.stop(deadline_s=0.05)


@pytest.mark.parametrize(("namespace", "where"), [("n", "n"), ("", "default")])
async def test_events_of_the_cluster_go_where_kubernetes_keeps_them(namespace: str, where: str) -> None:
    about = Reference("v1", "K", namespace, "x", "u")
    server = await recording(OK, do=lambda recorder, _: recorder.record(about, "Normal", "Met", "m"))

    assert server.requests[0].path == f"/api/v1/namespaces/{where}/events"
