"""A resource whose objects would have another resource's names waits, and the other goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tdredis.planning.plan import Verdict
from tdredis.planning.snapshot import Collision, Key, Ref
from tests.unit.planning.passes import plan, report
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

TAKEN = (Collision(ref=Ref("Service", "sentinel-standby-tom"), owner=Key("RedisStandby", "redis", "first")),)
KINDS = pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])


@KINDS
def test_nothing_is_made_of_one_that_came_second_and_the_name_is_said(
    make: type[SimulatedCluster] | type[SimulatedStandby],
) -> None:
    seen = replace(make().snapshot(), collisions=TAKEN)

    made = plan(seen)

    assert (made.steps, made.verdict) == ((), Verdict.FORMING)
    accepted = next(each for each in report(seen, made).conditions if each.type == "Accepted")
    assert (accepted.status, accepted.reason) == ("False", "names_are_free")
    assert "Service sentinel-standby-tom" in accepted.message
    assert "redisstandby/first" in accepted.message


@KINDS
def test_one_that_was_ready_is_healed_all_the_same(make: type[SimulatedCluster] | type[SimulatedStandby]) -> None:
    world = make()
    world.converge()
    world.lose(next(name for name in sorted(world.pods) if name.endswith("-1") and "sentinel" not in name))
    seen = replace(world.snapshot(), collisions=TAKEN)

    made = plan(seen)

    assert made.steps
    assert "names_are_free" in {hold.guard for hold in made.holds}


def test_sentinels_stay_those_of_the_app_that_they_were_made_for() -> None:
    """A server without rules of the definition lets app be edited."""
    world = SimulatedStandby()
    world.converge()
    world.resource["spec"] = {**world.resource["spec"], "app": "another"}  # type: ignore[dict-item]

    plans = [world.run_pass()[0] for _ in range(5)]

    assert Ref("StatefulSet", "sentinel-another") not in world.children
    assert "app_is_unchanged" in {hold.guard for each in plans for hold in each.holds}
    assert world.instance.status.phase == "Ready"
