"""Decides what a pass goes by: a snapshot is judged once, and plan and status are both read from that judgement.

What the kinds of resource have in common stands here and in `rules.py`, `health.py` and `report.py`; what only one of
them has is a row or a small function of its `Kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from tdredis.api.instance import Instance, InstanceStatus
from tdredis.api.validation import problems
from tdredis.planning.desired import Effective
from tdredis.planning.findings import Finding
from tdredis.planning.health import Check, WorldT, find_faults
from tdredis.planning.pending import Change, Group, quota_change, rolled_changes
from tdredis.planning.plan import Hold, Plan, Ruling, Verdict
from tdredis.planning.report import Description, build_status
from tdredis.planning.rules import WAITING_FOR_A_PERSON_S, Rule, ask, build_plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[WorldT]):
    """What one kind of resource adds to what all have in common."""

    checks: tuple[Check[WorldT], ...]  # what keeps it from being Ready; the first finding is the reason in status
    rules: tuple[Rule[WorldT], ...]  # repairs, in their order
    groups: Callable[[WorldT], Sequence[Group]]  # pods made from one template each
    may_hold_data: Callable[[WorldT], bool]  # then it is healed whatever its spec has become
    look_s: Callable[[WorldT, Ruling, bool], float]  # until the next look; the last: whether it is healthy
    describe: Callable[[WorldT], Description]
    complete: Callable[[WorldT, InstanceStatus], InstanceStatus]  # status with the fields that only this kind has


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment(Generic[WorldT]):
    """*world*: what the snapshot shows, and the resource with its effective values."""

    kind: Kind[WorldT]
    world: WorldT
    findings: tuple[Finding, ...]  # what is wrong, the first is the reason in status; (): the instance is healthy
    refused: tuple[Hold, ...]  # why spec, as it is written, cannot be carried out
    held_changes: tuple[Hold, ...]  # why changes of spec wait
    pending: tuple[Change, ...]  # what of spec is not effective yet, those that wait among it

    def plan(self) -> Plan:
        """The longest list of steps that is safe from its snapshot; none for a world that is as it should be.

        Repairs come first, and alone: what changes a running instance on purpose builds on one that needs none.
        """
        if self.refused and not self.kind.may_hold_data(self.world):
            # Nothing is begun that spec does not allow.
            return Plan(verdict=Verdict.INVALID, holds=self.refused, next_look_s=WAITING_FOR_A_PERSON_S)
        repairs = ask(self.kind.rules, self.world, spec_is_valid=not self.refused)
        return build_plan(
            self.world.snapshot,
            repairs,
            is_valid=not self.refused,
            is_healthy=not self.findings,
            put_off=(*self.refused, *self.held_changes),
            look_s=self.kind.look_s(self.world, repairs, not self.findings),
        )

    def report(self, plan: Plan, failure: str = "") -> InstanceStatus:
        """The status to write. *failure*: what the last carrying out of a plan failed with, or empty."""
        world, wrong = self.world, self.findings
        if plan.verdict is Verdict.INVALID and not self.kind.may_hold_data(world):
            wrong = (Finding(reason="SpecInvalid", message="; ".join(hold.why for hold in plan.holds), serious=False),)
        described = self.kind.describe(world)
        return self.kind.complete(
            world, build_status(world, described, plan, wrong=wrong, pending=self.pending, failure=failure)
        )


def assess_world(kind: Kind[WorldT], world: WorldT, effective: Effective[Instance]) -> Assessment[WorldT]:
    """*effective*: what of spec is, and why the rest waits; *world* has it already."""
    snapshot, instance = world.snapshot, world.instance
    sentences = snapshot.memo.once("problems", (snapshot.resource,), lambda: problems(snapshot.resource))
    return Assessment(
        kind=kind,
        world=world,
        findings=find_faults(kind.checks, world),
        refused=tuple(Hold(guard="spec_is_valid", about="spec", why=sentence) for sentence in sentences),
        held_changes=effective.holds,
        pending=(
            *effective.changes,
            *quota_change(snapshot, instance.spec, world.redis.wanted),
            *rolled_changes(snapshot, instance, kind.groups(world)),
        ),
    )
