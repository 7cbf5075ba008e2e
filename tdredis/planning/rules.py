"""Decides how rules become a plan, whatever the kind: they are asked in order, up to the first barrier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tdredis.planning.conditions import has_been_ready
from tdredis.planning.plan import Hold, Plan, Ruling, Verdict, until_barrier
from tdredis.planning.snapshot import Snapshot
from tdredis.planning.steps import RedisStep, Step

ENGINE_WORKS_S = 0.1  # gossip, votes, links and syncs take tenths of a second
PODS_START_S = 2.0  # watches tell of them; this look is for events that got lost
ALL_IS_WELL_S = 15.0
WAITING_FOR_A_PERSON_S = 300.0

WorldT = TypeVar("WorldT")


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


def build_plan(
    snapshot: Snapshot, found: Ruling, *, is_valid: bool, is_healthy: bool, put_off: tuple[Hold, ...], look_s: float
) -> Plan:
    """*put_off*: why spec, or changes of it, are not carried out. *look_s*: when to look again, where no step says that
    it must be at once.
    """
    # News of objects come by watch; of what was done to a process nobody tells.
    looks_at_once = any(step.barrier or isinstance(step, RedisStep) for step in found.steps)
    return Plan(
        verdict=_verdict(snapshot, is_healthy=is_healthy) if is_valid else Verdict.INVALID,
        steps=found.steps,
        holds=(*put_off, *found.holds),
        next_look_s=min(look_s, ENGINE_WORKS_S) if looks_at_once else look_s,
    )


def _verdict(snapshot: Snapshot, *, is_healthy: bool) -> Verdict:
    if is_healthy:
        return Verdict.HEALTHY
    return Verdict.DEGRADED if has_been_ready(snapshot.resource.status) else Verdict.FORMING
