"""Decides how what is wrong becomes conditions, in the same words for every kind.

One thing is carried over from the previous status, because readers need it: when a condition last changed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from tdredis.api.instance import Condition, Instance, InstanceStatus
from tdredis.planning.change import TEMPLATE, Change
from tdredis.planning.findings import Finding
from tdredis.planning.memory import memory_pressure
from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.snapshot import Snapshot

ROLLED_BACK: Final = ("new_pods_come_up", "new_proxies_come_up")  # guards: no pod is made again from what did not


def has_been_ready(status: InstanceStatus) -> bool:
    """It was Ready when it was last looked at, or has been degraded ever since it was."""
    return any(each.type in ("Ready", "Degraded") and each.status == "True" for each in status.conditions)


def is_ready(status: InstanceStatus) -> bool:
    """It was Ready when it was last looked at."""
    return any(each.type == "Ready" and each.status == "True" for each in status.conditions)


def build_conditions(
    snapshot: Snapshot,
    plan: Plan,
    wrong: tuple[Finding, ...],
    pending: tuple[Change, ...],
    *,
    whole: str,
    progress: str,
    failure: str,
) -> tuple[Condition, ...]:
    """*whole* says what a healthy instance consists of, *progress* how far one is that is not; *failure*: what the last
    carrying out of a plan failed with, or empty.
    """
    previous_status = snapshot.resource.status
    previous = {each.type: each for each in previous_status.conditions}
    degraded = bool(wrong) and has_been_ready(previous_status)
    paused = snapshot.resource.spec.paused
    generation = snapshot.resource.metadata.generation

    def condition(kind: str, *, holds: bool, reason: str, message: str) -> Condition:
        status = "True" if holds else "False"
        before = previous.get(kind)
        since = before.last_transition_time if before and before.status == status else timestamp(snapshot.now)
        return Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message[:1024],
            last_transition_time=since,
            observed_generation=generation,
        )

    pressure = memory_pressure(snapshot)  # a warning: it keeps nothing from being Ready
    accepted = _accepted(plan, pending)
    is_moving, is_rolling = any(each.is_moving for each in pending), any(each.is_rolling for each in pending)
    is_growing, is_scaling = any(each.is_growing for each in pending), any(each.is_scaling for each in pending)
    under_way = (
        "Migrating"
        if is_moving
        else "Rolling"
        if is_rolling
        else "Growing"
        if is_growing
        else "Scaling"
        if is_scaling
        else "AsSpecified"
    )
    first = wrong[0].reason if wrong else "AsSpecified"
    sentence = "; ".join(finding.message for finding in wrong[:4])
    found: tuple[Condition, ...] = (
        condition("Ready", holds=not wrong, reason=first, message=sentence or whole),
        condition(
            "Progressing",
            holds=bool(wrong) and plan.verdict is not Verdict.INVALID and not paused,
            reason="StepFailed" if failure else "Paused" if paused else first,
            message="; held: ".join(
                (
                    failure or ("paused: nothing is done" if paused else progress if wrong else "nothing to do"),
                    *(f"{hold.guard}: {hold.why}" for hold in plan.holds if hold.about == "world"),
                )
            ),
        ),
        condition(
            "Degraded",
            holds=degraded,
            reason=first if degraded else "AsSpecified",
            message=sentence if degraded else "no regression since last Ready",
        ),
        condition(
            "Accepted",
            holds=accepted is None,
            reason=accepted[0] if accepted else under_way,
            message=accepted[1] if accepted else _applied(pending),
        ),
        condition(
            "MemoryPressure",
            holds=pressure is not None,
            reason=pressure.reason if pressure else "AsSpecified",
            message=pressure.message if pressure else "memory is below the threshold",
        ),
    )
    back = [hold for hold in plan.holds if hold.guard in ROLLED_BACK]
    if back:
        message = "; ".join(hold.why for hold in back)
        found = (*found, condition("RolledBack", holds=True, reason=back[0].guard, message=message))
    if not paused:
        return found
    message = "spec.paused is true: the operator changes nothing, whatever breaks; set it to false to resume"
    return (*found, condition("Paused", holds=True, reason="PausedBySpec", message=message))


def _accepted(plan: Plan, pending: tuple[Change, ...]) -> tuple[str, str] | None:
    """Reason and sentences of what spec asks for and does not get. None: it gets all of it."""
    refused = [hold for hold in plan.holds if hold.about == "spec"]
    if not refused:
        return None
    by_hold = {change.hold.guard: change.sentence for change in reversed(pending) if change.hold is not None}
    under_way = [change.sentence for change in pending if change.is_told]
    told = (by_hold.get(hold.guard, hold.why) for hold in refused)
    sentences = [each for each in told if not any(each in sentence for sentence in under_way)]
    return refused[0].guard, "; ".join((*sentences, *under_way))


def _applied(pending: tuple[Change, ...]) -> str:
    under_way = [change.sentence for change in pending if change.is_told]
    of_ours = [change.sentence for change in pending if change.field == TEMPLATE]
    return "; ".join((*(under_way or ("spec is fully applied",)), *of_ours))


def pass_failed(resource: Instance, message: str, now: float) -> InstanceStatus:
    """The status that the server has, and that it is not to be relied on: a pass failed by a bug. What Ready says
    stays, for it is also what is remembered of the instance.
    """
    status = resource.status
    before = next((each for each in status.conditions if each.type == "Progressing"), None)
    since = before.last_transition_time if before and before.status == "False" else timestamp(now)
    found = Condition(
        type="Progressing",
        status="False",
        reason="PassFailed",
        message=message[:1024],
        last_transition_time=since,
        observed_generation=resource.metadata.generation,
    )
    others = [each for each in status.conditions if each.type != "Progressing"]
    at = next((index for index, each in enumerate(status.conditions) if each.type == "Progressing"), len(others))
    return msgspec.structs.replace(status, conditions=(*others[:at], found, *others[at:]))


def timestamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
