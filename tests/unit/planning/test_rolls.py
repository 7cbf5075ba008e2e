"""Pods are recreated one by one: every shard keeps its copies, and nothing else goes on meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from msgspec import structs

from tdredis.manifests.names import SURPLUS
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import Apply, FailOver, HandOver, ReplacePod, Step
from tdredis.redis.facts import NodeFacts
from tests.unit.planning.passes import edit, plan
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
Make = Callable[..., World]
KINDS = pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])


KEYS = 100
FEW = pytest.mark.parametrize(
    ("make", "replicas"),
    [(SimulatedCluster, 1), (SimulatedCluster, 0), (SimulatedStandby, 1)],
    ids=["cluster-1", "cluster-0", "standby-1"],
)


def healthy(make: Make, **spec: object) -> World:
    world = make(**spec)
    world.converge()
    for name in of_redis(world):
        process: Any = world.pods[name].process
        process.keys = KEYS
    return world


def of_redis(world: World) -> set[str]:
    return {name for name in world.pods if not name.startswith("sentinel-")}


def uids(world: World) -> dict[str, str]:
    return {name: pod.uid for name, pod in world.pods.items()}


def images(world: World) -> set[str]:
    return {world.pods[name].images["redis"] for name in of_redis(world)}


def roles(world: World) -> dict[str, str]:
    """The primary of each shard, by StatefulSet."""
    found = {}
    for name in of_redis(world):
        process: Any = world.pods[name].process
        if process is None:
            continue
        is_primary = process.slots if isinstance(world, SimulatedCluster) else process.follows is None
        if is_primary:
            found[name.rpartition("-")[0]] = name
    return found


def roll(world: World, passes: int = 120, *, least: int = 2) -> list[Step]:
    """Passes until nothing is left to do; after each, every shard has its copies."""
    done: list[Step] = []
    for _ in range(passes):
        made, count = world.run_pass()
        done += made.steps[:count]
        assert_copies_stay(made, world, least=least)
        if not count and made.verdict == "healthy" and not outdated(world):
            return done
    raise AssertionError(f"the roll does not end: {made.verdict} {made.holds} {made.steps}")


def outdated(world: World) -> set[str]:
    children: Any = world.children
    sets = {ref.name: live for ref, live in children.items() if ref.kind == "StatefulSet"}
    wanted = {name: live["status"]["updateRevision"] for name, live in sets.items()}
    return {name for name, pod in world.pods.items() if pod.revision != wanted[name.rpartition("-")[0]]}


def copies(world: World) -> dict[str, int]:
    """How many processes have the data, by StatefulSet."""
    found: dict[str, int] = {}
    for name in of_redis(world):
        process: Any = world.pods[name].process
        shard = name.rpartition("-")[0]
        found[shard] = found.get(shard, 0) + (process is not None and process.keys == KEYS)
    return found


def assert_copies_stay(made: Plan, world: World, *, least: int = 2) -> None:
    spec: Any = world.resource["spec"]
    wanted = 1 + spec.get("replicas", 1)
    if not spec.get("storageclass"):
        assert min(copies(world).values()) >= min(least, wanted), copies(world)
    gone = [step.pod for step in made.steps if isinstance(step, ReplacePod)]
    redis = [pod for pod in gone if not pod.startswith("sentinel-")]
    assert len({pod.rpartition("-")[0] for pod in redis}) == len(redis), "two pods of a shard at once"
    assert len(gone) - len(redis) <= 1, "two Sentinels at once"


def replaced(steps: list[Step]) -> list[str]:
    return [step.pod for step in steps if isinstance(step, ReplacePod)]


@KINDS
def test_every_pod_is_made_anew_replicas_first_and_each_primary_last(make: Make) -> None:
    world = healthy(make, replicas=2)
    before, primaries = uids(world), roles(world)
    edit(world, image="redis:7.0.15")

    done = roll(world)

    gone = replaced(done)
    assert images(world) == {"redis:7.0.15"}
    assert sorted(gone) == sorted(of_redis(world))
    assert not {before[name] for name in of_redis(world)} & set(uids(world).values())
    for shard, primary in primaries.items():
        assert [name for name in gone if name.rpartition("-")[0] == shard][-1] == primary
    assert len([step for step in done if isinstance(step, HandOver | FailOver)]) == len(primaries)


@KINDS
def test_a_sentinel_or_another_shard_is_left_alone_until_the_one_before_is_whole(make: Make) -> None:
    world = healthy(make, replicas=2)
    edit(world, image="redis:7.0.15")
    while not replaced(list(world.run_pass()[0].steps)):
        pass
    pods: Any = world.pods.values()
    newest = max(pods, key=lambda pod: int(pod.uid.rpartition("-")[2])).process
    newest.silent = True

    plans = [world.run_pass()[0] for _ in range(10)]

    assert not [step for made in plans for step in made.steps if isinstance(step, ReplacePod | HandOver | FailOver)]
    assert "nothing_else_is_to_be_done" in {hold.guard for hold in plans[-1].holds}
    newest.silent = False
    roll(world)


@KINDS
def test_an_operator_that_dies_after_every_single_step_gets_there(make: Make) -> None:
    world = healthy(make, replicas=2)
    edit(world, image="redis:7.0.15", sentinelimage="redis:7.0.15")

    for _ in range(400):
        made, done = world.run_pass(interrupt_after=1)
        assert_copies_stay(made, world)
        if not done and not outdated(world):
            break

    roll(world)
    assert images(world) == {"redis:7.0.15"}
    assert not [name for name, pod in world.pods.items() if "redis:7.0" in pod.images.values()]


@KINDS
@pytest.mark.parametrize("after", [4, 13, 30])
def test_an_edit_back_half_way_takes_back_what_was_done_and_no_more(make: Make, after: int) -> None:
    world = healthy(make, replicas=2)
    edit(world, image="redis:7.0.15")
    for _ in range(after):
        world.run_pass()
    kept = {name for name in of_redis(world) if world.pods[name].images["redis"] == "redis:7.0"}
    before = uids(world)
    edit(world, image="redis:7.0")

    roll(world)

    assert images(world) == {"redis:7.0"}
    assert {name: before[name] for name in kept} == {name: uids(world)[name] for name in kept}


@KINDS
def test_an_edit_during_a_roll_is_rolled_from_there(make: Make) -> None:
    world = healthy(make, replicas=2)
    edit(world, image="redis:7.0.15")
    for _ in range(9):
        world.run_pass()
    edit(world, image="redis:7.4")

    roll(world)

    assert images(world) == {"redis:7.4"}


@KINDS
@pytest.mark.parametrize("after", [2, 5, 11])
def test_a_death_during_a_roll_is_mended_first(make: Make, after: int) -> None:
    world = healthy(make, replicas=2)
    edit(world, image="redis:7.0.15")
    for _ in range(after):
        world.run_pass()
    primaries = roles(world)
    world.lose(min(primaries.values()))  # a copy more than the roll takes away

    roll(world, least=1)

    assert images(world) == {"redis:7.0.15"}


@KINDS
def test_a_template_that_does_not_come_up_costs_one_replica_and_an_edit_back_heals(make: Make) -> None:
    world = healthy(make, replicas=2)
    primaries = roles(world)
    world.bad_images.add("redis:99")
    edit(world, image="redis:99")

    plans = [world.run_pass()[0] for _ in range(30)]

    assert len(replaced([step for made in plans for step in made.steps])) == 1
    assert roles(world) == primaries
    edit(world, image="redis:7.0")
    roll(world)
    assert images(world) == {"redis:7.0"}
    assert roles(world) == primaries


@FEW
def test_where_too_few_copies_would_be_left_one_more_pod_has_one_meanwhile(make: Make, replicas: int) -> None:
    world = healthy(make, replicas=replicas)
    before = of_redis(world)
    edit(world, image="redis:7.0.15")

    done = roll(world)

    assert images(world) == {"redis:7.0.15"}
    assert of_redis(world) == before
    assert sorted(replaced(done)) == sorted(before)
    assert_as_specified(world)


def assert_as_specified(world: World) -> None:
    """No StatefulSet has a pod more than spec says, and the condition says that spec is applied."""
    children: Any = world.children
    for ref, live in children.items():
        assert ref.kind != "StatefulSet" or SURPLUS not in live["metadata"]["annotations"]
    made, _ = world.run_pass()
    assert (made.steps, made.holds) == ((), ())
    status: Any = world.resource["status"]
    told = next(each for each in status["conditions"] if each["type"] == "Accepted")
    assert (told["status"], told["reason"]) == ("True", "AsSpecified")


@FEW
def test_a_surplus_pod_survives_an_operator_that_dies_after_every_single_step(make: Make, replicas: int) -> None:
    world = healthy(make, replicas=replicas)
    edit(world, image="redis:7.0.15")
    for _ in range(250):
        made, _ = world.run_pass(interrupt_after=1)
        assert_copies_stay(made, world)

    roll(world)

    assert images(world) == {"redis:7.0.15"}
    assert_as_specified(world)


@KINDS
@pytest.mark.parametrize("after", [3, 8, 14])
def test_a_surplus_pod_goes_when_the_edit_is_taken_back(make: Make, after: int) -> None:
    world = healthy(make)
    before = of_redis(world)
    edit(world, image="redis:7.0.15")
    for _ in range(after):
        world.run_pass()
    edit(world, image="redis:7.0")

    roll(world)

    assert of_redis(world) == before
    assert images(world) == {"redis:7.0"}
    assert_as_specified(world)


@KINDS
def test_a_surplus_pod_that_became_the_primary_hands_over_before_it_goes(make: Make) -> None:
    world = healthy(make)
    edit(world, image="redis:7.0.15")
    while not (surplus := [name for name in of_redis(world) if name.endswith("-2")]):
        world.run_pass()
    name = surplus[0].rpartition("-")[0]
    while copies(world)[name] < 3:
        world.run_pass()
    primary = roles(world)[name]
    other = next(f"{name}-{number}" for number in (0, 1) if f"{name}-{number}" != primary)
    stopped: Any = world.pods[other].process
    stopped.silent = True
    world.lose(primary)
    for _ in range(4):
        world.run_pass()
    stopped.silent = False

    roll(world, least=1)

    assert images(world) == {"redis:7.0.15"}
    assert not [pod for pod in of_redis(world) if pod.endswith("-2")]
    assert_as_specified(world)


@KINDS
def test_while_a_statefulset_s_controller_has_not_seen_it_nothing_is_taken_back(make: Make) -> None:
    world = healthy(make)
    shards = len(roles(world))
    world.sees_slowly = True
    edit(world, image="redis:7.2", sentinelimage="redis:7.2")

    done = roll(world, passes=200)

    asked = [step for step in done if isinstance(step, Apply) and "another pod has a copy" in step.why]
    assert len(asked) == shards
    assert images(world) == {"redis:7.2"}
    assert_as_specified(world)


@KINDS
def test_a_surplus_pod_is_chosen_last_so_that_a_primary_moves_once(make: Make) -> None:
    world = healthy(make)
    shards = len(roles(world))
    edit(world, image="redis:7.2")

    done = roll(world)

    assert len([step for step in done if isinstance(step, HandOver | FailOver)]) == shards


def test_a_surplus_pod_that_is_taken_in_is_chosen_as_any_other() -> None:
    world = healthy(SimulatedStandby)
    edit(world, image="redis:7.2")
    while copies(world)["redis-standby-tom"] < 3:
        world.run_pass()
    for _ in range(4):
        world.run_pass(interrupt_after=1)
    edit(world, replicas=2)

    for _ in range(150):
        world.run_pass()

    found: list[Any] = [world.pods[name].process for name in sorted(of_redis(world))]
    assert {process.priority for process in found if process.follows is not None} == {100}


def test_fewer_replicas_wait_until_a_surplus_pod_that_became_the_primary_has_handed_over() -> None:
    """With one number less it is not the next one of its StatefulSet any more, and would go as it is."""
    world = healthy(SimulatedCluster)
    edit(world, image="redis:7.2")
    shard = "redis-cluster-rat-0"
    for _ in range(20):
        world.run_pass()
        if copies(world)[shard] == 3:
            break
    other: Any = world.pods[f"{shard}-1"].process
    other.silent = True
    world.lose(f"{shard}-0")
    world.run_pass()
    other.silent = False
    assert roles(world)[shard] == f"{shard}-2"
    edit(world, replicas=0)

    made, _ = world.run_pass()
    assert "no_primary_is_removed" in {hold.guard for hold in made.holds}
    assert not [name for name in world.pods if name.startswith("redis-cluster-rat-1-2")], "nobody needs more pods"
    for _ in range(60):
        before = roles(world)[shard]
        world.run_pass()
        assert before in world.pods, "a primary was removed before it had handed over"

    kept: Any = world.pods[roles(world)[shard]].process
    assert kept.keys == KEYS
    assert f"{shard}-2" not in world.pods


@KINDS
def test_without_room_for_a_surplus_pod_nothing_goes_and_the_scheduler_s_words_are_told(make: Make) -> None:
    world = healthy(make)
    before = uids(world)
    world.unschedulable |= {f"{name}-2" for name in roles(world)}
    edit(world, image="redis:7.0.15")

    plans = [world.run_pass()[0] for _ in range(20)]

    assert before.items() <= uids(world).items()
    assert plans[-1].verdict == "healthy"
    (hold,) = plans[-1].holds
    assert (hold.guard, hold.about) == ("copies_stay", "spec")
    assert "Unschedulable: 0/3 nodes are available" in hold.why
    edit(world, image="redis:7.0")
    roll(world)
    assert uids(world) == before
    assert_as_specified(world)


@KINDS
def test_a_surplus_pod_of_a_bad_template_is_the_only_one_that_suffers(make: Make) -> None:
    world = healthy(make)
    before = uids(world)
    world.bad_images.add("redis:99")
    edit(world, image="redis:99")
    plans = [world.run_pass()[0] for _ in range(20)]
    assert before.items() <= uids(world).items()
    assert plans[-1].verdict == "healthy"
    assert "ErrImagePull" in plans[-1].holds[0].why

    edit(world, image="redis:7.0.15")
    roll(world)

    assert images(world) == {"redis:7.0.15"}
    assert_as_specified(world)


@KINDS
def test_more_replicas_during_a_roll_take_the_surplus_pod_in(make: Make) -> None:
    world = healthy(make)
    edit(world, image="redis:7.0.15")
    for _ in range(6):
        world.run_pass()
    edit(world, replicas=2)

    for _ in range(200):
        if not world.run_pass()[1] and not outdated(world) and len(of_redis(world)) == 3 * len(roles(world)):
            break

    assert images(world) == {"redis:7.0.15"}
    assert len(of_redis(world)) == 3 * len(roles(world))
    assert_as_specified(world)


@KINDS
def test_with_volumes_one_replica_is_enough(make: Make) -> None:
    world = healthy(make, storageclass="fast")
    edit(world, image="redis:7.0.15")

    roll(world)

    assert images(world) == {"redis:7.0.15"}


def test_a_standalone_with_a_volume_is_made_anew() -> None:
    kept = SimulatedStandby("RedisStandalone", storageclass="fast")
    kept.converge()
    edit(kept, image="redis:7.0.15")
    roll(kept)
    assert images(kept) == {"redis:7.0.15"}


def test_sentinels_go_one_by_one_and_none_while_they_fail_over() -> None:
    world = healthy(SimulatedStandby, replicas=2)
    edit(world, sentinelimage="redis:7.0.15")

    gone = replaced(roll(world))

    assert sorted(gone) == sorted(name for name in world.pods if name.startswith("sentinel-"))


@KINDS
def test_a_rollout_restart_is_carried_out_once(make: Make) -> None:
    world = healthy(make, replicas=2)
    name = min(roles(world))
    world.rollout_restart(name, "2026-01-02T03:04:05Z")

    gone = replaced(roll(world))

    assert sorted(gone) == [f"{name}-0", f"{name}-1", f"{name}-2"]
    edit(world, realname="another")  # the next apply of ours keeps it
    assert replaced(roll(world)) == []


@KINDS
def test_a_restart_asked_of_the_resource_is_carried_out_once_for_each_value(make: Make) -> None:
    world = healthy(make, replicas=2)
    metadata: Any = world.resource["metadata"]
    for value in ("once", "twice"):
        metadata["annotations"] = {"cache.tongdun.net/restart": value}
        assert sorted(replaced(roll(world))) == sorted(world.pods)

    del metadata["annotations"]
    plans = [world.run_pass()[0] for _ in range(6)]
    assert not [step for made in plans for step in made.steps if isinstance(step, ReplacePod)]
    assert plans[-1].holds == ()


@KINDS
def test_a_template_of_another_version_of_the_operator_rolls_nothing_by_itself(make: Make) -> None:
    world = healthy(make, replicas=2)
    for pod in world.pods.values():
        pod.revision = "of-another-version"

    plans = [world.run_pass()[0] for _ in range(6)]

    assert not [step for made in plans for step in made.steps]


@KINDS
def test_a_pod_that_cannot_have_what_it_lacks_is_not_made_anew_for_ever(make: Make) -> None:
    """The server's template is another than ours: an admission webhook, say, writes something else into pods."""
    world = healthy(make, replicas=2)
    edit(world, image="redis:7.0.15")
    roll(world)
    for name in of_redis(world):
        world.pods[name].made_of = {**world.pods[name].made_of, "image": "mirror/redis:7.0.15"}

    plans = [world.run_pass()[0] for _ in range(6)]

    assert not [step for made in plans for step in made.steps]
    assert Ref("StatefulSet", min(roles(world))) in world.children


@KINDS
@pytest.mark.parametrize("capacity", [768, 192], ids=["more", "less"])
def test_memory_that_cannot_be_given_in_place_is_given_by_new_pods(make: Make, capacity: int) -> None:
    world = make(replicas=2, memoryOverheadPercent=50, capacity=384)
    world.site = replace(world.site, pod_resize=False)
    world.converge()
    for name in of_redis(world):
        process: Any = world.pods[name].process
        process.keys = KEYS
    edit(world, capacity=capacity)

    roll(world)

    share = capacity // 3 if isinstance(world, SimulatedCluster) else capacity
    found: list[Any] = [world.pods[name].process for name in of_redis(world)]
    assert {process.maxmemory for process in found} == {share * 2**20}
    assert {world.pods[name].given["limits"]["memory"] for name in of_redis(world)} == {f"{share * 3 // 2}Mi"}
    assert_as_specified(world)


# ---- spec.rollout


@KINDS
def test_primaries_wait_for_a_request_and_keep_no_replica_waiting(make: Make) -> None:
    world = healthy(make, replicas=2, rollout={"primaries": "onRequest"})
    primaries = roles(world)
    edit(world, image="redis:7.0.15")

    for _ in range(150):
        made, done = world.run_pass()
        assert_copies_stay(made, world)
        if not done and [hold.guard for hold in made.holds] == ["primaries_go_on_request"]:
            break

    assert outdated(world) & of_redis(world) == set(primaries.values())
    assert roles(world) == primaries
    for shard, primary in primaries.items():
        metadata: Any = world.resource["metadata"]
        other = next(name for name in sorted(of_redis(world)) if name.startswith(shard) and name != primary)
        value = other if isinstance(world, SimulatedCluster) else "now"
        metadata["annotations"] = {"cache.tongdun.net/handover": value}
        for _ in range(30):
            world.run_pass()
    assert images(world) == {"redis:7.0.15"}
    assert_as_specified(world)


@KINDS
@pytest.mark.parametrize("primaries", ["auto", "onRequest"])
def test_primaries_wait_for_the_window_and_say_until_when(make: Make, primaries: str) -> None:
    world = healthy(make, replicas=2, rollout={"primaries": primaries, "window": {"cron": "0 2 * * *", "minutes": 60}})
    day = 24 * 3600.0
    world.now += day + 3600.0 - world.now % day  # one o'clock
    before = roles(world)
    edit(world, image="redis:7.0.15")

    for _ in range(150):
        made, done = world.run_pass()
        assert_copies_stay(made, world)
        if not done and [hold.guard for hold in made.holds] == ["primaries_go_in_window"]:
            break
    assert world.now % day < 2 * 3600.0, "the window is open by now"
    assert outdated(world) & of_redis(world) == set(before.values())
    assert roles(world) == before
    conditions: Any = world.resource["status"]["conditions"]  # type: ignore[call-overload, index]
    said = next(each["message"] for each in conditions if each["type"] == "Accepted")
    assert "goes when the window opens at" in said
    assert "T02:00:00Z" in said

    world.now += day + 2 * 3600.0 - world.now % day
    roll(world)

    assert images(world) == {"redis:7.0.15"}
    assert_as_specified(world)


@KINDS
def test_a_surplus_pod_does_not_wait_for_a_request(make: Make) -> None:
    world = healthy(make, rollout={"primaries": "onRequest"})
    before, primaries = of_redis(world), roles(world)
    edit(world, image="redis:7.0.15")

    for _ in range(100):
        made, _ = world.run_pass()
        assert_copies_stay(made, world)

    assert of_redis(world) == before
    assert outdated(world) == set(primaries.values())


def test_so_many_shards_as_it_says_are_without_a_pod_at_once() -> None:
    world = healthy(SimulatedCluster, replicas=2, rollout={"maxUnavailableShards": 2})
    edit(world, image="redis:7.0.15")

    plans = [world.run_pass()[0]]
    while outdated(world):
        plans.append(world.run_pass()[0])
        assert_copies_stay(plans[-1], world)

    assert max(len([step for step in made.steps if isinstance(step, ReplacePod)]) for made in plans) == 2


@KINDS
def test_with_one_copy_it_goes_on_where_spec_says_so_and_there_is_no_room(make: Make) -> None:
    world = healthy(make, rollout={"surge": "whenPossible"})
    before = of_redis(world)
    world.unschedulable |= {f"{name}-2" for name in roles(world)}
    edit(world, image="redis:7.0.15")

    roll(world, least=1)

    assert images(world) == {"redis:7.0.15"}
    assert of_redis(world) == before
    assert_as_specified(world)


# ---- nobody asked


def made_by_an_older_version(world: World) -> None:
    """Its pods do not say what they were made from, and its templates were others."""
    for pod in world.pods.values():
        pod.made_of, pod.revision = {}, "of-another-version"


def assert_nothing_goes(world: World) -> None:
    before = uids(world)
    plans = [world.run_pass()[0] for _ in range(8)]
    assert not [step for made in plans for step in made.steps]
    assert uids(world) == before
    status: Any = world.resource["status"]
    told = next(each for each in status["conditions"] if each["type"] == "Accepted")
    assert told["reason"] == "AsSpecified", told


@KINDS
@pytest.mark.parametrize(
    "image",
    [
        "mirror.example/library/redis:7.0",
        "mirror.example:5000/redis:7.0",
        "redis@sha256:0123",
        "redis:7.0@sha256:0123",
        "mirror.example/library/redis@sha256:0123",
    ],
)
def test_an_image_that_a_webhook_wrote_otherwise_is_no_reason_to_recreate_pods(make: Make, image: str) -> None:
    world = healthy(make, replicas=2)
    made_by_an_older_version(world)
    for name in of_redis(world):
        world.pods[name].images = {**world.pods[name].images, "redis": image}

    assert_nothing_goes(world)


@KINDS
@pytest.mark.parametrize(
    "image", ["mirror.example/redis:6.2", "mirror.example/valkey:7.0", "redis", "redis:7.0-alpine"]
)
def test_an_image_that_no_webhook_makes_of_it_is_another_one(make: Make, image: str) -> None:
    world = healthy(make, replicas=2)
    for name in of_redis(world):
        pod = world.pods[name]
        pod.made_of, pod.revision, pod.images = {}, "of-another-version", {**pod.images, "redis": image}

    assert sorted(replaced(roll(world))) == sorted(of_redis(world))


@pytest.mark.parametrize(
    ("config", "goes"),
    [
        ({"appendonly": "no"}, False),
        ({"appendonly": "no", "save": None}, False),  # a server may keep a null, which names nothing
        ({"appendonly": "no", "save": "60 1"}, True),
    ],
)
def test_a_volume_to_which_nothing_is_written_keeps_no_data(config: dict[str, str | None], goes: bool) -> None:
    world = SimulatedStandby("RedisStandalone", storageclass="fast", config=config)
    for _ in range(6):
        world.run_pass()
    edit(world, image="redis:7.2")

    gone = replaced([step for _ in range(6) for step in world.run_pass()[0].steps])

    assert bool(gone) is goes


WRITES_NOTHING: Mapping[str, object] = {"is_logged": False, "saves": False}


@pytest.mark.parametrize(
    ("config", "says", "goes"),
    [
        ({}, {"is_logged": True, "saves": False}, True),
        ({}, WRITES_NOTHING, False),  # the engine refused: "Unable to turn on AOF"
        ({}, {"is_logged": False, "saves": True}, False),  # the next start looks for no snapshot
        ({}, {"is_logged": True, "log_begins": True}, False),
        ({"appendonly": "no", "save": "60 1"}, {"is_logged": False, "saves": True}, True),
        ({"appendonly": "no", "save": "60 1"}, WRITES_NOTHING, False),
        ({"appendonly": "no", "save": "60 1", "shutdown-on-sigterm": "nosave"}, {"saves": True}, False),
        ({"shutdown-on-sigterm": "nosave"}, {"is_logged": True}, True),
    ],
)
@pytest.mark.parametrize(
    ("make", "spec"),
    [(SimulatedCluster, {"replicas": 0}), (partial(SimulatedStandby, "RedisStandalone"), {})],
    ids=["cluster-0", "standalone"],
)
def test_what_a_process_does_not_write_is_not_left_to_its_volume(
    make: Make, spec: dict[str, object], config: dict[str, str], says: Mapping[str, object], goes: bool
) -> None:
    world = healthy(make, storageclass="fast", config=config, **spec)
    edit(world, image="redis:7.2")
    world.run_pass()
    snapshot = world.snapshot()
    told = {
        name: structs.replace(node, **says) if isinstance(node, NodeFacts) else node
        for name, node in snapshot.nodes.items()
    }

    made = plan(replace(snapshot, nodes=told))

    assert bool(replaced(list(made.steps))) is goes


@pytest.mark.parametrize("is_going", [True, False])
@pytest.mark.parametrize(
    ("make", "spec"),
    [(SimulatedCluster, {"replicas": 0}), (partial(SimulatedStandby, "RedisStandalone"), {})],
    ids=["cluster-0", "standalone"],
)
def test_a_pod_whose_claim_was_deleted_does_not_go(make: Make, spec: dict[str, object], is_going: bool) -> None:
    """Its pod alone still holds the volume."""
    world = healthy(make, storageclass="fast", **spec)
    edit(world, image="redis:7.2")
    world.run_pass()
    kept = {f"redis-data-{name}": ("kubernetes.io/pvc-protection",) for name in of_redis(world)}

    made = plan(replace(world.snapshot(), kept_claims=kept if is_going else {}))

    assert bool(replaced(list(made.steps))) is not is_going
    assert made.steps or "as its claim was deleted" in made.holds[0].why


@KINDS
def test_what_others_gave_a_container_that_asks_for_nothing_is_no_reason_to_recreate_pods(make: Make) -> None:
    """A LimitRange completes the pods, and not their templates. Source: kubernetes.io, "Limit Ranges"."""
    world = healthy(make, replicas=2)
    given = {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    made_by_an_older_version(world)
    for name in of_redis(world):
        world.pods[name].resources, world.pods[name].given = given, given

    assert_nothing_goes(world)


def test_a_roll_goes_on_with_a_new_replica_when_most_primaries_would_vote_for_it() -> None:
    world = SimulatedCluster()
    world.converge()
    edit(world, image="redis:7.0.15")
    made = []
    for _ in range(60):
        step = next((step for step in plan(world.snapshot()).steps if isinstance(step, ReplacePod | HandOver)), None)
        if isinstance(step, HandOver):
            break
        if step is not None:
            made.append(step.pod)
        world.run_pass()
    assert len(made) == 1, "one replica was recreated, and its primary would hand over to it"

    replica = world.pods[made[0]].process
    assert replica is not None
    for voter in [node for node in world.nodes() if node.slots][:2]:
        voter.takes_for_primaries.add(replica.id)

    assert not [step for step in plan(world.snapshot()).steps if isinstance(step, HandOver)]
    for node in world.nodes():
        node.takes_for_primaries.clear()
    assert [step.shard for step in plan(world.snapshot()).steps if isinstance(step, HandOver)] == [
        made[0].rpartition("-")[0]
    ]
