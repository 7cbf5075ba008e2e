"""Decides what is told of a pass: its events, each once while it stays so, and the words for what failed.

A server's words for the same refusal differ by a request's number or a duration. The first of them stay, or each would
be a new event and a new status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import structlog

from tdredis.api.fields import API_VERSION
from tdredis.api.instance import InstanceStatus
from tdredis.execute.outcome import Outcome
from tdredis.kube.events import Reference
from tdredis.planning.decide import Judged
from tdredis.planning.news import losses, notices, transitions
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import Step, name_of

log = structlog.get_logger(__name__)

MOST_TOLD = 4
NEW_KIND_S = 60.0  # a refusal that is now of one kind and now of another is told anew at most that often


class Announcer(Protocol):
    """Whoever makes Kubernetes events of what we say."""

    def __call__(self, subject: Reference, *, warning: bool, reason: str, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Failure:
    step: str
    kind: str
    words: str
    at: float


class Telling:
    """Remembers what was said of each resource last: an unchanged pass is silent."""

    def __init__(self, announce: Announcer, *, now: Callable[[], float]) -> None:
        """*now*: seconds of a clock that does not jump."""
        self._announce = announce
        self._now = now
        self._said: dict[Key, frozenset[str]] = {}
        self._reported: dict[Key, tuple[str, InstanceStatus]] = {}  # uid, and the status that the last pass came to
        self._failures: dict[Key, _Failure] = {}
        self._held: dict[Key, frozenset[Hold]] = {}

    def forget(self, key: Key) -> None:
        """The resource is gone."""
        self._said.pop(key, None)
        self._reported.pop(key, None)
        self._failures.pop(key, None)
        self._held.pop(key, None)

    def clear(self) -> None:
        """Another has led meanwhile: what is new is measured by what the server has."""
        self._said.clear()
        self._reported.clear()
        self._failures.clear()
        self._held.clear()

    def last_status(self, key: Key, uid: str) -> InstanceStatus | None:
        """The status that the last pass over the resource *uid* came to, whether or not the server has it."""
        its_uid, status = self._reported.get(key, ("", None))
        return status if its_uid == uid else None

    def holds(self, key: Key, held: Sequence[Hold]) -> None:
        """A line of the log when other things are held than in the pass before."""
        now = frozenset(held)
        before = self._held.get(key, frozenset())
        self._held[key] = now
        if now != before:
            ended = sorted({hold.guard for hold in before} - {hold.guard for hold in now})
            log.info(
                "holds changed",
                resource=str(key),
                namespace=key.namespace,
                held={hold.guard: hold.why for hold in held},
                ended=ended,
            )

    def failure(self, key: Key, outcome: Outcome) -> str:
        """What a pass failed with, in the same words as long as it is the same; "" if it did not."""
        if outcome.failed is None:
            self._failures.pop(key, None)
            return ""
        now, step = self._now(), str(outcome.failed)
        last = self._failures.get(key)
        if last is None or last.step != step or (last.kind != outcome.kind and now >= last.at + NEW_KIND_S):
            last = self._failures[key] = _Failure(step, outcome.kind, outcome.error, now)
        return last.words

    def say(self, key: Key, subject: Reference, *, warning: bool, reason: str, message: str) -> None:
        """One event, once while nothing else is said of *key*."""
        self._tell(key, subject, [(warning, reason, message)])

    def tell(self, key: Key, assessment: Judged, status: InstanceStatus, outcome: Outcome, failure: str) -> None:
        """Events: every step done, once; what went wrong, when it goes wrong; Ready, when it becomes so."""
        snapshot = assessment.world.snapshot
        uid = snapshot.resource.metadata.uid
        news = [(False, reason, message) for reason, message in told_together(outcome.done)]
        if outcome.failed is not None:
            news.append((True, "StepFailed", failure))
        before = self.last_status(key, uid) or snapshot.resource.status
        told = (
            *losses(outcome.done),
            *transitions(before, status, assessment.findings),
            *notices(snapshot.nodes),
        )
        news += [(transition.warning, transition.reason, transition.message) for transition in told]
        self._reported[key] = (uid, status)
        self._tell(key, Reference(API_VERSION, key.kind, key.namespace, key.name, uid), news)

    def _tell(self, key: Key, subject: Reference, news: Sequence[tuple[bool, str, str]]) -> None:
        said = self._said.get(key, frozenset())
        for warning, reason, message in news:
            if f"{reason} {message}" not in said:
                self._announce(subject, warning=warning, reason=reason, message=message)
        self._said[key] = frozenset(f"{reason} {message}" for _, reason, message in news)


def told_together(steps: Sequence[Step]) -> Iterator[tuple[str, str]]:
    """One (reason, message) for the steps that were done in a row for the same reason: six introductions are one news,
    and no step is given the why of another.
    """
    for (reason, why), group in groupby(steps, key=lambda step: (name_of(step), step.why)):
        told = list(group)
        more = f" and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
        yield reason, f"{'; '.join(map(str, told[:MOST_TOLD]))}{more}: {why}"
