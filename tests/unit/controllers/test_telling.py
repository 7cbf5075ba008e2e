"""What is held is seen: in the log when it changes, and in the conditions for as long as it is so."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tdredis.controllers.telling import Telling
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import Key
from tests.unit.planning.passes import plan, report
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

KEY = Key("RedisCluster", "redis", "rat")
WAITS = Hold(guard="pods_have_started", why="waiting for a-0 to start")
SILENT = Hold(guard="every_process_answers", why="a-1 is silent")


def test_the_log_has_a_line_when_the_holds_change_and_none_while_they_stay() -> None:
    telling = Telling(lambda *_, **__: None, now=lambda: 0.0)

    with capture_logs() as lines:
        for held in ((), (WAITS,), (WAITS,), (SILENT, WAITS), (SILENT,), (), ()):
            telling.holds(KEY, held)

    assert [(sorted(line["held"]), line["ended"]) for line in lines] == [
        (["pods_have_started"], []),
        (["every_process_answers", "pods_have_started"], []),
        (["every_process_answers"], ["pods_have_started"]),
        ([], ["every_process_answers"]),
    ]
    assert {line["event"] for line in lines} == {"holds changed"}


@pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])
def test_what_waits_for_the_world_is_said_by_progressing_and_what_spec_may_not_by_accepted(
    make: type[SimulatedCluster] | type[SimulatedStandby],
) -> None:
    world = make()
    world.converge()
    primary = "redis-cluster-rat-0-0" if isinstance(world, SimulatedCluster) else "redis-standby-tom-0"
    process = world.pods[primary].process
    assert process is not None
    process.silent = True
    world.resource["spec"] = {**world.resource["spec"], "podMonitor": True}  # type: ignore[dict-item]
    seen = world.snapshot()

    made = plan(seen)
    said = {each.type: each for each in report(seen, made).conditions}

    assert "primary_is_proven_dead: " in said["Progressing"].message
    assert "primary_is_proven_dead" not in said["Accepted"].message
    assert said["Accepted"].reason == "pod_monitors_are_served"
    assert "pod_monitors" not in said["Progressing"].message
