"""Decides which changes of status are told as events: what became wrong, and that all became well."""

from __future__ import annotations

from dataclasses import dataclass

from tdredis.api.rediscluster import RedisClusterStatus
from tdredis.planning.cluster.health import PART_OF_EVERY_START


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One event to tell. *reason* is the condition's: the rule, guard or ailment that decided."""

    warning: bool
    reason: str
    message: str


def turns(before: RedisClusterStatus, after: RedisClusterStatus) -> tuple[Turn, ...]:
    """Events for the conditions that turned between two statuses. Equal statuses give none."""
    former = {each.type: each for each in before.conditions}
    found = []
    for now in after.conditions:
        was = former.get(now.type)
        if was is not None and (was.status, was.reason, was.message) == (now.status, now.reason, now.message):
            continue
        became = was is None or was.status != now.status
        if now.type == "Ready" and now.status == "True" and became:
            found.append(Turn(warning=False, reason="Ready", message=now.message))
        elif _is_alarm(now.type, now.status, now.reason):
            found.append(Turn(warning=True, reason=now.reason, message=now.message))
    return tuple(found)


def _is_alarm(kind: str, status: str, reason: str) -> bool:
    match kind, status:
        case ("Ready", "False"):
            return reason not in PART_OF_EVERY_START
        case ("Accepted", "False") | ("Degraded", "True"):
            return True
        case _:
            return False
