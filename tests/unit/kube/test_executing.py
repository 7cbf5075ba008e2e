"""Claims about commands in containers: what they write, how they end, and what a server says that runs none."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import WSMsgType, web

from tdredis.kube import executing
from tdredis.kube.client import Client
from tdredis.kube.config import ClusterConfig
from tdredis.kube.credentials import Credential
from tdredis.kube.errors import DeadlineExceeded, Forbidden, NotFound, ServerUnavailable, TooMuchOutput
from tdredis.kube.executing import Ran
from tests.unit.kube.scripted_server import Act, ScriptedServer, answer, build_status, connect, refuse

SUCCESS = b'\x03{"metadata":{},"status":"Success"}'
COMMAND = ("sh", "-c", "echo a b")


def failure(code: int) -> bytes:
    details = {"causes": [{"reason": "ExitCode", "message": str(code)}]}
    return b"\x03" + json.dumps({"status": "Failure", "reason": "NonZeroExitCode", "details": details}).encode()


def speak(*frames: bytes, then: str = "end") -> Act:
    """*then*: "end" in order, "cut" the connection, "hang"."""

    async def act(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await socket.prepare(request)
        for each in frames:
            await socket.send_bytes(each)
        if then == "cut":
            assert request.transport is not None
            request.transport.abort()
        elif then == "hang":
            while (await socket.receive()).type is not WSMsgType.CLOSE:
                pass
        else:
            await socket.close()
        return socket

    return act


async def run(*acts: Act, deadline_s: float = 5.0) -> tuple[Ran, ScriptedServer]:
    async with ScriptedServer(*acts) as server, connect(server) as client:
        return await client.execute("n", "p", "redis", COMMAND, deadline_s=deadline_s), server


async def test_both_outputs_and_the_exit_code_come_back() -> None:
    ran, server = await run(speak(b"\x01", b"\x01one ", b"\x02err", b"\x01two\xff", failure(7)))

    assert (ran.code, ran.out, ran.err) == (7, b"one two\xff", b"err")
    (seen,) = server.requests
    assert seen.said == "GET /api/v1/namespaces/n/pods/p/exec"
    assert seen.headers["Sec-WebSocket-Protocol"] == "v4.channel.k8s.io"


async def test_a_command_that_succeeds_ends_with_0() -> None:
    assert (await run(speak(SUCCESS)))[0] == Ran(0, b"", b"")


async def test_words_arrive_in_their_order() -> None:
    words: list[str] = []

    async def listen(request: web.Request) -> web.StreamResponse:
        words.extend(request.query.getall("command"))
        return await speak(SUCCESS)(request)

    await run(listen)

    assert words == list(COMMAND)


async def test_a_refusal_is_told_in_the_words_of_the_server() -> None:
    message = 'pods "p" is forbidden: User "x" cannot create resource "pods/exec"'
    with pytest.raises(Forbidden, match="cannot create resource"):
        await run(refuse(403, "Forbidden"), answer(build_status(403, "Forbidden", message), 403))


async def test_a_pod_that_is_gone_is_not_found() -> None:
    with pytest.raises(NotFound):
        await run(refuse(404, "NotFound"), refuse(404, "NotFound"))


async def test_a_server_that_upgrades_nothing_is_unavailable() -> None:
    with pytest.raises(ServerUnavailable):
        await run(answer({}), answer({}))


async def test_fresh_credentials_are_tried_once() -> None:
    class Renewed:
        number = 0

        async def current(self) -> Credential:
            return Credential({"Authorization": f"Bearer {self.number}"})

        def refused(self) -> None:
            self.number += 1

    async with (
        ScriptedServer(refuse(401, "Unauthorized"), speak(SUCCESS)) as server,
        Client(ClusterConfig(server.url, Renewed())) as client,
    ):
        ran = await client.execute("n", "p", "redis", COMMAND, deadline_s=5.0)

    assert ran.code == 0
    assert [seen.headers["Authorization"] for seen in server.requests] == ["Bearer 0", "Bearer 1"]


@pytest.mark.parametrize("then", ["end", "cut"])
async def test_a_connection_that_ends_before_the_command_does_is_no_success(then: str) -> None:
    with pytest.raises(ServerUnavailable):
        await run(speak(b"\x01half", then=then))


async def test_a_command_that_could_not_be_started_is_told_in_the_words_of_the_kubelet() -> None:
    outcome = {"status": "Failure", "reason": "InternalError", "message": "container not found"}
    with pytest.raises(ServerUnavailable, match="container not found"):
        await run(speak(b"\x03" + json.dumps(outcome).encode()))


async def test_what_is_not_an_outcome_is_not_taken_for_one() -> None:
    with pytest.raises(ServerUnavailable, match="not told as Kubernetes does"):
        await run(speak(b"\x03<html>"))


async def test_a_command_that_does_not_end_is_given_up() -> None:
    with pytest.raises(DeadlineExceeded, match="sh in pod p"):
        await run(speak(b"\x01x", then="hang"), deadline_s=0.2)


async def test_a_command_that_does_not_stop_writing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executing, "MOST_BYTES", 1000)
    with pytest.raises(TooMuchOutput):
        await run(speak(*[b"\x01" + b"x" * 400] * 4, SUCCESS))


async def test_a_server_that_is_gone_is_unavailable() -> None:
    async with Client(ClusterConfig("http://127.0.0.1:1")) as client, asyncio.timeout(10):
        with pytest.raises(ServerUnavailable):
            await client.execute("n", "p", "redis", COMMAND, deadline_s=5.0)
