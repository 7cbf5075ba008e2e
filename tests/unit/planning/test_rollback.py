"""An edit whose first new pod does not come up is given up after a time: pods are as before, and status says why."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from tdredis.api.rollout import RolloutStatus
from tdredis.planning.proven import PROVEN_S
from tdredis.planning.snapshot import Trouble
from tdredis.planning.steps import FailOver, HandOver, PassOn, ReplacePod
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_kubernetes import FAILED_CREATE
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
Make = Callable[..., World]
BEFORE, BAD, GOOD = "redis:7.0", "redis:7.0.99", "redis:7.0.15"
LIMIT_S = 30
KEYS = 100


def standalone(**spec: object) -> SimulatedStandby:
    return SimulatedStandby("RedisStandalone", **spec)


KINDS = pytest.mark.parametrize(
    "make", [SimulatedCluster, SimulatedStandby, standalone], ids=["cluster", "standby", "standalone"]
)
TROUBLES = pytest.mark.parametrize(
    "trouble",
    [
        Trouble(reason="ImagePullBackOff", message="no such image"),
        Trouble(reason="Unschedulable", message="0/3 nodes are available: 3 Insufficient cpu"),
        Trouble(reason="CreateContainerConfigError", message='secret "x" not found'),
        Trouble(reason="CrashLoopBackOff", message="container redis: back-off (last ended with exit code 127)"),
        Trouble(reason="OOMKilled", message="container redis: back-off"),
        Trouble(reason=FAILED_CREATE, message="pods is forbidden: exceeded quota: q, requested: cpu=9"),
    ],
    ids=lambda trouble: trouble.reason,
)
VOLUMES = pytest.mark.parametrize("storage", ["", "fast"], ids=["emptyDir", "volume"])


def healthy(make: Make, **spec: object) -> World:
    world = make(rollout={"progressDeadlineSeconds": LIMIT_S}, **spec)
    world.converge()
    for name in of_redis(world):
        process: Any = world.pods[name].process
        process.keys = KEYS
    return world


def of_redis(world: World) -> list[str]:
    return sorted(name for name in world.pods if not name.startswith("sentinel-"))


def edit(world: World, **spec: object) -> None:
    metadata: Any = world.resource["metadata"]
    metadata["generation"] += 1
    world.resource["spec"] = {**world.resource["spec"], **spec}  # type: ignore[dict-item]


def images(world: World) -> set[str]:
    return {world.pods[name].images["redis"] for name in of_redis(world)}


def uids(world: World) -> dict[str, str]:
    return {name: pod.uid for name, pod in world.pods.items()}


def copies(world: World) -> int:
    """Of the shard with the fewest: how many copies of its data there are, in processes or on volumes without one."""
    found: dict[str, int] = {}
    for name in {*of_redis(world), *world.volumes}:
        pod = world.pods.get(name)
        process: Any = pod.process if pod is not None and pod.process is not None else world.volumes.get(name)
        shard = name.rpartition("-")[0]
        found[shard] = found.get(shard, 0) + (process is not None and process.keys == KEYS)
    return min(found.values())


def condition(world: World, kind: str) -> Any:
    status: Any = world.resource["status"]
    return next((each for each in status["conditions"] if each["type"] == kind), None)


def record(world: World) -> RolloutStatus:
    found = world.snapshot().resource.status.rollout
    assert found is not None
    return found


def go_on(world: World, *, passes: int = 12, interrupt_after: int | None = None, least: int = 1) -> list[Any]:
    steps: list[Any] = []
    for _ in range(passes):
        made, done = world.run_pass(interrupt_after=interrupt_after)
        steps += made.steps[:done]
        assert copies(world) >= least
    return steps


def wait_and_go_back(world: World, *, interrupt_after: int | None = None, passes: int = 30) -> list[Any]:
    """The deadline passes. A standalone whose process does not run has its data on the volume alone."""
    world.now += LIMIT_S
    return go_on(world, passes=passes, interrupt_after=interrupt_after)


def given_up(make: Make) -> World:
    """It was edited to an image that does not exist, and is as before."""
    world = healthy(make)
    edit(world, image=BAD)
    world.breaks = {BAD: Trouble(reason="ImagePullBackOff", message="no such image")}
    go_on(world)
    wait_and_go_back(world)
    return world


def assert_is_back(world: World, image: str = BAD) -> None:
    made, _ = world.run_pass()
    assert (made.verdict, made.steps) == ("healthy", ())
    assert images(world) == {BEFORE}
    ready, accepted, back = (condition(world, kind) for kind in ("Ready", "Accepted", "RolledBack"))
    assert (ready["status"], accepted["status"], back["status"]) == ("True", "False", "True")
    assert accepted["reason"] == back["reason"] == "new_pods_come_up"
    assert f"image {BEFORE} -> {image}: generation 2 is not carried out" in accepted["message"]


@KINDS
@VOLUMES
@TROUBLES
def test_pods_are_as_before_when_the_first_new_one_did_not_come_up_in_time(
    make: Make, storage: str, trouble: Trouble
) -> None:
    world = healthy(make, storageclass=storage)
    before = uids(world)
    edit(world, image=BAD)
    world.breaks = {BAD: trouble}

    go_on(world)
    assert condition(world, "RolledBack") is None, "it has its time"
    assert world.snapshot().resource.status.rollout != RolloutStatus(last_good=record(world).last_good)
    steps = wait_and_go_back(world)

    assert_is_back(world)
    assert trouble.message in condition(world, "RolledBack")["message"]
    assert not [step for step in steps if isinstance(step, HandOver | FailOver | PassOn)]
    assert set(before) == set(world.pods)
    assert len(before.items() - uids(world).items()) <= 1, "only the first pod is another one"
    settled = uids(world)
    world.now += 10 * LIMIT_S
    assert not go_on(world, passes=20), "it is not tried again"
    assert uids(world) == settled


@KINDS
@VOLUMES
def test_nobody_hands_over_to_a_first_new_pod_whose_exporter_does_not_start(make: Make, storage: str) -> None:
    """Its Redis runs, and has a copy."""
    world = healthy(make, storageclass=storage)
    before = uids(world)
    edit(world, monitorimage="no-exporter:9")
    world.breaks_beside = {"no-exporter:9": Trouble(reason="ErrImagePull", message="container exporter: none")}

    steps = [*go_on(world, passes=20), *wait_and_go_back(world)]

    made, _ = world.run_pass()
    assert (made.verdict, made.steps) == ("healthy", ())
    assert condition(world, "RolledBack")["status"] == "True"
    assert not [step for step in steps if isinstance(step, HandOver | FailOver | PassOn)]
    assert set(before) == set(world.pods)
    assert len(before.items() - uids(world).items()) <= 1


@KINDS
@VOLUMES
def test_a_pod_that_is_ready_for_a_second_whenever_something_beside_its_process_is_started_again_did_not_come_up(
    make: Make, storage: str
) -> None:
    """A container without a readiness probe is ready while it runs, and one that ends at once runs for a moment."""
    world = healthy(make, storageclass=storage)
    before = uids(world)
    edit(world, pod={"containers": [{"name": "ends", "image": "ends:1"}]})
    world.flaps = {"ends:1": Trouble(reason="CrashLoopBackOff", message="container ends: back-off 10s")}

    steps = []
    for _ in range(3 * LIMIT_S):
        steps += go_on(world, passes=1)
        world.now += 1.0
        assert len(before.items() - uids(world).items()) <= 1, "the next pod is recreated when one came up"

    assert condition(world, "RolledBack")["status"] == condition(world, "Ready")["status"] == "True"
    assert "container ends: back-off 10s" in condition(world, "RolledBack")["message"]
    assert "ends:1" not in str(world.children) + record(world).last_good
    assert not [step for step in steps if isinstance(step, HandOver | FailOver | PassOn)]


@KINDS
def test_a_pod_with_something_beside_its_process_came_up_when_it_stayed_up(make: Make) -> None:
    world = healthy(make)
    edit(world, pod={"containers": [{"name": "stays", "image": "stays:1"}]})
    world.unprobed = {"stays:1"}
    made_at = []
    for _ in range(200):
        before = uids(world)
        go_on(world, passes=1)
        made_at += [world.now] if uids(world).items() - before.items() else []
        world.now += 1.0

    assert all("stays" in world.pods[name].images for name in of_redis(world))
    assert (condition(world, "Ready")["status"], condition(world, "RolledBack")) == ("True", None)
    assert "stays:1" in record(world).last_good
    assert min((later - made for made, later in pairwise(made_at)), default=PROVEN_S) >= PROVEN_S


@KINDS
def test_a_first_new_pod_in_trouble_is_made_anew_for_another_edit(make: Make) -> None:
    world = healthy(make)
    edit(world, monitorimage="no-exporter:9")
    world.breaks_beside = {"no-exporter:9": Trouble(reason="ErrImagePull", message="container exporter: none")}
    go_on(world, passes=20)

    edit(world, monitorimage="exporter:2")
    go_on(world, passes=150)

    assert {world.pods[name].images["exporter"] for name in of_redis(world)} == {"exporter:2"}
    assert condition(world, "Accepted")["reason"] == "AsSpecified"


@KINDS
def test_the_same_edit_is_tried_once_more_when_somebody_asks_for_it(make: Make) -> None:
    world = given_up(make)
    assert_is_back(world)

    world.breaks = {}
    metadata: Any = world.resource["metadata"]
    metadata["annotations"] = {"cache.tongdun.net/restart": "it is pushed now"}
    go_on(world, passes=150)

    assert images(world) == {BAD}
    assert (condition(world, "Accepted")["status"], condition(world, "RolledBack")) == ("True", None)


@KINDS
@pytest.mark.parametrize("other", [{"image": GOOD}, {"image": BEFORE}], ids=["another", "the previous one"])
def test_another_edit_is_carried_out_and_nothing_is_left_of_the_one_before(make: Make, other: dict[str, str]) -> None:
    world = given_up(make)

    edit(world, **other)
    go_on(world, passes=150)

    assert images(world) == set(other.values())
    found = record(world)
    assert (found.tried, found.failed, condition(world, "RolledBack")) == ("", "", None)
    assert other["image"] in found.last_good


@KINDS
def test_what_no_pod_is_made_from_may_be_edited_meanwhile(make: Make) -> None:
    world = given_up(make)
    settled = uids(world)

    edit(world, realname="another", config={"timeout": 300})
    go_on(world, passes=20)

    assert_is_back(world)
    assert uids(world) == settled
    assert world.settings.get(of_redis(world)[0], ("timeout",)) == {"timeout": "300"}


@KINDS
@VOLUMES
def test_an_operator_that_dies_after_every_single_step_goes_back_too(make: Make, storage: str) -> None:
    world = healthy(make, storageclass=storage)
    edit(world, image=BAD)
    world.breaks = {BAD: Trouble(reason="CrashLoopBackOff", message="exit code 1")}

    go_on(world, passes=80, interrupt_after=1)
    wait_and_go_back(world, passes=80, interrupt_after=1)
    go_on(world, passes=20)

    assert_is_back(world)


@KINDS
@pytest.mark.parametrize("after", range(8))
@pytest.mark.parametrize("image", [BEFORE, GOOD])
def test_spec_may_be_edited_while_pods_go_back(make: Make, after: int, image: str) -> None:
    world = healthy(make)
    edit(world, image=BAD)
    world.breaks = {BAD: Trouble(reason="Unschedulable", message="no room")}
    go_on(world)
    world.now += LIMIT_S
    go_on(world, passes=after)

    edit(world, image=image)
    go_on(world, passes=150)

    assert images(world) == {image}
    assert condition(world, "Accepted")["status"] == "True"


@KINDS
@TROUBLES
def test_off_holds_the_roll_until_spec_is_edited_back(make: Make, trouble: Trouble) -> None:
    world = make(rollout={"rollback": "off", "progressDeadlineSeconds": LIMIT_S})
    world.converge()
    edit(world, image=BAD)
    world.breaks = {BAD: trouble}
    for _ in range(30):
        world.run_pass()
        world.now += LIMIT_S
    assert condition(world, "RolledBack") is None
    assert record(world) == RolloutStatus(last_good=record(world).last_good)
    assert BAD in str(world.children)

    edit(world, image=BEFORE)
    for _ in range(60):
        world.run_pass()

    assert images(world) == {BEFORE}
    assert plan(world.snapshot()).verdict == "healthy"
    assert condition(world, "Accepted")["status"] == "True"


@KINDS
def test_once_a_new_pod_came_up_nothing_goes_back(make: Make) -> None:
    world = healthy(make, replicas=2) if make is not standalone else healthy(make)
    edit(world, image=GOOD)
    for _ in range(60):
        world.run_pass()
        if record(world).came_up:
            break
    new = [name for name in of_redis(world) if world.pods[name].images["redis"] == GOOD]
    assert new
    for name in new:
        pod = world.pods[name]
        pod.stopped, pod.trouble, pod.main_trouble = True, *[Trouble(reason="CrashLoopBackOff", message="later")] * 2
    world.now += 10 * LIMIT_S

    for _ in range(10):
        world.run_pass()

    assert condition(world, "RolledBack") is None
    assert record(world).came_up
    assert GOOD in str(world.children)


@pytest.mark.parametrize("storage", ["fast"])
@pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby, standalone])
def test_pods_do_not_go_back_to_an_engine_that_cannot_read_what_a_new_one_wrote(make: Make, storage: str) -> None:
    world = healthy(make, storageclass=storage)
    edit(world, image="redis:8.0")
    world.breaks = {"redis:8.0": Trouble(reason="CrashLoopBackOff", message="exit code 1")}
    go_on(world)

    wait_and_go_back(world)

    assert "redis:8.0" in images(world)
    accepted = condition(world, "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "engine_reads_the_data")
    assert "did not come up in 30 s: CrashLoopBackOff" in accepted["message"]
    assert "Pods do not go back to what they were made from before: Redis 7.0 cannot" in accepted["message"]
    assert condition(world, "RolledBack") is None


@pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])
@pytest.mark.parametrize("rollback", ["auto", "off"])
def test_a_replica_without_a_volume_that_could_not_run_a_newer_engine_wrote_nothing(make: Make, rollback: str) -> None:
    """Its primary answers, and has all data in the former engine's hands."""
    world = make(rollout={"rollback": rollback, "progressDeadlineSeconds": LIMIT_S}, replicas=2)
    world.converge()
    edit(world, image="redis:8.0")
    world.breaks = {"redis:8.0": Trouble(reason="CrashLoopBackOff", message="exit code 1")}
    for _ in range(12):
        world.run_pass()
    world.now += LIMIT_S
    if rollback == "off":
        edit(world, image=BEFORE)

    for _ in range(40):
        world.run_pass()

    assert images(world) == {BEFORE}
    assert plan(world.snapshot()).verdict == "healthy"


def test_sentinels_that_do_not_come_up_are_as_before_and_redis_is_left_alone() -> None:
    world = healthy(SimulatedStandby)
    before = {name: uid for name, uid in uids(world).items() if not name.startswith("sentinel-")}
    edit(world, sentinelimage=BAD)
    world.breaks = {BAD: Trouble(reason="ErrImagePull", message="no such image")}
    steps = [*go_on(world), *wait_and_go_back(world)]

    made, _ = world.run_pass()
    assert (made.verdict, made.steps) == ("healthy", ())
    assert before.items() <= uids(world).items()
    assert len([step for step in steps if isinstance(step, ReplacePod)]) == 2, "one went, and came back"
    assert condition(world, "Accepted")["message"].startswith(f"sentinelimage {BEFORE} -> {BAD}: generation 2")


@KINDS
def test_the_whole_edit_goes_back_resources_settings_and_capacity_among_it(make: Make) -> None:
    own = {"maxclients": "9000", "io-threads": "2"}
    world = healthy(make, config=own)
    edit(
        world,
        image=BAD,
        capacity=768,
        resources={"requests": {"cpu": "100"}},
        pod={"nodeSelector": {"disk": "none"}, "containers": [{"name": "x", "image": "x", "env": [{"name": "y"}]}]},
        config={"maxclients": "9001", "io-threads": "4"},
    )
    world.breaks = {BAD: Trouble(reason="Unschedulable", message="no room")}
    go_on(world, passes=20)
    wait_and_go_back(world, passes=60)

    made, _ = world.run_pass()
    assert (made.verdict, made.steps) == ("healthy", ())
    assert images(world) == {BEFORE}
    told = {hold.guard for hold in made.holds}
    assert told == {"new_pods_come_up"}
    for name in of_redis(world):
        assert world.settings.get(name, ("io-threads", "maxclients")) == {"io-threads": "2", "maxclients": "9001"}
        assert world.pods[name].resources.get("requests", {}).get("cpu") is None


@KINDS
def test_a_parameter_that_is_named_no_more_is_an_edit_that_is_given_up_like_any(make: Make) -> None:
    """Nothing else of the template is another: it lacks what pods were made with."""
    world = healthy(make, config={"tcp-backlog": "300"})
    edit(world, config={})
    world.breaks = {BEFORE: Trouble(reason="ErrImagePull", message="the registry is gone")}
    go_on(world)

    wait_and_go_back(world)

    assert "did not come up in 30 s: ErrImagePull" in record(world).failed
    assert condition(world, "Accepted")["message"].startswith("config.tcp-backlog 300 -> ")
    world.breaks = {}
    go_on(world, passes=60)
    made, _ = world.run_pass()
    assert (made.verdict, made.steps) == ("healthy", ())
    assert {world.settings.get(each, ("tcp-backlog",))["tcp-backlog"] for each in of_redis(world)} == {"300"}


@KINDS
def test_what_pods_go_back_to_is_what_all_of_them_had_not_an_edit_on_its_way(make: Make) -> None:
    """The second edit comes before the first one is carried out anywhere."""
    world = healthy(make)
    edit(world, image=BAD)
    world.breaks = {
        BAD: Trouble(reason="ErrImagePull", message="none"),
        "redis:7.0.98": Trouble(reason="ErrImagePull", message="none either"),
    }
    go_on(world, passes=8)
    world.now += LIMIT_S / 2
    edit(world, image="redis:7.0.98")
    go_on(world, passes=8)
    world.now += LIMIT_S / 2 + 1
    go_on(world, passes=8)
    assert condition(world, "RolledBack") is None, "the second one has its own time"

    wait_and_go_back(world)

    made, _ = world.run_pass()
    assert (made.verdict, made.steps, images(world)) == ("healthy", (), {BEFORE})
    assert "generation 3 is not carried out" in condition(world, "Accepted")["message"]


@KINDS
def test_while_it_is_paused_nothing_is_given_up(make: Make) -> None:
    world = healthy(make)
    edit(world, image=BAD)
    world.breaks = {BAD: Trouble(reason="ErrImagePull", message="none")}
    go_on(world)
    edit(world, paused=True)
    wait_and_go_back(world)
    assert (record(world).failed, condition(world, "RolledBack")) == ("", None)

    world.breaks = {}
    edit(world, paused=False, image=GOOD)
    go_on(world, passes=150)
    assert images(world) == {GOOD}


@KINDS
def test_new_pods_by_request_that_do_not_come_up_are_as_before(make: Make) -> None:
    """The image was removed from its registry since."""
    world = healthy(make)
    world.breaks = {BEFORE: Trouble(reason="ErrImagePull", message="it was removed")}
    metadata: Any = world.resource["metadata"]
    metadata["annotations"] = {"cache.tongdun.net/restart": "1"}
    go_on(world)
    world.now += LIMIT_S
    go_on(world, passes=5)

    accepted = condition(world, "Accepted")
    assert (accepted["reason"], condition(world, "RolledBack")["status"]) == ("new_pods_come_up", "True")
    assert accepted["message"].startswith('restart "" -> 1: the restart that was asked for is not carried out')


@KINDS
@VOLUMES
@pytest.mark.parametrize("undone", [False, True], ids=["corrected", "undone"])
def test_a_restart_by_kubectl_whose_pod_does_not_come_up_says_so_and_what_can_be_done(
    make: Make, storage: str, undone: bool
) -> None:
    """There is nothing to go back to: the template is as before. One that is alone on its volume has no others."""
    more = {} if make is standalone else {"replicas": 1}
    world = healthy(make, storageclass=storage, **more)
    before, name = uids(world), min(of_redis(world)).rpartition("-")[0]
    world.breaks = {BEFORE: Trouble(reason="ErrImagePull", message="it was removed")}
    world.rollout_restart(name, "2026-01-02T03:04:05Z")
    go_on(world)
    assert condition(world, "Accepted")["reason"] != "restarted_pods_come_up", "it has its time"
    world.now += LIMIT_S
    go_on(world, passes=5)

    is_alone = make is standalone and bool(storage)
    accepted = condition(world, "Accepted")
    assert (accepted["reason"] == "restarted_pods_come_up") is not is_alone
    assert condition(world, "RolledBack") is None
    assert len(before.items() - uids(world).items()) <= 1
    if not is_alone:
        assert f"StatefulSet {name} was restarted with kubectl" in accepted["message"]
        assert "ErrImagePull: it was removed" in accepted["message"]
        assert f"kubectl rollout undo statefulset/{name}" in accepted["message"]
    others = {pod: uid for pod, uid in uids(world).items() if before.get(pod) == uid and pod.startswith(f"{name}-")}
    if undone:
        world.rollout_undo(name)
    world.breaks = {}
    for pod in of_redis(world):
        if world.pods[pod].trouble is not None:
            world.comes_up(pod)
    go_on(world, passes=120)

    assert condition(world, "Accepted")["reason"] == "AsSpecified"
    assert condition(world, "Ready")["status"] == "True"
    assert (others.items() <= uids(world).items()) is (undone or not others)
    assert set(uids(world)) == set(before)


def test_status_says_when_pods_will_be_as_before() -> None:
    world = healthy(SimulatedStandby)
    edit(world, image=BAD)
    world.breaks = {BAD: Trouble(reason="ErrImagePull", message="none")}
    go_on(world)

    message = condition(world, "Accepted")["message"]
    assert "pods are made as before from 1970-01-12T13:47" in message
    assert "on if pod redis-standby-tom-" in message
    assert plan(world.snapshot()).next_look_s <= LIMIT_S


@KINDS
def test_a_roll_that_is_held_goes_back_when_it_is_told_that_it_may(make: Make) -> None:
    world = make(rollout={"rollback": "off", "progressDeadlineSeconds": LIMIT_S})
    world.converge()
    edit(world, image=BAD)
    world.breaks = {BAD: Trouble(reason="ErrImagePull", message="none")}
    for _ in range(10):
        world.run_pass()
    world.now += LIMIT_S

    world.resource["spec"] = {**world.resource["spec"], "rollout": {"progressDeadlineSeconds": LIMIT_S}}  # type: ignore[dict-item]
    for _ in range(30):
        world.run_pass()

    assert_is_back(world)


@KINDS
def test_what_was_given_up_is_tried_again_when_it_is_to_wait_for_a_person(make: Make) -> None:
    world = given_up(make)

    world.breaks = {}
    edit(world, rollout={"rollback": "off"})
    go_on(world, passes=150)

    assert images(world) == {BAD}
    assert (condition(world, "Accepted")["status"], condition(world, "RolledBack")) == ("True", None)


def test_a_cluster_that_gets_more_shards_in_the_same_edit_gets_them_as_pods_were_before() -> None:
    """Its capacity is that of all shards, and stays as it is written."""
    world = healthy(SimulatedCluster)
    edit(world, image=BAD, size=4, capacity=1024)
    world.breaks = {BAD: Trouble(reason="ErrImagePull", message="none")}
    go_on(world, least=0)  # the new shard has none
    world.now += LIMIT_S
    go_on(world, passes=130, least=0)

    assert images(world) == {BEFORE}
    assert len({name.rpartition("-")[0] for name in of_redis(world)}) == 4
    status = world.snapshot().resource.status
    assert (status.size, status.capacity, status.phase) == (4, 1024, "Ready")
    assert condition(world, "Accepted")["reason"] == "new_pods_come_up"
