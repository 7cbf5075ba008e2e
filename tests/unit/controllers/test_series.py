"""Claims about what the metrics page says of resources: what their status says, and nothing of one that is gone."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tdredis.api.instance import InstanceStatus
from tdredis.controllers.series import AT_ONCE, FAMILIES, Series
from tdredis.planning.decide import Judged, assess, plan, report
from tdredis.planning.measures import measure
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Key
from tests.kit.waiting import eventually
from tests.unit.controllers.world import Refusing, World
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

Simulated = SimulatedCluster | SimulatedStandby
CLUSTER, STANDBY = Key("RedisCluster", "redis", "redis-cluster-rat"), Key("RedisStandby", "redis", "redis-standby-tom")


def judged(simulated: Simulated) -> tuple[Judged, Plan, InstanceStatus]:
    assessment = assess(simulated.snapshot())
    made = plan(assessment)
    return assessment, made, report(assessment, made)


def whole(simulated: Simulated) -> Simulated:
    simulated.converge()
    return simulated


def read(series: Series, key: Key, name: str) -> dict[tuple[str, ...], float]:
    """The values of *name* for *key*, by the labels beside those of the resource."""
    page = b"".join(series.parts()).decode()
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = dict(sample.labels)
            if sample.name == name and Key(labels.pop("kind"), labels.pop("namespace"), labels.pop("name")) == key:
                found[tuple(labels.values())] = sample.value
    return found


def value(series: Series, key: Key, name: str) -> float:
    return read(series, key, name)[()]


@pytest.mark.parametrize(("key", "simulated"), [(CLUSTER, SimulatedCluster()), (STANDBY, SimulatedStandby())])
def test_a_healthy_resource_is_told_as_its_status_is(key: Key, simulated: Simulated) -> None:
    series = Series()
    found = judged(whole(simulated))
    series.judged(key, *found)
    series.passed(key, "ok")

    status = found[2]
    conditions = {(each.type,): float(each.status == "True") for each in status.conditions}
    assert conditions[("Ready",)] == 1.0
    assert read(series, key, "tdredis_resource_condition") == conditions
    assert value(series, key, "tdredis_resource_shards") == len(status.shards)
    assert value(series, key, "tdredis_resource_shards_without_primary") == 0
    replicas = sum(shard.replicas_ready for shard in status.shards)
    assert value(series, key, "tdredis_resource_replicas_in_sync") == replicas > 0
    assert value(series, key, "tdredis_resource_replicas_wanted") == replicas
    assert value(series, key, "tdredis_resource_silent_processes") == 0
    assert value(series, key, "tdredis_resource_last_pass_failed") == 0
    assert abs(value(series, key, "tdredis_resource_last_pass_timestamp_seconds") - time.time()) < 60
    assert read(series, key, "tdredis_resource_finding") == {}
    uncovered = read(series, key, "tdredis_resource_slots_uncovered")
    assert uncovered == ({(): 0.0} if key.kind == "RedisCluster" else {})


def test_a_process_that_is_silent_and_what_is_held_for_it_are_told() -> None:
    simulated = SimulatedStandby()
    simulated.converge()
    next(iter(simulated.redis().values())).silent = True
    series = Series()
    assessment, made, status = judged(simulated)
    series.judged(STANDBY, assessment, made, status)

    reasons = {finding.reason for finding in assessment.findings}
    assert "NoAnswer" in reasons
    assert {reason for (reason,) in read(series, STANDBY, "tdredis_resource_finding")} == reasons
    assert value(series, STANDBY, "tdredis_resource_silent_processes") == 1
    held = {(hold.guard, hold.about) for hold in made.holds}
    assert held
    assert set(read(series, STANDBY, "tdredis_resource_hold")) == held


def test_changes_are_told_by_what_becomes_of_them() -> None:
    simulated = SimulatedCluster()
    simulated.converge()
    spec: Any = simulated.resource["spec"]
    spec["image"] = "redis:7.2"
    series = Series()
    assessment, made, status = judged(simulated)
    series.judged(CLUSTER, assessment, made, status)

    told = read(series, CLUSTER, "tdredis_resource_pending_changes")
    assert told[("under_way",)] == len(assessment.pending) > 0
    assert set(told) == {("under_way",), ("waits",), ("cannot",)}


@pytest.mark.looptime
@pytest.mark.parametrize("outcome", ["ok", "failed"])
async def test_what_is_deleted_goes_from_the_page(outcome: str) -> None:
    simulated = SimulatedStandby()
    simulated.converge()
    world = World(simulated, "RedisStandby", "redis-standby-tom")
    series = Series(clock=world.now)
    world.loop._on_judged, world.loop._on_pass = series.judged, lambda key, _s, outcome: series.passed(key, outcome)
    world.loop._on_seen = lambda key, snapshot: series.forget(key) if snapshot is None else None
    if outcome == "failed":
        world.api.refuses = Refusing(500)
        world.edit(paused=True)
    async with world.running():

        async def is_told() -> bool:
            return read(series, STANDBY, "tdredis_resource_last_pass_failed") == {(): float(outcome == "failed")}

        async def is_not_told() -> bool:
            return not series.records

        world.queue.add(world.key)
        await eventually(is_told, "a pass ended", deadline_s=60)

        world.observer.is_gone = True
        world.queue.add(world.key)

        await eventually(is_not_told, "nothing is told of it", deadline_s=60)
    assert b"redis-standby-tom" not in b"".join(series.parts())


def test_a_pass_that_ends_with_the_lead_does_not_bring_back_what_was_cleared() -> None:
    series = Series()
    series.judged(STANDBY, *judged(whole(SimulatedStandby())))
    series.clear()
    series.passed(STANDBY, "lead lost")
    series.passed(STANDBY, "gone")
    series.lost(STANDBY, "redis-standby-tom-0")

    assert series.records == {}


def test_what_could_not_be_read_is_told_though_nothing_is_known_of_it() -> None:
    series = Series()
    series.passed(STANDBY, "unreadable")

    assert value(series, STANDBY, "tdredis_resource_last_pass_failed") == 1
    assert read(series, STANDBY, "tdredis_resource_condition") == {}


def test_a_family_is_one_block_however_many_resources_there_are() -> None:
    series = Series()
    found = judged(whole(SimulatedStandby()))
    keys = [Key("RedisStandby", "redis", f"redis-standby-{number}") for number in range(AT_ONCE + 1)]
    for key in keys:
        series.judged(key, *found)

    page = b"".join(series.parts()).decode()
    heads = [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")]
    assert heads == [family.series for family in FAMILIES]
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert len(families["tdredis_resource_shards"].samples) == len(keys)


def test_an_engine_may_call_itself_anything() -> None:
    assessment, made, status = judged(whole(SimulatedStandby()))
    series = Series()
    series.judged(STANDBY, assessment, made, status)
    name = 'a "quoted" \\ name\nof two lines, and far longer than any name of an engine has a right to be'
    record = series.records[STANDBY]
    record.measures = msgspec.structs.replace(measure(assessment, made, status), engine=name)

    assert [labels[1] for labels in read(series, STANDBY, "tdredis_resource_info")] == [name[:64]]
