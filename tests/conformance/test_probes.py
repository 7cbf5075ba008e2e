"""Claims: what each kind of probe does to readiness and restarts, and that it does so when it should."""

from __future__ import annotations

from tests.conformance.answers import build_obedient_redis, tell
from tests.conformance.client import Obj
from tests.conformance.namespace import Namespace, build_container, build_redis, condition, container_status, is_ready

IDLE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
QUICK: Obj = {"periodSeconds": 1, "failureThreshold": 1}


def file_exists(path: str) -> Obj:
    return {"exec": {"command": ["test", "-e", path]}}


async def test_readiness_follows_an_exec_probe_both_ways(ns: Namespace) -> None:
    await ns.run("p", containers=[build_obedient_redis()])

    early = await ns.until("pods", "p", lambda p: container_status(p, "redis").get("started") and p["status"]["podIP"])
    await tell(early, "yes")
    await ns.until("pods", "p", is_ready)
    await tell(early, "no")
    later = await ns.until("pods", "p", lambda p: not is_ready(p))

    assert not is_ready(early)
    assert (condition(later, "Ready")["reason"], container_status(later, "redis")["restartCount"]) == (
        "ContainersNotReady",
        0,
    )
    assert condition(later, "Ready")["message"] == "containers with unready status: [redis]"


async def test_a_failing_liveness_probe_restarts_the_container(ns: Namespace) -> None:
    script = f"touch /tmp/alive; sleep 2; rm /tmp/alive; {IDLE}"
    made = await ns.run("p", containers=[build_container(script, livenessProbe=file_exists("/tmp/alive") | QUICK)])

    pod = await ns.until("pods", "p", lambda p: container_status(p).get("restartCount", 0) >= 1, 60)
    events = await ns.items("events", fieldSelector=f"involvedObject.uid={made['metadata']['uid']}")

    assert pod["metadata"]["uid"] == made["metadata"]["uid"]
    messages = {(e["reason"], e["message"].split(":")[0]) for e in events}
    assert ("Unhealthy", "Liveness probe failed") in messages
    assert ("Killing", "Container main failed liveness probe, will be restarted") in messages


async def test_a_startup_probe_holds_back_the_others(ns: Namespace) -> None:
    script = f"sleep 3; touch /tmp/up; {IDLE}"
    container = build_container(
        script,
        startupProbe=file_exists("/tmp/up") | {"periodSeconds": 1, "failureThreshold": 30},
        readinessProbe=file_exists("/tmp/up") | QUICK,
        livenessProbe=file_exists("/tmp/up") | QUICK,
    )
    await ns.run("p", containers=[container])

    early = await ns.until("pods", "p", lambda p: "running" in container_status(p).get("state", {}))
    late = await ns.until("pods", "p", is_ready, 60)

    assert (container_status(early)["started"], container_status(early)["ready"]) == (False, False)
    assert container_status(late)["restartCount"] == 0


async def test_a_tcp_probe_asks_the_pods_address(ns: Namespace) -> None:
    closed = build_container(name="closed", readinessProbe={"tcpSocket": {"port": 6380}, **QUICK})
    await ns.run("p", containers=[build_redis(), closed])

    pod = await ns.until("pods", "p", lambda p: container_status(p, "redis").get("ready"))

    assert not container_status(pod, "closed")["ready"]
    assert not is_ready(pod)


async def test_an_exec_probe_that_takes_too_long_has_failed(ns: Namespace) -> None:
    probe = {"exec": {"command": ["sleep", "5"]}, "timeoutSeconds": 1, **QUICK}
    made = await ns.run("p", containers=[build_container(readinessProbe=probe)])

    await ns.until_list(
        "events",
        lambda found: [e for e in found if "Readiness probe" in e["message"]],
        fieldSelector=f"involvedObject.uid={made['metadata']['uid']},reason=Unhealthy",
    )

    assert not is_ready(await ns.read("pods", "p"))


async def test_an_exec_probe_sees_the_containers_environment(ns: Namespace) -> None:
    probe = {"exec": {"command": ["sh", "-c", 'test "$WORD" = abc']}, **QUICK}
    container = build_container(env=[{"name": "WORD", "value": "abc"}], readinessProbe=probe)

    await ns.run("p", containers=[container])

    await ns.until("pods", "p", is_ready)


async def test_readiness_gates_are_part_of_readiness(ns: Namespace) -> None:
    kind = "example.com/approved"
    await ns.run("p", readinessGates=[{"conditionType": kind}])
    held = await ns.until("pods", "p", lambda p: condition(p, "ContainersReady").get("status") == "True")

    approval = {"status": {"conditions": [{"type": kind, "status": "True"}]}}
    path = ns.path("pods", "p") + "/status"
    (await ns.api.patch(path, approval, "application/strategic-merge-patch+json")).accepted()
    await ns.until("pods", "p", is_ready)

    assert condition(held, "Ready")["reason"] == "ReadinessGatesNotReady"
