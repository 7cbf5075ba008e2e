"""Claims about verbs that reach into pods: output, commands and ports are the pod's own."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from tests.conformance.namespace import (
    Namespace,
    build_configmap,
    build_container,
    build_pod,
    build_redis,
    container_status,
    is_ready,
)
from tests.localkube.kubectl.command import Kubectl

DEADLINE_S = 20.0


async def test_logs_follows_until_the_pod_ends(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.run("p", "echo one; until [ -e /tmp/go ]; do sleep 0.1; done; echo two", restartPolicy="Never")
    await ns.until("pods", "p", is_ready)

    async with kubectl.running("logs", "-f", "p") as logs:
        first = await logs.line()
        (await kubectl("exec", "p", "--", "touch", "/tmp/go")).ok()
        rest = [await logs.line(), await logs.line()]
        code = await logs.process.wait()

    assert (first, rest, code) == ("one", ["two", ""], 0)


async def test_logs_shows_the_end_only_when_asked(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.run("p", "echo one; echo two; exec sleep 1000")
    await ns.until_log("p", "two")

    said = [(await kubectl("logs", "p", *options)).ok() for options in ((), ("--tail=1",), ("--since=1h",))]
    stamped = (await kubectl("logs", "p", "--timestamps", "--tail=1")).table[0]

    later = (await kubectl("logs", "p", "--since-time=2999-01-01T00:00:00Z")).ok()

    assert (said, later) == (["one\ntwo\n", "two\n", "one\ntwo\n"], "")
    assert (len(stamped), stamped[1]) == (2, "two")


async def test_logs_of_the_container_before_this_one(ns: Namespace, kubectl: Kubectl) -> None:
    script = "[ -e /once/x ] && exec sleep 1000; touch /once/x; echo before; exit 1"
    container = build_container(script, volumeMounts=[{"name": "once", "mountPath": "/once"}])
    await ns.run("p", containers=[container], volumes=[{"name": "once", "emptyDir": {}}])
    await ns.until("pods", "p", lambda pod: is_ready(pod) and container_status(pod)["restartCount"] == 1)

    assert (await kubectl("logs", "--previous", "p")).ok() == "before\n"


async def test_exec_carries_output_and_exit_code(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.run("p")
    await ns.until("pods", "p", is_ready)

    fine = await kubectl("exec", "p", "--", "hostname")
    failed = await kubectl("exec", "p", "-c", "main", "--", "sh", "-c", "echo err >&2; exit 3")
    piped = await kubectl("exec", "-i", "p", "--", "sh", "-c", "read line; echo got $line", stdin="this\n")

    assert (fine.code, fine.text) == (0, "p\n")
    assert (failed.code, failed.lines) == (3, ["err", "command terminated with exit code 3"])
    assert (piped.code, piped.text) == (0, "got this\n")


@pytest.mark.parametrize("title", ["pod/redis", "service/redis"])
async def test_port_forward_reaches_the_pod(ns: Namespace, kubectl: Kubectl, title: str) -> None:
    await ns.takes_pods()
    # A forwarded connection comes to the pod's localhost, which pods may share with this machine: a port nobody uses.
    inside = 20_000 + secrets.randbelow(10_000)
    listening = ["--bind", "$(POD_IP)", "127.0.0.1", "--port", str(inside), "--protected-mode", "no"]
    probe = {"tcpSocket": {"port": inside}, "periodSeconds": 1}
    container = build_redis(args=[*listening, "--save", "", "--dir", "/tmp"], readinessProbe=probe, ports=[])
    await ns.create("pods", build_pod("redis", labels={"app": "redis"}, containers=[container]))
    await ns.create(
        "services",
        {
            "metadata": {"name": "redis"},
            "spec": {"selector": {"app": "redis"}, "ports": [{"port": 80, "targetPort": inside}]},
        },
    )
    await ns.until("pods", "redis", is_ready)

    async with kubectl.running("port-forward", title, f":{inside}" if title == "pod/redis" else ":80") as forward:
        line = await forward.line_with("127.0.0.1:")
        port = int(line.partition("127.0.0.1:")[2].split()[0])
        async with asyncio.timeout(DEADLINE_S):
            answers = [await say(port, command) for command in (b"SET a " + 100_000 * b"x", b"STRLEN a")]
            together = await asyncio.gather(*(say(port, b"PING") for _ in range(10)))

    assert answers == [b"+OK\r\n", b":100000\r\n"]
    assert together == 10 * [b"+PONG\r\n"]


async def say(port: int, command: bytes) -> bytes:
    """What a Redis at *port* answers to one line; the connection is closed by us."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    words = command.split()
    writer.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in words))
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_port_forward_says_that_nobody_listens(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.run("p")
    await ns.until("pods", "p", is_ready)

    async with kubectl.running("port-forward", "pod/p", ":9") as forward:
        port = int((await forward.line_with("127.0.0.1:")).partition("127.0.0.1:")[2].split()[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(DEADLINE_S):
            refused = await forward.line_with("error forwarding port 9 to pod")
            nothing = await reader.read()
        writer.close()

    assert "refused" in refused
    assert nothing == b""


async def test_wait_is_over_when_the_condition_holds(ns: Namespace, kubectl: Kubectl) -> None:
    await ns.run("p")

    by_condition = await kubectl("wait", "pod/p", "--for=condition=Ready", "--timeout=50s")
    by_field = await kubectl("wait", "pod/p", "--for=jsonpath={.status.phase}=Running", "--timeout=50s")
    never = await kubectl("wait", "pod/p", "--for=condition=Nosuch", "--timeout=1s")

    assert is_ready(await ns.read("pods", "p"))
    assert by_condition.ok() == by_field.ok() == "pod/p condition met\n"
    assert (never.code, "timed out waiting for the condition" in never.text) == (1, True)


async def test_wait_for_an_end(ns: Namespace, kubectl: Kubectl) -> None:
    path = ns.path("configmaps", "a")
    await ns.create(
        "configmaps", build_configmap("a") | {"metadata": {"name": "a", "finalizers": ["example.com/hold"]}}
    )
    await ns.api.delete(path)

    # Only by its log one sees that it waits already.
    async with kubectl.running("wait", "configmap/a", "--for=delete", "--timeout=50s", "-v=6") as waiting:
        await waiting.line_with("watch=true")
        await ns.api.patch(path, {"metadata": {"finalizers": None}})
        said = await waiting.line_with("condition met")
        code = await waiting.process.wait()

    assert (said, code) == ("configmap/a condition met", 0)
    assert (await ns.api.get(path)).status == 404
