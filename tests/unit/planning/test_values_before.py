"""Who reads an event, or the log, sees which setting was changed, from what, to what, and no password."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from tdredis.controllers.telling import told_together
from tdredis.planning.sentences import from_to
from tdredis.planning.steps import ConfigureMonitor, SetConfig, Step
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
MIB = 2**20


def cluster() -> SimulatedCluster:
    return SimulatedCluster(capacity=3 * 64)


def standby() -> SimulatedStandby:
    return SimulatedStandby(capacity=64)


def edited(make: Callable[[], World], **spec: object) -> list[Step]:
    """All that is done to processes until *spec* is so."""
    world = make()
    world.converge()
    world.resource["spec"] = {**cast("dict[str, object]", world.resource["spec"]), **spec}  # type: ignore[dict-item]
    plans = [world.run_pass()[0] for _ in range(12)]
    assert plans[-1].steps == ()
    return [step for made in plans for step in made.steps if isinstance(step, SetConfig | ConfigureMonitor)]


@pytest.mark.parametrize(("make", "capacity"), [(cluster, 3 * 128), (standby, 128)], ids=["cluster", "standby"])
def test_an_event_about_memory_says_how_much_it_was_and_how_much_it_is(
    make: Callable[[], World], capacity: int
) -> None:
    steps = edited(make, capacity=capacity)

    said = [message for _, message in told_together(steps)]
    assert any(f" from {64 * MIB} to {128 * MIB}" in each for each in said)
    assert len([each for each in said if "maxmemory" in each]) <= 2, "one event for all processes, or for both roles"


def test_so_does_one_about_a_sentinel_s_setting() -> None:
    steps = edited(standby, sentinel={"downAfterMilliseconds": 7000})

    (said,) = {str(step).rpartition(" of ")[0] + " " + str(step).partition(" from ")[2] for step in steps}
    assert said == "set down-after-milliseconds 5000 to 7000"


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param({"writePolicy": "consistency"}, id="policy"),
        pytest.param({"netmode": "NodePort", "vip": "172.17.0.9", "sentinel": {"external": True}}, id="address"),
    ],
)
def test_so_does_every_other_setting(policy: dict[str, object]) -> None:
    steps = [step for step in edited(standby, **policy) if isinstance(step, SetConfig)]

    assert steps
    assert all(f" from {step.before} to {step.value}" in str(step) for step in steps)
    assert all(step.before != step.value for step in steps if not step.parameter.startswith("replica-announce"))


@pytest.mark.parametrize(
    ("before", "said"), [(None, "to 2"), ("", 'from "" to 2'), (0, "from 0 to 2"), (1, "from 1 to 2")]
)
def test_what_nobody_said_is_not_said_to_be_nothing(before: int | str | None, said: str) -> None:
    assert from_to(before, 2) == said
