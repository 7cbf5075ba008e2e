"""Decides which pods and processes a decision waits for: silent ones, without_process ones, those that start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import PodFacts
from tdredis.redis.facts import Unknown

STARTING_S = 30.0  # a pod this young, with nothing wrong, is waited for before anything is decided without it
FactsT = TypeVar("FactsT")


def unresponsive(nodes: Mapping[str, FactsT | Unknown]) -> dict[str, Unknown]:
    """Processes that run and did not answer, by pod."""
    return {pod: node for pod, node in sorted(nodes.items()) if isinstance(node, Unknown)}


def without_process(
    pods: Mapping[str, PodFacts], nodes: Mapping[str, FactsT | Unknown], *, volumes_may_hold_data: bool
) -> tuple[str, ...]:
    """Pods that exist, may hold data, and have no process to ask at the moment: no better than silent.

    One that never ran on an emptyDir holds nothing; on a volume it may bring back what its predecessor knew.
    """
    found = (
        name for name, pod in sorted(pods.items()) if name not in nodes and (pod.ever_ran or volumes_may_hold_data)
    )
    return tuple(found)


def missing(wanted: Sequence[str], pods: Mapping[str, PodFacts]) -> tuple[str, ...]:
    """Wanted pods that are not made yet."""
    return tuple(name for name in wanted if name not in pods)


def starting(
    wanted: Sequence[str], pods: Mapping[str, PodFacts], nodes: Mapping[str, FactsT | Unknown], now: float
) -> tuple[str, ...]:
    """Wanted pods that may answer in a moment: not made yet, or young and with nothing wrong."""

    def is_starting(name: str) -> bool:
        pod = pods.get(name)
        if pod is None:
            return True
        if name in nodes or pod.main_trouble is not None:
            return False
        return now - pod.created < STARTING_S

    return tuple(name for name in wanted if is_starting(name))


def troubled(wanted: Sequence[str], pods: Mapping[str, PodFacts]) -> tuple[PodFacts, ...]:
    """Wanted pods with something wrong, by name."""
    return tuple(pods[name] for name in wanted if name in pods and pods[name].trouble is not None)


def silence_hold(silent_ones: Mapping[str, Unknown], why: str) -> Hold:
    pod, unknown = next(iter(silent_ones.items()))
    return Hold(guard="every_process_answers", why=f"{why}; {pod} is silent: {unknown.error}")
