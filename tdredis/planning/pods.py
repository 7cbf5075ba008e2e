"""Decides which pods and processes a decision waits for: silent ones, those without a process, those that start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from tdredis.planning.plan import Hold
from tdredis.planning.sentences import list_names
from tdredis.planning.snapshot import PodFacts, Trouble
from tdredis.redis.facts import Unknown

STARTING_S = 30.0  # a pod this young, with nothing wrong, is waited for before anything is decided without it
FactsT = TypeVar("FactsT")
FactsT_co = TypeVar("FactsT_co", covariant=True)


def unresponsive(answers: Mapping[str, FactsT | Unknown]) -> dict[str, Unknown]:
    """Processes that run and did not answer, by pod."""
    return dict(sorted((pod, answer) for pod, answer in answers.items() if isinstance(answer, Unknown)))


@dataclass(frozen=True, kw_only=True)
class Pods(Generic[FactsT_co]):
    """The pods of one component: those that are *wanted*, by name, those that are *there*, and what each process that
    runs in one of them *answers*. *may_hold_data*: so may one that never ran, on its volume. *now*: epoch seconds.
    """

    wanted: tuple[str, ...]
    there: Mapping[str, PodFacts]
    answers: Mapping[str, FactsT_co | Unknown]
    may_hold_data: bool = False
    now: float

    @cached_property
    def unresponsive(self) -> Mapping[str, Unknown]:
        """Processes that run and did not answer, by pod."""
        return unresponsive(self.answers)

    @cached_property
    def without_process(self) -> tuple[str, ...]:
        """Pods that exist, may hold data, and have no process to ask at the moment: no better than silent.

        One that never ran on an emptyDir holds nothing; on a volume it may bring back what its predecessor knew.
        """
        silent = [(name, pod) for name, pod in self.there.items() if name not in self.answers]
        return tuple(sorted(name for name, pod in silent if pod.ever_ran or self.may_hold_data))

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """Wanted pods that are not made yet."""
        return tuple(name for name in self.wanted if name not in self.there)

    @cached_property
    def starting(self) -> tuple[str, ...]:
        """Wanted pods that may answer in a moment: not made yet, or young and with nothing wrong."""
        return tuple(name for name in self.wanted if self._is_starting(name))

    def _is_starting(self, name: str) -> bool:
        pod = self.there.get(name)
        if pod is None:
            return True
        if name in self.answers or pod.main_trouble is not None:
            return False
        return self.now - pod.created < STARTING_S

    @cached_property
    def present(self) -> tuple[PodFacts, ...]:
        """Wanted pods that are there, in the order of their names."""
        return tuple(self.there[name] for name in self.wanted if name in self.there)

    @property
    def troubles(self) -> tuple[tuple[str, Trouble], ...]:
        """What is wrong with those of them with which something is."""
        return tuple((pod.name, pod.trouble) for pod in self.present if pod.trouble is not None)

    @property
    def has_unknown(self) -> bool:
        """Somebody who could contradict is silent, or has no process to ask."""
        return bool(self.unresponsive or self.without_process)


def silence_hold(silent: Mapping[str, Unknown], why: str) -> Hold:
    pod, unknown = next(iter(silent.items()))
    return Hold(guard="every_process_answers", why=f"{why}; {pod} does not answer: {unknown.error}")


def nobody_is_unknown(pods: Pods[object], why: str) -> Hold | None:
    """Guard: nobody who could contradict is silent, or has no process. *why*: what waits for that."""
    if pods.unresponsive:
        return silence_hold(pods.unresponsive, why)
    if pods.without_process:
        return Hold(guard="every_process_answers", why=f"{why}; no process runs in {list_names(pods.without_process)}")
    return None


def everybody_has_answered(pods: Pods[object], why: str) -> Hold | None:
    """Guard: as above, and nobody is about to start."""
    if hold := nobody_is_unknown(pods, why):
        return hold
    if pods.starting:
        return Hold(guard="pods_have_started", why=f"waiting for {list_names(pods.starting)} to start")
    return None
