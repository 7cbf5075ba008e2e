"""What must not be lost, nor stuck for ever, in a RedisStandby, a RedisStandalone or a RedisCluster."""

from __future__ import annotations

import pytest

from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Ref, Trouble
from tdredis.planning.steps import Apply, FailOver, Follow, Monitor, Promote, ReplacePod, SetConfig
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

NAME = "redis-standby-tom"
FIRST, SECOND, THIRD = (f"{NAME}-{number}" for number in range(3))
DISRUPTIVE = (FailOver, Follow, Promote, ReplacePod)


def with_data(kind: str = "RedisStandby", **spec: object) -> SimulatedStandby:
    world = SimulatedStandby(kind, **spec)
    world.converge()
    world.write(10)
    world.run_pass()
    return world


def spec_of(world: SimulatedStandby | SimulatedCluster, **changes: object) -> None:
    world.resource["spec"] = {**world.resource["spec"], **changes}  # type: ignore[dict-item]


def guards(made: Plan) -> list[str]:
    return [hold.guard for hold in made.holds]


# ---- the newest data


def test_a_standby_with_old_data_does_not_take_over_from_a_primary_that_was_started_anew() -> None:
    """It was away, came back with what its disk had, and has not been in sync since; the primary has everything."""
    world = with_data()
    world.pods[SECOND].stopped = True
    world.write(10)
    world.run_pass()
    world.pods[SECOND].stopped = False
    world.restart(SECOND)
    world.restart(FIRST)

    world.converge()

    assert world.primaries() == [FIRST]
    assert {redis.keys for redis in world.redis().values()} == {20}


def test_a_standby_with_old_data_does_not_take_over_while_the_primary_is_started_anew() -> None:
    world = with_data()
    world.pods[SECOND].stopped = True
    world.write(10)
    world.run_pass()
    world.pods[SECOND].stopped = False
    world.restart(SECOND)
    world.pods[FIRST].stopped = True

    made, _ = world.run_pass()

    assert not [step for step in made.steps if isinstance(step, DISRUPTIVE)]
    world.pods[FIRST].stopped = False
    world.restart(FIRST)
    world.converge()
    assert {redis.keys for redis in world.redis().values()} == {20}


def test_a_primary_that_still_loads_its_data_is_waited_for() -> None:
    """Its standby is new and empty: whoever made that the primary would have the data wiped out."""
    world = with_data()
    world.restart(FIRST)
    world.redis()[FIRST].loading = True
    world.lose(SECOND)
    for sentinel in world.sentinels().values():
        sentinel.watched["mymaster"].replicas = {world.place(SECOND)}

    plans = [world.run_pass()[0] for _ in range(5)]

    assert not [step for each in plans for step in each.steps if isinstance(step, DISRUPTIVE)]
    assert guards(plans[-1]) == ["everybody_has_loaded"]
    world.redis()[FIRST].loading = False
    world.converge()
    assert {redis.keys for redis in world.redis().values()} == {10}


def test_data_on_a_pod_that_is_on_its_way_out_is_not_passed_over() -> None:
    """On a volume it comes back."""
    world = with_data(storageclass="fast")
    world.restart(FIRST)
    world.pods[FIRST].deleting = True
    world.lose(SECOND)

    made = plan(world.snapshot())

    assert not [step for step in made.steps if isinstance(step, DISRUPTIVE)]
    world.lose(FIRST, keeps_data=True)
    world.converge()
    assert {redis.keys for redis in world.redis().values()} == {10}


def test_the_last_primary_is_not_removed_while_nobody_has_taken_over() -> None:
    world = with_data(replicas=2)
    world.restart(FIRST)
    world.redis()[SECOND].offset = 1
    world.run_pass()
    world.converge()
    assert world.primaries() == [THIRD]
    for pod in (FIRST, SECOND, THIRD):
        world.restart(pod)
    spec_of(world, replicas=1)

    world.run_pass()

    assert THIRD in world.pods


def test_a_replica_whose_primary_is_lost_is_not_removed_before_the_vote() -> None:
    world = SimulatedCluster()
    world.converge()
    world.lose("redis-cluster-rat-0-0")
    spec_of(world, replicas=0)

    made, _ = world.run_pass()

    assert "no_primary_is_removed" in guards(made)
    assert "redis-cluster-rat-0-1" in world.pods


@pytest.mark.parametrize(
    ("storageclass", "config", "replaced"),
    [("", {}, []), ("fast", {}, [FIRST]), ("fast", {"appendonly": "no"}, [])],
    ids=["emptyDir", "volume", "volume-unused"],
)
def test_the_only_copy_of_the_data_is_not_deleted_for_a_bad_exporter(
    storageclass: str, config: dict[str, str], replaced: list[str]
) -> None:
    world = with_data("RedisStandalone", storageclass=storageclass, config=config)
    world.pods[FIRST].trouble = Trouble(reason="CrashLoopBackOff", message="the exporter fails")
    spec_of(world, monitorimage="oliver006/redis_exporter:v1.46")
    world.run_pass()

    made = plan(world.snapshot())

    assert [step.pod for step in made.steps if isinstance(step, ReplacePod)] == replaced
    assert ("another_copy_exists" in guards(made)) is not bool(replaced)


# ---- stuck for ever


@pytest.mark.parametrize("kind", ["RedisStandby", "RedisStandalone"])
def test_an_image_that_ends_at_once_can_be_corrected(kind: str) -> None:
    world = SimulatedStandby(kind, image="nginx:1")
    crash(world)

    spec_of(world, image="redis:7.0")
    world.converge()

    assert world.instance.status.phase == "Ready"


def test_an_image_that_ends_at_once_can_be_corrected_in_a_cluster() -> None:
    world = SimulatedCluster(image="nginx:1")
    crash(world)

    spec_of(world, image="redis:7.0")
    world.converge()

    assert world.cluster.status.phase == "Ready"


def test_a_standby_that_ends_at_once_can_be_corrected_while_its_primary_lives() -> None:
    world = with_data()
    world.pods[SECOND].stopped = True
    world.pods[SECOND].main_trouble = Trouble(reason="CrashLoopBackOff", message="back-off")
    world.pods[SECOND].trouble = world.pods[SECOND].main_trouble
    spec_of(world, image="redis:7.2")

    world.converge()

    assert {redis.keys for redis in world.redis().values()} == {10}


def crash(world: SimulatedStandby | SimulatedCluster) -> None:
    """All Redis containers end over and over."""
    world.run_pass()
    for name, pod in world.pods.items():
        if not name.startswith("sentinel-"):
            pod.stopped, pod.age_s = True, 3600.0
            pod.trouble = pod.main_trouble = Trouble(reason="CrashLoopBackOff", message="back-off")
    world.run_pass()


def test_a_pod_that_cannot_be_made_keeps_nobody_from_becoming_the_primary() -> None:
    """A quota forbids the third one, say."""
    world = with_data()
    world.forbidden = {THIRD}
    spec_of(world, replicas=2)
    world.run_pass()
    for pod in list(world.pods):
        world.restart(pod)
    for sentinel in world.sentinels().values():
        sentinel.watched.clear()

    plans = [world.run_pass()[0] for _ in range(8)]

    assert [step for each in plans for step in each.steps if isinstance(step, Promote)]
    assert {redis.keys for redis in world.redis().values()} == {10}


def test_a_pod_that_cannot_be_made_keeps_sentinels_from_watching_for_a_while_only() -> None:
    world = SimulatedStandby(replicas=2)
    world.forbidden = {THIRD}
    for _ in range(20):
        world.run_pass()
    world.settle(60.0)

    plans = [world.run_pass()[0] for _ in range(3)]

    assert [step for each in plans for step in each.steps if isinstance(step, Monitor)]


def test_a_replica_that_somebody_else_attached_does_not_make_a_sentinel_forget_for_ever() -> None:
    world = with_data()
    stranger = ("10.9.9.9", 6379)
    world.strangers = {stranger}
    world.settle()

    plans = [world.run_pass()[0] for _ in range(5)]

    assert not [step for each in plans for step in each.steps if isinstance(step, Monitor)]


# ---- clients


def test_readers_keep_their_replicas_while_the_primary_is_silent() -> None:
    world = with_data()
    world.redis()[FIRST].silent = True
    world.settle()

    made, _ = world.run_pass()

    live = world.children[Ref("EndpointSlice", f"{NAME}-ro-replicas")]
    assert [each["targetRef"]["name"] for each in live["endpoints"]] == [SECOND]  # type: ignore[index, call-overload, union-attr]
    assert not [step for step in made.steps if isinstance(step, FailOver | Apply)]


def test_a_proxy_whose_password_cannot_be_read_is_not_opened_to_everybody() -> None:
    world = SimulatedCluster(proxy={"enabled": False})
    world.converge()
    spec_of(world, proxy={"enabled": True})
    seen = world.snapshot()
    unreadable = type(seen)(
        **{
            **vars(seen),
            "passwords": type(seen.passwords)(redis="vault", proxy=""),
            "desired_passwords": None,
            "secret_problems": ("there is no Secret door",),
        }
    )

    made = plan(unreadable)

    assert not [step for step in made.steps if isinstance(step, Apply) and step.ref.name.startswith("predixy-")]
    assert "secrets_can_be_read" in guards(made)


# ---- memory


def test_less_maxmemory_and_the_first_one_wait_for_no_container_limit() -> None:
    world = with_data(capacity=512, resources={"limits": {"memory": "256Mi"}})
    spec_of(world, capacity=384)

    world.run_pass()

    assert maxmemories(world) == {384}


def test_a_limit_that_grows_in_a_moment_is_no_refused_wish() -> None:
    world = SimulatedStandby(memoryOverheadPercent=50)
    world.site = type(world.site)(pod_resize=True)
    world.converge()
    spec_of(world, capacity=256)

    first, _ = world.run_pass()

    assert not [step for step in first.steps if isinstance(step, SetConfig)]
    assert "memory_limit_follows" not in guards(first)
    world.converge()
    assert maxmemories(world) == {256}


def maxmemories(world: SimulatedStandby) -> set[int]:
    return {redis.maxmemory // 2**20 for redis in world.redis().values()}


def test_an_edit_of_storageclass_puts_no_data_on_volumes_that_are_not_there() -> None:
    world = SimulatedCluster()
    world.converge()
    pods = [f"redis-cluster-rat-0-{ordinal}" for ordinal in (0, 1)]
    for pod in pods:  # ended beside their data, on emptyDirs
        world.pods[pod].stopped = True
        world.pods[pod].trouble = world.pods[pod].main_trouble = Trouble(reason="CrashLoopBackOff", message="back-off")
    world.resource["spec"] = {**world.resource["spec"], "storageclass": "fast", "image": "redis:7.2"}  # type: ignore[dict-item]

    for _ in range(4):
        made, _done = world.run_pass()
        assert [step for step in made.steps if isinstance(step, ReplacePod)] == []
