"""An image whose engine cannot read the data is held before any pod gets it, as far as its tag tells."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Snapshot
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
DIGEST = "redis@sha256:" + 64 * "0"
KINDS = pytest.mark.parametrize("kind", ["RedisCluster", "RedisStandby", "RedisStandalone"])


def build(kind: str, image: str, storage: str = "") -> World:
    spec = {"image": image, "storageclass": storage}
    return SimulatedCluster(**spec) if kind == "RedisCluster" else SimulatedStandby(kind, **spec)


def running(kind: str, image: str, storage: str = "") -> World:
    world = build(kind, image, storage)
    world.converge()
    return world


def edit(world: World, image: str) -> Plan:
    world.resource["spec"] = {**cast("dict[str, object]", world.resource["spec"]), "image": image}  # type: ignore[dict-item]
    return world.run_pass()[0]


def accepted(world: World) -> tuple[str, str, str]:
    (found,) = (each for each in world.snapshot().resource.status.conditions if each.type == "Accepted")
    return found.status, found.reason, found.message


@KINDS
@pytest.mark.parametrize(
    ("old", "new"),
    [("redis:7.0", "redis:6.2"), ("redis:8", "redis:7"), ("valkey/valkey:9.0", "valkey/valkey:8.1")],
)
def test_it_is_held_and_accepted_says_what_to_type(kind: str, old: str, new: str) -> None:
    world = running(kind, old)

    made = edit(world, new)

    assert made.steps == (), "no template has it"
    assert [hold.guard for hold in made.holds] == ["engine_reads_the_data"]
    status, reason, message = accepted(world)
    assert (status, reason) == ("False", "engine_reads_the_data")
    assert f"write image: {old} again" in message

    assert edit(world, old).holds == ()
    assert accepted(world)[0] == "True"


@KINDS
@pytest.mark.parametrize(
    "new",
    [
        "redis:7.2",
        "redis:7.0.1",
        "redis:latest",
        DIGEST,
        "mirror/kv:6.2",
    ],
)
def test_what_can_read_it_or_cannot_be_told_goes_on(kind: str, new: str) -> None:
    world = running(kind, "redis:7.0")

    made = edit(world, new)

    assert made.steps
    assert "engine_reads_the_data" not in {hold.guard for hold in made.holds}


@KINDS
def test_an_image_that_no_pod_ran_may_be_taken_back(kind: str) -> None:
    world = running(kind, "redis:7.0")
    edit(world, "redis:8.0")

    made = edit(world, "redis:7.0")

    assert "engine_reads_the_data" not in {hold.guard for hold in made.holds}


def with_pods_of(world: World, image: str, *pods: str) -> Snapshot:
    """*pods* were made from *image*."""
    snapshot = world.snapshot()
    changed = {pod: replace(snapshot.pods[pod], made_of={**snapshot.pods[pod].made_of, "image": image}) for pod in pods}
    return replace(snapshot, pods={**snapshot.pods, **changed})


@KINDS
@pytest.mark.parametrize("storage", ["", "fast"])
def test_one_that_a_primary_ran_may_not(kind: str, storage: str) -> None:
    world = running(kind, "redis:7.0", storage)

    made = plan(with_pods_of(world, "redis:8.0", min(world.snapshot().pods)))

    assert [hold.why for hold in made.holds if hold.guard == "engine_reads_the_data"] == [
        "Redis 7.0 cannot be relied on to read what Redis 8.0 has written: write image: redis:8.0 again. To go back to"
        " Redis 7.0, create another instance with it and copy the keys there"
    ]


@pytest.mark.parametrize(("storage", "held"), [("", False), ("fast", True)], ids=["emptyDir", "volume"])
@pytest.mark.parametrize("kind", ["RedisCluster", "RedisStandby"])
def test_one_that_a_replica_alone_ran_may_unless_its_files_are_on_a_volume(kind: str, storage: str, held: bool) -> None:
    world = running(kind, "redis:7.0", storage)

    made = plan(with_pods_of(world, "redis:8.0", max(world.snapshot().pods)))

    assert ("engine_reads_the_data" in {hold.guard for hold in made.holds}) is held


@KINDS
def test_what_never_had_data_begins_with_any_image(kind: str) -> None:
    world = build(kind, "redis:8.0")

    made = edit(world, "redis:6.2")

    assert "engine_reads_the_data" not in {hold.guard for hold in made.holds}
