"""Decides which changes of status are told as events: what became wrong, and that all became well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tdredis.api.instance import Condition, InstanceStatus
from tdredis.api.rediscluster import RedisClusterStatus
from tdredis.api.rollout import RolloutStatus
from tdredis.manifests.data_scripts import LOST_DATA, LOST_NODES
from tdredis.planning.findings import Finding
from tdredis.planning.steps import Follow, Step
from tdredis.redis.facts import NodeFacts, Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One event to tell. *reason* is the condition's: the rule, guard or finding that decided."""

    warning: bool
    reason: str
    message: str


def transitions(
    before: InstanceStatus, after: InstanceStatus, findings: Iterable[Finding] = ()
) -> tuple[Transition, ...]:
    """Events for the conditions that turned between two statuses; a sentence that only reads otherwise is no news.

    What two conditions say for the same reason is told once. *findings*: those behind *after*.
    """
    of_start = {each.reason for each in findings if each.part_of_start}
    previous = {each.type: (each.status, each.reason) for each in before.conditions}
    found: dict[str, Transition] = {}
    for now in after.conditions:
        was = previous.get(now.type)
        if was == (now.status, now.reason):
            continue
        if now.type == "Ready" and now.status == "True":
            found["Ready"] = Transition(warning=False, reason="Ready", message=now.message)
        elif _is_alarm(now, in_start=now.reason in of_start and previous.get("Ready", ("", ""))[0] != "True"):
            found.setdefault(now.reason, Transition(warning=True, reason=now.reason, message=now.message))
    for message in _emptied(before, after):
        found[message] = Transition(warning=True, reason="Emptied", message=message)
    return tuple(found.values())


def edits_given_up(before: InstanceStatus, after: InstanceStatus) -> int:
    """How many edits of spec were given up between two statuses: their pods are made as before."""
    return sum(
        now is not None and bool(now.failed) and (was is None or (was.failed, was.tried) != (now.failed, now.tried))
        for was, now in zip(_rollouts(before), _rollouts(after), strict=True)
    )


def _rollouts(status: InstanceStatus) -> tuple[RolloutStatus | None, ...]:
    return status.rollout, status.proxy_rollout if isinstance(status, RedisClusterStatus) else None


def _emptied(before: InstanceStatus, after: InstanceStatus) -> Iterator[str]:
    """Where there were keys are none: what was lost with all emptyDirs at once is told, though nobody could keep it."""
    previous = {line.name: line.keys for line in before.shards}
    for line in after.shards:
        if line.keys == 0 and (keys := previous.get(line.name)):
            yield (
                f"{line.name} has no keys, where it had about {keys}: its pods were lost with their emptyDirs, or all"
                " keys were deleted or expired"
            )


def notices(nodes: Mapping[str, NodeFacts | Unknown]) -> Iterator[Transition]:
    """What start scripts say of files that they could not use, or put in order."""
    for pod, node in sorted(nodes.items()):
        if isinstance(node, NodeFacts) and node.lost.startswith((LOST_DATA, LOST_NODES)):
            kind, _, what = node.lost.partition(": ")
            reason = "DataUnusable" if kind == LOST_DATA else "FilesRepaired"
            yield Transition(warning=True, reason=reason, message=f"pod {pod}: {what}")


def losses(done: Iterable[Step]) -> Iterator[Transition]:
    """What was lost by *done*: the writes that a second primary took alone, in bytes of its replication stream."""
    for step in done:
        if not isinstance(step, Follow) or not step.was_primary or step.given_up_bytes == 0:
            continue
        if step.given_up_bytes is None:
            taken = "an unknown amount of writes: it has no history in common with"
        else:
            taken = f"{step.given_up_bytes} bytes of writes (of its replication stream) that never reached"
        stays = f"{step.primary}, which stays; those writes are dropped"
        message = f"{step.process} was a second primary and took {taken} {stays}"
        yield Transition(warning=True, reason="WritesGivenUp", message=message)


def _is_alarm(condition: Condition, *, in_start: bool) -> bool:
    match condition.type, condition.status:
        case ("Ready", "False"):
            return not in_start
        case ("Accepted", "False") | ("MemoryPressure", "True"):
            return True
        case _:
            return False
