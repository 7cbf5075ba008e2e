"""Who counts for a majority: primaries that own slots, as the engine counts them, the dead one among them."""

from __future__ import annotations

import pytest

from tdredis.planning.snapshot import Trouble
from tdredis.planning.steps import FailOverShard, HandOver, Meet, ReplacePod, TakeOverShard
from tdredis.redis.slots import NO_SLOTS, SlotSet
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby


def primaries(world: SimulatedCluster) -> list[str]:
    return sorted(name for name, pod in world.pods.items() if pod.process is not None and pod.process.slots)


def give_all_slots(world: SimulatedCluster, giver: str, taker: str) -> None:
    one, two = world.pods[giver].process, world.pods[taker].process
    assert one is not None
    assert two is not None
    two.slots, one.slots = SlotSet(one.slots.bits | two.slots.bits), NO_SLOTS


def taken_over(world: SimulatedCluster) -> list[tuple[type, str]]:
    made = plan(world.snapshot())
    return [(type(step), step.shard) for step in made.steps if isinstance(step, FailOverShard | TakeOverShard)]


def test_a_shard_without_slots_is_no_voter() -> None:
    """Two of three owners live, which is a majority, however many shards there are: the engine's vote is won."""
    world = SimulatedCluster(size=4)
    world.converge()
    names = primaries(world)
    give_all_slots(world, names[3], names[0])
    world.run_pass()

    world.lose(names[1])

    assert taken_over(world) == [(FailOverShard, "redis-cluster-rat-1")]


def test_shards_without_slots_make_no_majority_of_what_is_none() -> None:
    """Four of six shards answer, and three of the four owners are dead: the one that is left wins no vote."""
    world = SimulatedCluster(size=6)
    world.converge()
    names = primaries(world)
    give_all_slots(world, names[4], names[0])
    give_all_slots(world, names[5], names[0])
    world.run_pass()
    for name in names[1:4]:
        world.lose(name)

    assert taken_over(world) == [(TakeOverShard, f"redis-cluster-rat-{number}") for number in (1, 2, 3)]


def test_an_owner_beyond_the_shards_counts() -> None:
    """Two own slots in one shard: of four owners two are no majority, though there are three shards."""
    world = SimulatedCluster(replicas=2)
    world.converge()
    names = primaries(world)
    second = world.pods["redis-cluster-rat-0-1"].process
    first = world.pods[names[0]].process
    assert second is not None
    assert first is not None
    half = SlotSet.of([next(iter(first.slots.ranges()))])
    upper = SlotSet(half.bits & ~((1 << 2000) - 1))
    second.slots, second.primary = upper, None
    first.slots = first.slots - upper
    world.run_pass()
    for name in names[1:]:
        world.lose(name)

    assert {kind for kind, _ in taken_over(world)} == {TakeOverShard}


def test_a_vote_of_all_owners_but_the_dead_one_is_asked_for_at_every_size() -> None:
    for size in (3, 4, 5, 7):
        world = SimulatedCluster(size=size)
        world.converge()
        world.lose(primaries(world)[1])

        assert taken_over(world) == [(FailOverShard, "redis-cluster-rat-1")]


# ---- whose trouble counts


def restarting(trouble: Trouble | None, main_trouble: Trouble | None) -> SimulatedCluster:
    """Two of three primaries' containers are started anew beside their data."""
    world = SimulatedCluster()
    world.converge()
    for name in primaries(world)[:2]:
        world.pods[name].stopped = True
        world.pods[name].trouble = trouble
        world.pods[name].main_trouble = main_trouble
    return world


PULL = Trouble(reason="ImagePullBackOff", message="container exporter: back-off pulling image")
CRASH = Trouble(reason="CrashLoopBackOff", message="container redis: back-off restarting failed container")


def test_an_exporter_that_cannot_be_pulled_is_no_sign_that_redis_does_not_come_back() -> None:
    world = restarting(PULL, None)

    assert taken_over(world) == []
    assert "primary_is_not_restarting" in {hold.guard for hold in plan(world.snapshot()).holds}


def test_a_redis_that_cannot_run_does_not_come_back() -> None:
    assert [kind for kind, _ in taken_over(restarting(CRASH, CRASH))] == [TakeOverShard, TakeOverShard]


@pytest.mark.parametrize(("main_trouble", "replaced"), [(None, False), (CRASH, True)])
def test_a_pod_whose_redis_comes_back_by_itself_is_not_replaced_for_its_exporter(
    main_trouble: Trouble | None, replaced: bool
) -> None:
    world = SimulatedCluster(storageclass="fast")
    world.converge()
    world.resource["spec"] = {**world.resource["spec"], "monitorimage": "exporter:fixed"}  # type: ignore[dict-item]
    world.run_pass()
    pod = world.pods["redis-cluster-rat-0-1"]
    pod.stopped, pod.trouble, pod.main_trouble = True, PULL, main_trouble

    made = plan(world.snapshot())

    assert bool([step for step in made.steps if isinstance(step, ReplacePod)]) is replaced


@pytest.mark.parametrize(("main_trouble", "replaced"), [(None, False), (CRASH, True)])
def test_nor_a_standby_s(main_trouble: Trouble | None, replaced: bool) -> None:
    world = SimulatedStandby(storageclass="fast")
    world.converge()
    world.resource["spec"] = {**world.resource["spec"], "monitorimage": "exporter:fixed"}  # type: ignore[dict-item]
    world.run_pass()
    pod = world.pods["redis-standby-tom-1"]
    pod.stopped, pod.trouble, pod.main_trouble = True, PULL, main_trouble

    made = plan(world.snapshot())

    assert bool([step for step in made.steps if isinstance(step, ReplacePod)]) is replaced


# ---- who is known as a replica


def take_for_primary(world: SimulatedCluster, pod: str, *, voters: int) -> None:
    """So many of the primaries have not heard yet that *pod* is a replica."""
    process = world.pods[pod].process
    assert process is not None
    for name in primaries(world)[:voters]:
        voter = world.pods[name].process
        assert voter is not None
        voter.takes_for_primaries.add(process.id)


def hear_of_everybody(world: SimulatedCluster) -> None:
    for node in world.nodes():
        node.takes_for_primaries.clear()


@pytest.mark.parametrize("unaware", [1, 2, 3])
def test_a_vote_is_asked_for_when_most_primaries_have_heard_that_the_candidate_is_a_replica(unaware: int) -> None:
    """A primary refuses its vote to a node that it takes for a primary; and who lost an election begins the next after
    twenty seconds. It hears it with the next ping.
    """
    world = SimulatedCluster()
    world.converge()
    take_for_primary(world, "redis-cluster-rat-2-1", voters=unaware)
    world.lose("redis-cluster-rat-2-0")  # of three owners, two can vote

    assert not taken_over(world)
    assert [hold.guard for hold in plan(world.snapshot()).holds][:1] == ["voters_know_the_candidate"]
    hear_of_everybody(world)

    assert taken_over(world) == [(FailOverShard, "redis-cluster-rat-2")]


def test_a_replica_tells_primaries_that_have_not_heard_of_it() -> None:
    """Else they would for seconds not vote for it, should its primary die."""
    world = SimulatedCluster()
    world.converge()
    take_for_primary(world, "redis-cluster-rat-2-1", voters=2)

    (step,) = (step for step in plan(world.snapshot()).steps if isinstance(step, Meet))
    assert (step.process.pod, [peer.pod for peer in step.peers]) == ("redis-cluster-rat-2-1", primaries(world)[:2])
    world.run_pass()
    world.lose("redis-cluster-rat-2-0")

    assert taken_over(world) == [(FailOverShard, "redis-cluster-rat-2")]


def test_a_replica_is_introduced_to_voters_too_when_its_primary_is_dead_already() -> None:
    world = SimulatedCluster()
    world.converge()
    take_for_primary(world, "redis-cluster-rat-2-1", voters=2)
    world.lose("redis-cluster-rat-2-0")

    assert not taken_over(world)
    world.run_pass()  # the new process in the lost one's place is introduced
    world.run_pass()

    assert taken_over(world) == [(FailOverShard, "redis-cluster-rat-2")]


def test_who_has_forgotten_the_primary_is_not_told_again_and_again() -> None:
    """It cannot write down that somebody replicates whom it does not know."""
    world = SimulatedCluster()
    world.converge()
    take_for_primary(world, "redis-cluster-rat-2-1", voters=2)
    process = world.pods["redis-cluster-rat-2-0"].process
    assert process is not None
    world.lose("redis-cluster-rat-2-0")
    for node in world.nodes():
        node.known.pop(process.id, None)
    world.run_pass()

    assert [step for step in plan(world.snapshot()).steps if isinstance(step, Meet)] == []


def handed_over(world: SimulatedCluster) -> list[str]:
    return [step.shard for step in plan(world.snapshot()).steps if isinstance(step, HandOver)]


@pytest.mark.parametrize(("unaware", "elected"), [(1, True), (2, False), (3, False)])
def test_a_primary_that_goes_hands_over_when_most_primaries_would_vote(unaware: int, elected: bool) -> None:
    """It is alive, and its clients wait for the election: three owners, and two votes are enough."""
    world = SimulatedCluster()
    world.converge()
    take_for_primary(world, "redis-cluster-rat-2-1", voters=unaware)
    world.pods["redis-cluster-rat-2-0"].deleting = True

    assert bool(handed_over(world)) is elected
    hear_of_everybody(world)

    assert handed_over(world) == ["redis-cluster-rat-2"]
