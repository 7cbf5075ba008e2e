"""An instance whose record says that it had data is never begun anew by anybody's emptiness."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tdredis.planning.loss import about
from tdredis.planning.news import notices, transitions
from tdredis.planning.steps import AssignSlots, FailOverShard, Promote, TakeOverShard
from tdredis.redis.facts import NodeFacts
from tdredis.redis.slots import SlotRange, SlotSet
from tests.unit.planning.passes import plan, report
from tests.unit.planning.simulated_cluster import Node, SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

NAME = "redis-standby-tom"
FIRST, SECOND = f"{NAME}-0", f"{NAME}-1"
FAST: dict[str, Any] = {"storageclass": "fast"}
BEGIN_ANEW = "cache.tongdun.net/begin-anew"
BROKEN = "lost-data: the engine cannot load the data; it is kept in /data/unusable-1"


def with_data(kind: str = "RedisStandby", *, keys: int = 300, **spec: object) -> SimulatedStandby:
    world = SimulatedStandby(kind, **spec)
    world.converge()
    world.write(keys)
    world.run_pass()
    return world


def annotate(world: SimulatedStandby | SimulatedCluster, value: str | None) -> None:
    metadata: Any = world.resource["metadata"]
    metadata["annotations"] = {} if value is None else {BEGIN_ANEW: value}


def condition(world: SimulatedStandby | SimulatedCluster, kind: str) -> tuple[str, str, str]:
    status: Any = world.resource["status"]
    (found,) = [each for each in status["conditions"] if each["type"] == kind]
    return found["status"], found["reason"], found["message"]


def passes(world: SimulatedStandby | SimulatedCluster, number: int = 12) -> None:
    for _ in range(number):
        world.run_pass()


def lose_all(world: SimulatedStandby) -> None:
    for pod in list(world.redis()):
        world.lose(pod)


@pytest.mark.parametrize("kind", ["RedisStandby", "RedisStandalone"])
def test_empty_volumes_beside_a_record_of_data_begin_nothing_anew(kind: str) -> None:
    world = with_data(kind, **FAST)
    lose_all(world)

    passes(world)

    assert world.primaries() == []
    status, reason, message = condition(world, "Ready")
    assert (status, reason) == ("False", "DataLost")
    assert f"{NAME} had about 300 keys, and no process has any of it" in message
    assert f"kubectl annotate {kind.lower()} {NAME} -n redis {BEGIN_ANEW}=1 --overwrite" in message
    assert [hold.guard for hold in plan(world.snapshot()).holds] == ["data_is_not_lost"]


@pytest.mark.parametrize("kind", ["RedisStandby", "RedisStandalone"])
def test_who_gives_the_data_up_says_so_once_for_one_loss(kind: str) -> None:
    world = with_data(kind, **FAST)
    lose_all(world)
    passes(world)

    annotate(world, "1")
    world.converge()

    assert len(world.primaries()) == 1
    world.write(300)
    world.run_pass()
    lose_all(world)
    passes(world)
    assert world.primaries() == []
    assert "remove the annotation, and then kubectl annotate" in condition(world, "Ready")[2]
    annotate(world, None)
    world.run_pass()
    annotate(world, "1")
    world.converge()
    assert len(world.primaries()) == 1


@pytest.mark.parametrize("value", ["0", "2", "true", ""])
def test_a_word_for_another_generation_gives_nothing_up(value: str) -> None:
    world = with_data(**FAST)
    lose_all(world)
    annotate(world, value)

    passes(world)

    assert world.primaries() == []


def test_a_word_that_was_given_while_all_was_well_gives_nothing_up() -> None:
    world = with_data(**FAST)
    annotate(world, "1")
    world.run_pass()
    lose_all(world)

    passes(world)

    assert world.primaries() == []


def test_the_data_that_comes_back_ends_the_wait() -> None:
    world = with_data(**FAST)
    lose_all(world)
    passes(world)

    world.redis()[SECOND].keys = 300
    world.converge()

    assert world.primaries() == [SECOND]


def test_all_pods_lost_together_with_their_empty_dirs_begin_anew_and_it_is_told() -> None:
    world = with_data()
    before = world.instance.status
    lose_all(world)

    world.converge()

    assert len(world.primaries()) == 1
    assert [told.reason for told in transitions(before, world.instance.status)] == ["Emptied"]
    assert "had about 300" in transitions(before, world.instance.status)[0].message


@pytest.mark.parametrize(
    ("spec", "edit", "lost"), [(FAST, "", True), ({}, "fast", False)], ids=["volumes", "emptyDirs"]
)
def test_what_was_on_volumes_is_not_given_up_because_somebody_edited_storageclass(
    spec: dict[str, Any], edit: str, lost: bool
) -> None:
    world = with_data(**spec)
    world.resource["spec"] = {**cast("dict[str, Any]", world.resource["spec"]), "storageclass": edit}
    world.run_pass()
    lose_all(world)

    passes(world)

    assert (world.primaries() == []) is lost


def test_a_shard_s_volumes_are_not_given_up_because_somebody_edited_storageclass() -> None:
    world = cluster(**FAST)
    world.resource["spec"] = {**cast("dict[str, Any]", world.resource["spec"]), "storageclass": ""}
    world.run_pass()
    for pod in shard(world, 0):
        world.lose(pod)

    passes(world)

    assert condition(world, "Ready")[1] == "DataLost"


def test_a_pod_that_should_have_had_a_copy_does_not_begin_anew_when_the_only_copy_is_lost() -> None:
    """Its engine could not copy the data (an older version, say), and then the pod that had it went."""
    world = with_data()
    lose_all(world)
    world.pods[SECOND].age_s = 60

    passes(world)

    assert world.primaries() == []
    assert condition(world, "Ready")[1] == "DataLost"


@pytest.mark.parametrize("spec", [{}, FAST])
def test_files_that_all_copies_found_broken_are_named(spec: dict[str, Any]) -> None:
    world = with_data(**spec)
    for pod, redis in world.redis().items():
        world.restart(pod)
        redis.keys, redis.lost = 0, BROKEN

    passes(world)

    assert world.primaries() == []
    message = condition(world, "Ready")[2]
    assert f"{FIRST}: {BROKEN}; {SECOND}: {BROKEN}" in message


def test_a_start_script_s_word_is_believed_without_any_record() -> None:
    """The resource was made again from a backup of its YAML, without status."""
    world = with_data()
    world.resource["status"] = {}
    for pod, redis in world.redis().items():
        world.restart(pod)
        redis.keys, redis.lost = 0, BROKEN
    for sentinel in world.sentinels().values():
        sentinel.watched.clear()

    passes(world)

    assert world.primaries() == []
    assert condition(world, "Ready")[1] == "DataLost"


def test_a_broken_copy_beside_a_whole_primary_is_copied_anew_and_told() -> None:
    world = with_data()
    world.restart(SECOND)
    world.redis()[SECOND].keys, world.redis()[SECOND].lost = 0, BROKEN
    told = list(notices(world.snapshot().nodes))

    world.converge()

    assert world.redis()[SECOND].keys == 300
    assert [(each.reason, each.message) for each in told] == [
        ("DataUnusable", f"pod {SECOND}: {BROKEN.removeprefix('lost-data: ')}")
    ]


@pytest.mark.parametrize("spec", [{}, FAST])
def test_an_instance_that_never_had_a_key_has_nothing_to_lose(spec: dict[str, Any]) -> None:
    world = SimulatedStandby(**spec)
    world.converge()
    lose_all(world)

    world.converge()

    assert len(world.primaries()) == 1


def test_a_record_of_an_older_version_is_taken_for_one_of_data() -> None:
    world = with_data(**FAST)
    status: Any = world.resource["status"]
    del status["shards"][0]["keys"]
    lose_all(world)

    passes(world)

    assert world.primaries() == []
    assert "had data, and no process" in condition(world, "Ready")[2]


def test_a_new_standalone_on_a_volume_is_promoted_by_its_first_pass() -> None:
    world = SimulatedStandby("RedisStandalone", **FAST)

    world.converge()

    assert world.primaries() == [f"{NAME}-0"]


@pytest.mark.parametrize(
    ("former", "keys", "expected"),
    [
        (None, 0, 0),
        (None, 7, 7),
        (None, 98_765, 90_000),
        (300, 0, 0),
        (300, 1200, 300),
        (300, 1201, 1000),
        (300, 75, 300),
        (300, 74, 70),
        (0, 5, 5),
    ],
)
def test_the_record_follows_roughly(former: int | None, keys: int, expected: int) -> None:
    assert about(former, keys) == expected


# ---- clusters


def cluster(*, keys: int = 300, **spec: object) -> SimulatedCluster:
    world = SimulatedCluster(**spec)
    world.converge()
    for node in world.nodes():
        node.keys = keys
    world.run_pass()
    return world


def shard(world: SimulatedCluster, number: int) -> list[str]:
    return [pod for pod in sorted(world.pods) if pod.rpartition("-")[0].endswith(f"-{number}")]


def test_a_shard_whose_volumes_came_back_empty_does_not_begin_anew() -> None:
    world = cluster(**FAST)
    for pod in shard(world, 0):
        world.lose(pod)

    passes(world)

    assert len(world.snapshot().nodes) == 6
    assert "0 of 16384" not in condition(world, "Ready")[2]
    assert condition(world, "Ready")[1] == "DataLost"
    assert not [step for step in plan(world.snapshot()).steps if isinstance(step, AssignSlots)]
    annotate(world, "1")
    world.converge()
    assert sum(len(node.slots) for node in world.nodes()) == 16384


def test_an_empty_copy_of_who_began_anew_at_the_primary_s_address_takes_nothing_over() -> None:
    """All copies are broken; a replica follows its primary's address, and is in sync with the new node there."""
    world = SimulatedCluster()
    world.converge()
    for pod in world.pods.values():
        if pod.process is not None:
            pod.process.keys = 300
    world.run_pass()
    owners = [pod.name for pod in world.pods.values() if pod.process is not None and pod.process.slots]
    for number, name in enumerate(owners):
        old = world.pods[name].process
        assert old is not None
        copies = [pod.process for pod in world.pods.values() if pod.process and pod.process.primary == old.id]
        world.pods[name].process = Node(
            id=f"{number}" * 40, ip=old.ip, maxmemory=old.maxmemory, lost=BROKEN, history=f"history {number}"
        )
        assert copies
        for copy in copies:
            copy.keys, copy.lost, copy.history = 0, BROKEN, f"history {number}"

    steps = [step for _ in range(12) for step in world.run_pass()[0].steps]

    assert not [step for step in steps if isinstance(step, (TakeOverShard, FailOverShard, AssignSlots))]
    status, reason, message = condition(world, "Ready")
    assert (status, reason) == ("False", "DataLost")
    assert "had about 300 keys" in message
    assert not any(pod.process.slots for pod in world.pods.values() if pod.process is not None)


def test_a_cluster_that_lost_everything_with_its_empty_dirs_is_rebuilt() -> None:
    world = cluster()
    before = world.cluster.status
    for pod in list(world.pods):
        world.lose(pod)

    world.converge()

    assert world.cluster.status.slots == before.slots
    assert {told.reason for told in transitions(before, world.cluster.status)} == {"Emptied"}


def test_of_a_shard_s_nodes_the_one_with_keys_gets_the_slots() -> None:
    world = cluster(**FAST)
    first, second = shard(world, 0)
    world.lose(first)
    world.lose(second)
    node = world.pods[second].process
    assert node is not None
    node.keys = 300

    passes(world)

    assert node.slots


def test_what_two_owners_in_one_statefulset_have_is_recorded_of_both() -> None:
    world = cluster()
    before = world.cluster.status.slots
    first, second = (world.pods[pod].process for pod in shard(world, 0))
    assert first is not None
    assert second is not None
    owner, other = (first, second) if first.slots else (second, first)
    rest = SlotSet.of([SlotRange(0, 999)])
    owner.slots, other.slots, other.primary = owner.slots - rest, rest, None
    snapshot = world.snapshot()

    status: Any = report(snapshot, plan(snapshot))

    assert status.slots == before


def test_facts_say_what_a_start_script_said() -> None:
    world = cluster()
    world.nodes()[0].lost = BROKEN

    facts = [node.lost for node in world.snapshot().nodes.values() if isinstance(node, NodeFacts)]

    assert facts.count(BROKEN) == 1
    assert not [step for step in plan(world.snapshot()).steps if isinstance(step, Promote)]
