"""Pods that run beside a failing exporter are recreated when spec is corrected, and every shard keeps its copies."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tdredis.planning.plan import Ruling
from tdredis.planning.rolling import Copy, Shard, Terms
from tdredis.planning.snapshot import PodFacts, Trouble
from tdredis.planning.steps import HandOver, ReplacePod
from tdredis.planning.stuck_pods import StuckPod, replace_next
from tests.unit.planning.passes import edit
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_kubernetes import FAILED_CREATE
from tests.unit.planning.simulated_standby import SimulatedStandby
from tests.unit.planning.test_rolls import KINDS, World, copies, healthy, of_redis, roles

FAILS = Trouble(reason="CrashLoopBackOff", message="the exporter fails")


def with_bad_exporters(make: Callable[..., World], **spec: object) -> World:
    world = healthy(make, **spec)
    for name in of_redis(world):
        world.pods[name].trouble = FAILS
    return world


def lacking(world: World) -> int:
    """Shards with fewer copies than spec asks for."""
    spec = world.snapshot().resource.spec
    return sum(found < 1 + spec.replicas for found in copies(world).values())  # type: ignore[union-attr]


@pytest.mark.parametrize("volume", ["", "fast"], ids=["emptyDir", "volume"])
def test_without_replicas_each_keeps_its_data_and_no_two_shards_are_without_a_primary(volume: str) -> None:
    """On a volume it finds them again; else another pod has a copy meanwhile."""
    world = with_bad_exporters(SimulatedCluster, replicas=0, storageclass=volume)
    shards = set(copies(world))
    edit(world, monitorimage="exporter:2")

    for _ in range(150):
        made, done = world.run_pass()
        assert len(roles(world)) >= len(shards) - 1
        if not volume:
            assert min(copies(world).values()) >= 1
        if not done and made.verdict == "healthy":
            break

    assert made.verdict == "healthy", (made.holds, made.steps)
    assert all(pod.trouble is None for pod in world.pods.values())
    assert copies(world) == dict.fromkeys(shards, 1)
    assert of_redis(world) == {f"{shard}-0" for shard in shards}


def test_without_replicas_and_without_room_for_another_pod_it_says_why_nothing_goes() -> None:
    world = with_bad_exporters(SimulatedCluster, replicas=0)
    world.unschedulable |= {f"{shard}-1" for shard in copies(world)}
    before = {name: world.pods[name].uid for name in of_redis(world)}
    edit(world, monitorimage="exporter:2")

    for _ in range(12):
        made, _ = world.run_pass()

    assert before == {name: world.pods[name].uid for name in before}
    assert "copies_stay" in {hold.guard for hold in made.holds if "Unschedulable" in hold.why}


def test_a_primary_whose_only_replica_does_not_come_is_not_recreated() -> None:
    world = with_bad_exporters(SimulatedCluster, replicas=1, storageclass="fast")
    shard = "redis-cluster-rat-0"
    world.unschedulable.add(f"{shard}-1")
    world.lose(f"{shard}-1", keeps_data=True)
    before = world.pods[f"{shard}-0"].uid
    edit(world, monitorimage="exporter:2")

    for _ in range(12):
        world.run_pass()

    assert world.pods[f"{shard}-0"].uid == before


@KINDS
@pytest.mark.parametrize("replicas", [1, 2])
def test_two_copies_stay_of_each_shard_and_one_shard_at_a_time_has_fewer_than_it_should(
    make: Callable[..., World], replicas: int
) -> None:
    world = with_bad_exporters(make, replicas=replicas)
    edit(world, monitorimage="exporter:2")

    for _ in range(150):
        made, done = world.run_pass()
        assert min(copies(world).values()) >= 2
        assert lacking(world) <= 1
        if not done and made.verdict == "healthy":
            break

    assert made.verdict == "healthy", (made.holds, made.steps)
    assert all(pod.trouble is None for pod in world.pods.values())
    assert len(of_redis(world)) == (1 + replicas) * len(copies(world)), "no pod is left beyond those"


@pytest.mark.parametrize(("surge", "goes"), [("always", False), ("whenPossible", True)])
def test_without_room_for_one_more_pod_it_waits_or_goes_as_spec_says(surge: str, goes: bool) -> None:
    world = with_bad_exporters(SimulatedStandby, replicas=1, rollout={"surge": surge})
    world.unschedulable.add("redis-standby-tom-2")
    before = world.pods["redis-standby-tom-1"].uid
    edit(world, monitorimage="exporter:2")

    for _ in range(12):
        world.run_pass()

    assert (world.pods["redis-standby-tom-1"].uid != before) is goes


def test_a_replica_without_a_whole_copy_waits_for_nobody() -> None:
    def stuck(name: str) -> StuckPod:
        return StuckPod(pod=PodFacts(name=name, uid=f"uid-{name}", created=0.0), trouble=FAILS)

    copies = (
        Copy(name="s-0", is_primary=True),
        Copy(name="s-1", is_outdated=True, behind_bytes=0),
        Copy(name="s-2", is_outdated=True),
    )
    shard = Shard(name="s", copies=copies, wanted=3, keeps_data=False)

    ruling = replace_next(shard, [stuck("s-1"), stuck("s-2")], Terms(), lambda _step: Ruling())

    assert [step.pod for step in ruling.steps if isinstance(step, ReplacePod)] == ["s-2"]


def begun(world: World) -> set[str]:
    """Shards that have a pod beyond the one of spec."""
    return {shard for shard in copies(world) if f"{shard}-1" in world.pods}


def test_a_shard_whose_other_pod_a_quota_refuses_keeps_no_other_waiting() -> None:
    world = with_bad_exporters(SimulatedCluster, replicas=0)
    first, *others = sorted(copies(world))
    world.breaks[first] = Trouble(reason=FAILED_CREATE, message="exceeded quota")
    edit(world, monitorimage="exporter:2")

    for _ in range(100):
        made, _ = world.run_pass()
        assert len(begun(world)) <= len(others)
        assert min(copies(world).values()) >= 1

    assert "copies_stay" in {hold.guard for hold in made.holds if "exceeded quota" in hold.why}
    assert {pod.rpartition("-")[0] for pod, each in world.pods.items() if each.trouble} == {first}

    world.breaks.clear()
    for _ in range(60):
        made, done = world.run_pass()
        assert min(copies(world).values()) >= 1
        if not done and made.verdict == "healthy":
            break
    assert made.verdict == "healthy", (made.holds, made.steps)


def test_when_a_quota_that_refused_all_is_lifted_one_shard_at_a_time_goes_on() -> None:
    world = with_bad_exporters(SimulatedCluster, replicas=0)
    shards = sorted(copies(world))
    for shard in shards:
        world.breaks[shard] = Trouble(reason=FAILED_CREATE, message="exceeded quota")
    edit(world, monitorimage="exporter:2")
    for _ in range(12):
        world.run_pass()
    world.breaks.clear()

    for _ in range(100):
        made, done = world.run_pass()
        gone = {step.pod for step in made.steps if isinstance(step, ReplacePod)}
        over = {step.shard for step in made.steps if isinstance(step, HandOver)}
        assert len(gone) + len(over) <= 1
        assert min(copies(world).values()) >= 1
        if not done and made.verdict == "healthy":
            break

    assert made.verdict == "healthy", (made.holds, made.steps)
    assert of_redis(world) == {f"{shard}-0" for shard in shards}


def test_while_a_later_shard_is_under_way_no_earlier_one_begins() -> None:
    world = healthy(SimulatedCluster, replicas=0)
    last = max(copies(world))
    world.pods[f"{last}-0"].trouble = FAILS
    world.unschedulable.add(f"{last}-1")
    edit(world, monitorimage="exporter:2")
    for _ in range(8):
        world.run_pass()
    assert begun(world) == {last}

    for name in of_redis(world) - {f"{last}-1"}:
        world.pods[name].trouble = FAILS
    for _ in range(12):
        world.run_pass()

    assert begun(world) == {last}
