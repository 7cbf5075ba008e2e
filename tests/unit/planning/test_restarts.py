"""Whoever asks for a restart in a way that does nothing is told so, until the pods are younger than that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tdredis.planning.restarts import unheeded_restarts
from tdredis.planning.snapshot import Ref
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby


def asked(world: SimulatedCluster | SimulatedStandby, name: str, when: str) -> None:
    template: Any = world.children[Ref("StatefulSet", name)]["spec"]["template"]  # type: ignore[index, call-overload]
    template["metadata"].setdefault("annotations", {})["kubectl.kubernetes.io/restartedAt"] = when


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (SimulatedCluster, "redis-cluster-rat-1"),
        (SimulatedStandby, "redis-standby-tom"),
        (SimulatedStandby, "sentinel-standby-tom"),
    ],
)
def test_a_rollout_restart_is_answered(make: type[SimulatedCluster] | type[SimulatedStandby], name: str) -> None:
    world = make()
    world.converge()
    assert list(unheeded_restarts(world.snapshot())) == []
    now = datetime.fromtimestamp(world.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    asked(world, name, now)
    for pod in world.pods.values():
        pod.age_s = 60.0

    (told,) = unheeded_restarts(world.snapshot())
    assert (told.warning, told.reason) == (True, "RestartNotDone")
    assert name in told.message

    world.now += 10.0
    for pod in world.pods.values():
        pod.age_s = 5.0
    assert list(unheeded_restarts(world.snapshot())) == []


def test_what_is_no_date_is_nothing() -> None:
    world = SimulatedStandby()
    world.converge()
    asked(world, "redis-standby-tom", "soon")

    assert list(unheeded_restarts(world.snapshot())) == []
