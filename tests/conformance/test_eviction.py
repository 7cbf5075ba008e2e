"""Claims: an eviction asks the disruption budget, which counts the pods that are ready and no others."""

from __future__ import annotations

import pytest

from tests.conformance.client import Answer, Obj
from tests.conformance.namespace import Namespace, build_container, is_ready

pytestmark = pytest.mark.needs_version("1.22")  # policy/v1 of evictions

BUDGETS = "/apis/policy/v1"
# Ready as long as its file is there.
READY = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1, "timeoutSeconds": 10}


async def run(ns: Namespace, *names: str, ready: bool = True) -> None:
    idle = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
    script = f"touch /tmp/ready; {idle}" if ready else idle
    for name in names:
        await ns.run(name, labels={"app": "x"}, containers=[build_container(script, readinessProbe=READY)])
    for name in names:
        await ns.until("pods", name, is_ready if ready else lambda pod: pod["status"]["phase"] == "Running")


async def budget(ns: Namespace, allowed: int, **spec: object) -> Obj:
    """A budget for these pods, once it allows so many disruptions."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "b"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, **spec},
    }
    await ns.api.create(ns.path("poddisruptionbudgets", group=BUDGETS), body)
    path = ns.path("poddisruptionbudgets", "b", group=BUDGETS)
    return await ns.api.until(
        path,
        lambda b: b.get("status", {}).get("observedGeneration") and b["status"]["disruptionsAllowed"] == allowed,
    )


async def evict(ns: Namespace, name: str) -> Answer:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    return await ns.api.post(ns.path("pods", name) + "/eviction", body)


async def test_the_last_ready_pod_that_a_budget_needs_is_not_evicted(ns: Namespace) -> None:
    await run(ns, "a", "b")
    await budget(ns, 1, minAvailable=1)

    first, second = await evict(ns, "a"), await evict(ns, "b")

    assert first.status == 201
    assert second.refused() == (429, "TooManyRequests")
    assert second.message == "Cannot evict pod as it would violate the pod's disruption budget."
    [cause] = second.body["details"]["causes"]
    assert cause["reason"] == "DisruptionBudget"
    assert cause["message"].startswith("The disruption budget b needs 1 healthy pods and has ")


async def test_a_pod_that_is_not_ready_does_not_count(ns: Namespace) -> None:
    await run(ns, "ready")
    await run(ns, "unready", ready=False)
    await budget(ns, 0, minAvailable=1)

    answer = await evict(ns, "ready")

    assert answer.refused() == (429, "TooManyRequests")
    assert answer.body["details"]["causes"][0]["message"] == (
        "The disruption budget b needs 1 healthy pods and has 1 currently"
    )


async def test_a_pod_that_is_not_ready_may_go_while_enough_others_are(ns: Namespace) -> None:
    await run(ns, "ready")
    await run(ns, "unready", ready=False)
    await budget(ns, 0, minAvailable=1)

    assert (await evict(ns, "unready")).status == 201


async def test_a_pod_that_is_not_ready_stays_where_too_few_others_are(ns: Namespace) -> None:
    await run(ns, "unready", ready=False)
    await budget(ns, 0, minAvailable=1)

    assert (await evict(ns, "unready")).refused() == (429, "TooManyRequests")
