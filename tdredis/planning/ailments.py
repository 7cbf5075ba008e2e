"""Decides what is wrong with the pods and processes of any kind, as sentences: none means that they are as they should
be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tdredis.planning.conditions import Ailment
from tdredis.planning.objects import list_names
from tdredis.planning.snapshot import PodFacts
from tdredis.redis.facts import Unknown


def pods_that_fail(troubled: Iterable[PodFacts], missing: Sequence[str]) -> Iterator[Ailment]:
    """Every pod that is wanted exists and nothing is wrong with it."""
    for pod in troubled:
        assert pod.trouble is not None  # noqa: S101 that is what troubled means
        reason = pod.trouble.reason
        yield Ailment(reason=reason, message=f"pod {pod.name}: {pod.trouble.message or reason}", serious=False)
    if missing:
        yield Ailment(reason="PodsMissing", message=f"not made yet: {list_names(missing)}", serious=False)


def silent_processes(silent: Mapping[str, Unknown]) -> Iterator[Ailment]:
    for pod, unknown in silent.items():
        message = f"the process in pod {pod} does not answer: {unknown.error}"
        yield Ailment(reason="NoAnswer", message=message, serious=False)


def unready_pods(wanted: Sequence[str], pods: Mapping[str, PodFacts]) -> Iterator[Ailment]:
    waiting = [name for name in wanted if name in pods and not pods[name].ready]
    if waiting:
        message = f"{len(waiting)} of {len(wanted)} pods are not ready: {list_names(waiting)}"
        yield Ailment(reason="PodsNotReady", message=message, serious=False)
