"""Decides what a pass goes by: a snapshot is judged once, and plan and status are both read from that judgement.

What the kinds of resource have in common stands here and in `rules.py`, `health.py` and `report.py`; what only one of
them has is a row or a small function of its `Kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic

import msgspec

from tdredis.api.instance import Instance, InstanceStatus
from tdredis.planning.change import Change, UnderWay
from tdredis.planning.counts import Count, count_changes
from tdredis.planning.desired import Effective
from tdredis.planning.findings import Finding
from tdredis.planning.handover import HANDOVER, Handover, decide_handover
from tdredis.planning.health import Check, WorldT, find_faults
from tdredis.planning.pending import Group, find_lacks, quota_change, rolled_changes
from tdredis.planning.plan import Hold, Plan, Ruling, Verdict, held, until_barrier
from tdredis.planning.proven import PROVEN_S, find_unproven
from tdredis.planning.refused import spec_problems
from tdredis.planning.report import Description, build_status
from tdredis.planning.restarts import Restart, watch_restart
from tdredis.planning.rollback import Watched, watch_edit
from tdredis.planning.rolling import COPIES_COME, Next, Shard, say_next
from tdredis.planning.rules import ENGINE_WORKS_S, WAITING_FOR_A_PERSON_S, Rule, ask, build_plan
from tdredis.planning.settings import refused_start, settings_changes, settings_lacks
from tdredis.planning.turn import in_turn, wants_turn
from tdredis.planning.volumes import volume_changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What else is to be done in this pass: *repairs*, and *next_*, the sentence of what is changed; "" is nothing."""

    repairs: Ruling
    next_: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[WorldT]):
    """What one kind of resource adds to what all have in common."""

    checks: tuple[Check[WorldT], ...]  # what keeps it from being Ready; the first finding is the reason in status
    rules: tuple[Rule[WorldT], ...]  # repairs, in their order
    groups: Callable[[WorldT], Sequence[Group]]  # pods made from one template each
    copies: Callable[[WorldT], tuple[Shard, ...]]  # who replicates whom
    roll: Callable[[WorldT, frozenset[str]], tuple[Next, ...]]  # what comes next, where these pods are to be recreated
    carry_out: Callable[[WorldT, Next], Ruling]  # the steps of that
    move: Callable[[WorldT, Others], Ruling]  # an order to move slots between shards, where that is wanted
    is_moving: Callable[[WorldT], bool]  # one is carried out
    hides_quota: Callable[[WorldT], bool]  # memory is given for another change, which tells of it
    other_changes: Callable[[WorldT], Iterable[Change]]  # under way, and Kubernetes carries them out
    counts: Callable[[WorldT], Iterable[Count]]  # pods that come or go where spec says how many there are
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
    handover: Handover  # one that somebody asked for
    roll: tuple[Next, ...]  # what comes next where pods are to be recreated; (): none are
    wants_turn: bool  # it goes on by itself, now or when it may
    watched: Watched  # what came of the last edit, and what pods would go back to
    restart: Restart  # what came of one by kubectl

    @property
    def has_begun(self) -> bool:
        """Some pods are recreated already."""
        rolling = (each.state for each in self.pending if each.is_rolling)
        return any(isinstance(state, UnderWay) and state.done > 0 for state in rolling)

    @property
    def is_stopped(self) -> bool:
        """No pod is recreated, or goes on being so, until somebody writes spec."""
        return bool(self.refused) or self.world.instance.spec.paused

    def plan(self) -> Plan:
        """The longest list of steps that is safe from its snapshot; none for a world that is as it should be.

        Repairs come first, and alone: what changes a running instance on purpose builds on one that needs none.
        """
        if self.refused and not self.kind.may_hold_data(self.world):
            # Nothing is begun that spec does not allow.
            return Plan(verdict=Verdict.INVALID, holds=self.refused, next_look_s=WAITING_FOR_A_PERSON_S)
        repairs = ask(self.kind.rules, self.world, spec_is_valid=not self.refused)
        change = Ruling() if self.refused else self._change(repairs)
        moves = Ruling() if self.refused else self._moves(repairs)
        steps = repairs.steps or (() if self.kind.is_moving(self.world) else change.steps)
        found = Ruling(steps=(*steps, *moves.steps), holds=(*repairs.holds, *change.holds, *moves.holds))
        return build_plan(
            self.world.snapshot,
            found,
            is_valid=not self.refused,
            is_healthy=not self.findings,
            put_off=(*self.refused, *self.held_changes),
            look_s=self._look_s(found),
        )

    def _change(self, repairs: Ruling) -> Ruling:
        """Guard: what is done to an instance that works is done only while nothing else is: a handover that was asked
        for, else the next of the pods that are to be recreated. One that cannot be carried out keeps nothing waiting.
        """
        asked = self.handover.step
        if isinstance(asked, Hold) and asked.about == "spec":
            rest = self._next_of(repairs, None)
            return Ruling(steps=rest.steps, holds=(asked, *rest.holds))
        return self._next_of(repairs, asked)

    def _next_of(self, repairs: Ruling, asked: Next | None) -> Ruling:
        steps = self.roll if asked is None else (asked,)
        if not steps:
            return Ruling()
        waits = [finding.message for finding in self.findings]
        waits += [f"{step}: {step.why}" for step in repairs.steps]
        waits += [hold.why for hold in repairs.holds if hold.about == "world"]
        waits += [
            f"{pod} was not Ready for {PROVEN_S:g} s yet, and has a container without a readiness probe"
            for pod in self._unproven()
        ]
        if waits:
            what = "the next pod is recreated" if asked is None else "the primary hands over"
            return held("nothing_else_is_to_be_done", f"{what} when all is well: {waits[0]}")
        rulings = [self.kind.carry_out(self.world, each) for each in steps]
        return Ruling(
            steps=until_barrier(step for each in rulings for step in each.steps),
            holds=tuple(hold for each in rulings for hold in each.holds),
        )

    def _unproven(self) -> dict[str, float]:
        there = (pod for component in self.world.components for pod in component.there.values())
        return find_unproven(there, self.world.snapshot.now)

    def _moves(self, repairs: Ruling) -> Ruling:
        """Slots move while nothing else goes on: a handover, or pods that are recreated, come before that. What waits
        for a person keeps nothing waiting.
        """
        asked = self.handover.step
        steps = (*((asked,) if asked is not None else ()), *self.roll)
        going_on = [step for step in steps if not isinstance(step, Hold) or step.guard in COPIES_COME]
        return self.kind.move(
            self.world, Others(repairs=repairs, next_=say_next(going_on, waits=False) if going_on else "")
        )

    def _look_s(self, found: Ruling) -> float:
        look_s = self.kind.look_s(self.world, found, not self.findings)
        look_s = min([look_s, *(each for each in (self.watched.look_s, self.restart.look_s) if each is not None)])
        if self.roll or self.handover.step is not None:
            look_s = min(look_s, *self._unproven().values(), look_s)
        waits = any(hold.guard in COPIES_COME for hold in found.holds)
        return min(look_s, ENGINE_WORKS_S) if waits else look_s

    def report(self, plan: Plan, failure: str = "") -> InstanceStatus:
        """The status to write. *failure*: what the last carrying out of a plan failed with, or empty."""
        world, wrong = self.world, self.findings
        if plan.verdict is Verdict.INVALID and not self.kind.may_hold_data(world):
            wrong = (Finding(reason="SpecInvalid", message="; ".join(hold.why for hold in plan.holds), serious=False),)
        described = self.kind.describe(world)
        status = build_status(world, described, plan, wrong=wrong, pending=self.pending, failure=failure)
        status = msgspec.structs.replace(status, handover=self.handover.record, rollout=self.watched.record)
        return self.kind.complete(world, status)


def assess_world(kind: Kind[WorldT], world: WorldT, effective: Effective[Instance]) -> Assessment[WorldT]:
    """*effective*: what of spec is, and why the rest waits; *world* has it already."""
    snapshot, instance = world.snapshot, world.instance
    sentences = spec_problems(snapshot)
    findings = find_faults(kind.checks, world)
    groups = kind.groups(world)
    lacks, refusal = find_lacks(snapshot, instance, groups, settings_lacks(world)), refused_start(world)
    outdated = lacks.outdated - lacks.late
    if refusal:
        outdated &= refusal.pods
    # One more pod that came first and refused stays, while it would be made as it is: without it nobody would know.
    wanted = () if refusal and not outdated else kind.roll(world, outdated)
    roll = in_turn(wanted, snapshot.turn)
    counted = tuple(count_changes(instance, kind.counts(world), {each.field for each in effective.changes}))
    watched = watch_edit(
        snapshot,
        instance,
        groups,
        lambda: kind.copies(world),
        is_settled=not findings and not lacks.outdated,
        coming=[each.field for each in counted],
    )
    if sentences:
        watched = Watched(record=snapshot.resource.status.rollout)
    how = refusal.hold.why if refusal and not roll else say_next(roll, waits=bool(findings))
    restart = watch_restart(snapshot, groups)
    how = "; ".join(filter(None, (how, watched.says, restart.says)))
    return Assessment(
        kind=kind,
        world=world,
        findings=findings,
        refused=tuple(Hold(guard="spec_is_valid", about="spec", why=sentence) for sentence in sentences),
        held_changes=(*effective.holds, *((restart.hold,) if restart.hold else ())),
        pending=(
            *effective.changes,
            *(() if kind.hides_quota(world) else quota_change(snapshot, instance.spec, world.redis.wanted)),
            *settings_changes(world),
            *volume_changes(snapshot, instance),
            *rolled_changes(snapshot, instance, groups, lacks, how),
            *kind.other_changes(world),
            *counted,
        ),
        handover=_decide_handover(kind, world),
        roll=roll,
        watched=watched,
        restart=restart,
        wants_turn=not sentences and not instance.spec.paused and wants_turn(wanted),
    )


def _decide_handover(kind: Kind[WorldT], world: WorldT) -> Handover:
    resource = world.snapshot.resource
    asked = HANDOVER in resource.metadata.annotations
    return decide_handover(resource, kind.copies(world)) if asked else Handover(record=resource.status.handover)
