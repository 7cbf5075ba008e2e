"""Decides what is asked of any instance before it counts as healthy, and in which form a kind asks more of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeAlias, TypeVar

from tdredis.api.instance import Instance
from tdredis.planning.findings import (
    Finding,
    claims_that_stay,
    pods_that_fail,
    pods_that_stay,
    unready_pods,
    unresponsive_processes,
)
from tdredis.planning.pods import Pods
from tdredis.planning.process import Process
from tdredis.planning.setting import Decision
from tdredis.planning.snapshot import PodFacts, Snapshot, Trouble
from tdredis.redis.facts import NodeFacts, Unknown


class Limited(Protocol):
    """A Redis process that answered, as a world has it."""

    @property
    def pod(self) -> PodFacts: ...
    @property
    def facts(self) -> NodeFacts: ...
    @property
    def process(self) -> Process: ...


class World(Protocol):
    """What every kind's world has: *instance* with its effective values, its pods, a `Pods` for each component, and the
    Redis processes that answer.
    """

    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def instance(self) -> Instance: ...
    @property
    def redis(self) -> Pods[NodeFacts]: ...
    @property
    def members(self) -> Sequence[Limited]: ...
    @property
    def settings(self) -> Sequence[Decision]: ...
    @property
    def components(self) -> tuple[Pods[object], ...]: ...
    @property
    def troubles(self) -> tuple[tuple[str, Trouble], ...]: ...


WorldT = TypeVar("WorldT", bound=World)
Check: TypeAlias = Callable[[WorldT], Iterator[Finding]]


def find_faults(checks: Sequence[Check[WorldT]], world: WorldT) -> tuple[Finding, ...]:
    """Everything that is wrong, in the order of *checks*."""
    return tuple(finding for check in checks for finding in check(world))


def pods_run(world: World) -> Iterator[Finding]:
    snapshot, missing = world.snapshot, world.components[0].missing
    yield from claims_that_stay(snapshot.kept_claims, missing)
    yield from pods_that_fail(world.troubles, missing, snapshot.creation_failures)
    yield from pods_that_stay(_pods(world), snapshot.now)


def processes_answer(world: World) -> Iterator[Finding]:
    silent: dict[str, Unknown] = {}
    for component in world.components:
        silent |= component.unresponsive
    return unresponsive_processes(silent, _wanted(world), _pods(world))


def pods_are_ready(world: World) -> Iterator[Finding]:
    return unready_pods(_wanted(world), _pods(world))


def _pods(world: World) -> dict[str, PodFacts]:
    return {name: pod for component in world.components for name, pod in component.there.items()}


def _wanted(world: World) -> tuple[str, ...]:
    return tuple(name for component in world.components for name in component.wanted)
