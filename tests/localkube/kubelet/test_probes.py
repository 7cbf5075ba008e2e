"""Claims about probes: real timing, thresholds, and what a verdict leads to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from localkube.kubelet.probes import Timing, Verdict, connect

from .conftest import House, Obj, shell

READY_FILE = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}


def timing(*, success: int = 1, failure: int = 3) -> Timing:
    return Timing(initial_delay_s=0, period_s=1, timeout_s=1, success_threshold=success, failure_threshold=failure)


@pytest.mark.parametrize(
    ("findings", "verdicts"),
    [
        ([True], [True]),
        ([False, False, False], [None, None, False]),
        ([False, False, True, False, False, False], [None, None, True, True, True, False]),
    ],
)
def test_only_a_full_count_changes_the_verdict(findings: list[bool], verdicts: list[bool | None]) -> None:
    verdict = Verdict(timing(), None)
    seen = []

    for finding in findings:
        verdict.add(finding)
        seen.append(verdict.value)

    assert verdicts == seen


async def test_readiness_follows_the_probe_both_ways(house: House) -> None:
    house.run(shell("sleep 1000", readinessProbe={**READY_FILE, "failureThreshold": 1}))
    await house.until(lambda: house.events("Unhealthy"))
    assert not house.is_ready()
    conditions = {one["type"]: one for one in house.status()["conditions"]}
    assert conditions["Ready"]["message"] == "containers with unready status: [c]"

    await house.exec("touch", "/tmp/ready")
    await house.until_ready()
    await house.exec("rm", "/tmp/ready")
    await house.until(lambda: not house.is_ready())

    assert house.container()["restartCount"] == 0


async def test_a_failed_liveness_probe_restarts_the_container(house: House) -> None:
    probe = {"exec": {"command": ["sh", "-c", "echo ill; exit 1"]}, "periodSeconds": 1, "failureThreshold": 2}
    house.run(shell("trap 'exit 0' TERM; sleep 1000 & wait", livenessProbe=probe))

    await house.until(lambda: house.container()["restartCount"] == 1)

    assert house.events("Unhealthy")[0]["message"] == "Liveness probe failed: ill\n"
    assert house.events("Unhealthy")[0]["count"] == 2
    assert house.events("Killing")[0]["message"] == "Container c failed liveness probe, will be restarted"


async def test_readiness_waits_for_the_startup_probe(house: House) -> None:
    startup = {**READY_FILE, "failureThreshold": 100}
    house.run(shell("sleep 1000", startupProbe=startup, livenessProbe={"exec": {"command": ["false"]}}))
    await house.until(lambda: house.events("Unhealthy"))

    assert "Startup probe failed" in house.events("Unhealthy")[0]["message"]
    assert house.container()["started"] is False
    await house.exec("touch", "/tmp/ready")
    await house.until(lambda: house.container().get("started"))


async def test_a_probe_that_hangs_fails_by_its_timeout(house: House) -> None:
    probe = {"exec": {"command": ["sleep", "1000"]}, "timeoutSeconds": 1, "failureThreshold": 1}
    house.run(shell("sleep 1000", readinessProbe=probe))

    await house.until(lambda: house.events("Unhealthy"))

    assert house.events("Unhealthy")[0]["message"] == 'Readiness probe failed: command "sleep 1000" timed out'
    await house.until(lambda: house.status().get("podIP"))
    async with asyncio.timeout(10):
        # Not even a zombie of it stays.
        while await house.exec("sh", "-c", "grep -l sleep /proc/[0-9]*/comm | wc -l") != (0, "1\n"):
            pass


async def test_a_post_start_hook_comes_before_ready_and_its_failure_restarts(house: House) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "exit 1"]}}}
    house.run(shell("trap 'exit 0' TERM; sleep 1000 & wait", lifecycle=hook))

    await house.until(lambda: house.container()["restartCount"] == 1)

    assert house.events("FailedPostStartHook")


@pytest.fixture
async def page() -> AsyncIterator[tuple[str, int, list[int]]]:
    """Host and port of a page that answers with the code in the list."""
    answer = [200]

    async def handle(request: web.Request) -> web.Response:
        code = answer[0] if request.headers.get("X-Probe") == "yes" else 400
        return web.Response(status=code)

    app = web.Application()
    app.router.add_get("/health", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    addresses = runner.addresses
    yield addresses[0][0], addresses[0][1], answer
    await runner.cleanup()


async def test_an_http_probe_reads_the_status_code(house: House, page: tuple[str, int, list[int]]) -> None:
    host, port, answer = page
    get: Obj = {"host": host, "port": "web", "path": "/health", "httpHeaders": [{"name": "X-Probe", "value": "yes"}]}
    probe = {"httpGet": get, "periodSeconds": 1, "failureThreshold": 1}
    house.run(shell("sleep 1000", readinessProbe=probe, ports=[{"name": "web", "containerPort": port}]))
    await house.until_ready()

    answer[0] = 503
    await house.until(lambda: not house.is_ready())

    assert house.events("Unhealthy")[0]["message"] == "Readiness probe failed: HTTP probe failed with statuscode: 503"


async def test_a_tcp_probe_says_who_refused() -> None:
    finding = await connect("127.0.0.1", 1, 1.0)

    assert (finding.ok, finding.message) == (False, "dial tcp 127.0.0.1:1: connect: connection refused")


async def test_a_tcp_probe_hears_an_open_port() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    finding = await connect("127.0.0.1", port, 1.0)

    server.close()
    assert finding.ok
