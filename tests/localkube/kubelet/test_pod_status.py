"""Claims about phase and conditions, and about how many events a pod may write, without a process."""

from __future__ import annotations

from typing import Any

import pytest

from localkube.kubelet.pod_events import BURST, REFILL_S, Allowance
from localkube.kubelet.pod_status import ContainerFacts, build_conditions, phase_of

WAITING = {"waiting": {"reason": "ContainerCreating"}}
RUNNING = {"running": {"startedAt": "2024-01-01T00:00:00Z"}}


def ended(code: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": code}}


def facts(state: dict[str, Any], last: dict[str, Any] | None = None, **more: Any) -> ContainerFacts:
    return ContainerFacts(name="c", image="i", state=state, last_state=last or {}, **more)


@pytest.mark.parametrize(
    ("init", "containers", "policy", "phase"),
    [
        ([], [facts(WAITING)], "Always", "Pending"),
        ([], [facts(RUNNING)], "Always", "Running"),
        ([], [facts(RUNNING), facts(WAITING)], "Always", "Pending"),
        ([], [facts(WAITING, ended(1))], "Always", "Running"),
        ([], [facts(ended(0))], "Always", "Running"),
        ([], [facts(ended(0))], "OnFailure", "Succeeded"),
        ([], [facts(ended(1))], "OnFailure", "Running"),
        ([], [facts(ended(1)), facts(ended(0))], "Never", "Failed"),
        ([], [facts(ended(1)), facts(RUNNING)], "Never", "Running"),
        ([facts(RUNNING)], [facts(WAITING)], "Always", "Pending"),
        ([facts(ended(1))], [facts(WAITING)], "Always", "Pending"),
        ([facts(ended(1))], [facts(WAITING)], "Never", "Failed"),
        ([facts(ended(0))], [facts(RUNNING)], "Never", "Running"),
        ([facts(RUNNING, restartable_init=True, started=True)], [facts(ended(0))], "Never", "Running"),
        ([facts(ended(0), restartable_init=True, started=True)], [facts(ended(0))], "Never", "Succeeded"),
    ],
)
def test_the_phase_follows_the_containers(
    init: list[ContainerFacts], containers: list[ContainerFacts], policy: str, phase: str
) -> None:
    assert phase_of(init, containers, policy, over=False) == phase


def test_a_transition_time_changes_with_the_status_only() -> None:
    first = build_conditions([], [facts(RUNNING)], "Running", before=[], gates=[], now="t1")
    again = build_conditions([], [facts(RUNNING)], "Running", before=first, gates=[], now="t2")
    ready = build_conditions([], [facts(RUNNING, ready=True)], "Running", before=again, gates=[], now="t3")

    assert again == first
    assert {one["type"]: one["lastTransitionTime"] for one in ready} == {
        "Initialized": "t1", "Ready": "t3", "ContainersReady": "t3", "PodScheduled": "t1",
    }  # fmt: skip


def test_conditions_of_others_are_kept_and_gates_are_asked() -> None:
    gate = {"type": "example.com/gate", "status": "False"}

    closed = build_conditions(
        [], [facts(RUNNING, ready=True)], "Running", before=[gate], gates=["example.com/gate"], now="t"
    )
    opened = build_conditions(
        [],
        [facts(RUNNING, ready=True)],
        "Running",
        before=[{**gate, "status": "True"}],
        gates=["example.com/gate"],
        now="t",
    )

    assert gate in closed
    assert [one["status"] for one in closed if one["type"] in ("Ready", "ContainersReady")] == ["False", "True"]
    assert [one["status"] for one in opened if one["type"] == "Ready"] == ["True"]


def test_events_come_in_a_burst_and_then_slowly() -> None:
    allowance = Allowance(0.0)

    taken = sum(allowance.take(0.0) for _ in range(100))
    later = sum(allowance.take(REFILL_S) for _ in range(100))

    assert (taken, later) == (BURST, 1)
