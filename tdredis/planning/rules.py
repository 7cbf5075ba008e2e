"""Decides how rules become a plan, whatever the kind: they are asked in order, up to the first barrier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tdredis.api.instance import Instance
from tdredis.api.validation import problems
from tdredis.planning.assessment import Assessment
from tdredis.planning.conditions import has_been_ready
from tdredis.planning.objects import Ruling
from tdredis.planning.plan import Hold, Plan, Verdict, until_barrier
from tdredis.planning.snapshot import Snapshot
from tdredis.planning.steps import OBJECT_STEPS, Step

ENGINE_WORKS_S = 0.1  # gossip, votes, links and syncs take tenths of a second
PODS_START_S = 2.0  # their news arrive by watch; this look is for news that got lost
ALL_IS_WELL_S = 15.0
WAITING_FOR_A_PERSON_S = 300.0

WorldT = TypeVar("WorldT")


def refusals(instance: Instance) -> tuple[Hold, ...]:
    """What is wrong with spec; () if nothing is."""
    return tuple(Hold(guard="spec_is_valid", about="spec", why=sentence) for sentence in problems(instance))


def refuse(refused: tuple[Hold, ...]) -> Plan:
    """Nothing is begun that spec does not allow."""
    return Plan(verdict=Verdict.INVALID, holds=refused, next_look_s=WAITING_FOR_A_PERSON_S)


@dataclass(frozen=True, slots=True)
class Rule(Generic[WorldT]):
    """*decide* says what one thing needs. *needs_valid_spec*: it goes by what spec asks for, and is not asked while
    that cannot be carried out; the others keep together what there is.
    """

    decide: Callable[[WorldT], Ruling]
    needs_valid_spec: bool = False


def ask(rules: Sequence[Rule[WorldT]], world: WorldT, *, spec_is_valid: bool) -> Ruling:
    """Everything that *rules* say up to the first that has a barrier."""
    steps: list[Step] = []
    holds: list[Hold] = []
    for rule in rules:
        if rule.needs_valid_spec and not spec_is_valid:
            continue
        ruling = rule.decide(world)
        steps += ruling.steps
        holds += ruling.holds
        if any(step.barrier for step in ruling.steps):
            break
    return Ruling(steps=until_barrier(steps), holds=tuple(holds))


def build_plan(assessment: Assessment[WorldT], snapshot: Snapshot, found: Ruling, look_s: float) -> Plan:
    """*look_s*: when to look again, where no step says that it must be at once."""
    # News of objects come by watch; of what was done to a process nobody tells.
    looks_at_once = any(step.barrier or not isinstance(step, OBJECT_STEPS) for step in found.steps)
    return Plan(
        verdict=Verdict.INVALID if assessment.refused else _verdict(snapshot, healthy=not assessment.findings),
        steps=found.steps,
        holds=(*assessment.refused, *assessment.held_changes, *found.holds),
        next_look_s=min(look_s, ENGINE_WORKS_S) if looks_at_once else look_s,
    )


def _verdict(snapshot: Snapshot, *, healthy: bool) -> Verdict:
    if healthy:
        return Verdict.HEALTHY
    return Verdict.DEGRADED if has_been_ready(snapshot.resource.status) else Verdict.FORMING
