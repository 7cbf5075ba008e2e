"""Plans of a RedisCluster, carried out on a simulated world that is interrupted, broken and healed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.snapshot import ClusterSnapshot, PodFacts, Ref, Trouble
from tdredis.planning.steps import (
    Apply,
    AssignSlots,
    FailOverShard,
    Forget,
    HandOver,
    Meet,
    Remove,
    ReplacePod,
    Replicate,
    SetConfig,
    TakeOverShard,
)
from tdredis.redis.facts import NodeFacts, ProxyFacts, Unknown
from tdredis.redis.slots import NO_SLOTS
from tests.unit.planning.passes import plan, report
from tests.unit.planning.simulated_cluster import SimulatedCluster

FIRST = "redis-cluster-rat-0-0"
DISRUPTIVE = (AssignSlots, Forget, HandOver, Meet, Remove, Replicate, ReplacePod)


def new(**spec: object) -> SimulatedCluster:
    return SimulatedCluster(**spec)


def healthy(**spec: object) -> SimulatedCluster:
    world = new(**spec)
    world.converge()
    return world


def test_a_new_resource_becomes_a_working_cluster() -> None:
    world = new()

    world.converge(passes=8)

    status = world.cluster.status
    assert (status.phase, status.size, status.capacity) == ("Ready", 3, 384)
    assert status.slots == {
        "redis-cluster-rat-0": ("0-5460",),
        "redis-cluster-rat-1": ("5461-10922",),
        "redis-cluster-rat-2": ("10923-16383",),
    }
    assert [(shard.primary, shard.replicas_ready) for shard in status.shards] == [
        ("redis-cluster-rat-0-0", 1),
        ("redis-cluster-rat-1-0", 1),
        ("redis-cluster-rat-2-0", 1),
    ]


@pytest.mark.parametrize(
    "spec", [{}, {"size": 5, "replicas": 0}, {"size": 7, "replicas": 2}, {"proxy": {"enabled": False}}]
)
def test_a_healthy_cluster_has_an_empty_plan_and_an_unchanged_status(spec: dict[str, object]) -> None:
    world = healthy(**spec)
    writes = world.status_writes

    made, done = world.run_pass()

    assert (made.steps, made.holds, done) == ((), (), 0)
    assert world.status_writes == writes


def steps_of_creation() -> int:
    world, total = new(), 0
    while True:
        made, done = world.run_pass()
        total += done
        if not done and made.verdict is Verdict.HEALTHY:
            return total


@pytest.mark.parametrize("after", range(steps_of_creation() + 1))
def test_an_operator_that_dies_after_any_step_is_succeeded_by_one_that_finishes(after: int) -> None:
    world = new()
    left = after
    while left:
        _, done = world.run_pass(interrupt_after=left)
        left -= done
        if not done:
            world.settle()

    world.converge()

    assert world.cluster.status.phase == "Ready"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=12))
def test_lost_pods_come_back_into_the_same_cluster(losses: list[tuple[int, bool]]) -> None:
    """Replicas on any storage, primaries on volumes: what needs a vote of the engine is not simulated."""
    world = healthy()
    slots = world.cluster.status.slots
    for number, keeps_data in losses:
        pod = sorted(world.pods)[number]
        world.lose(pod, keeps_data=keeps_data or pod.endswith("-0"))
        world.run_pass()

    world.converge()

    assert world.cluster.status.slots == slots


def test_everything_lost_at_once_is_rebuilt_with_the_same_slot_map() -> None:
    world = healthy()
    recorded = {
        "redis-cluster-rat-0": ["0-99"],
        "redis-cluster-rat-1": ["100-199"],
        "redis-cluster-rat-2": ["200-16383"],
    }
    world.resource["status"]["slots"] = recorded  # type: ignore[index, call-overload, assignment]
    for pod in list(world.pods):
        world.lose(pod)

    world.converge()

    assert world.cluster.status.slots == {name: tuple(ranges) for name, ranges in recorded.items()}


@pytest.mark.parametrize("silent", range(6))
def test_no_disruptive_step_rests_on_a_silent_process(silent: int) -> None:
    world = new()
    world.run_pass()
    world.run_pass(interrupt_after=0)
    world.nodes()[silent].silent = True

    made, _ = world.run_pass()

    assert not [step for step in made.steps if isinstance(step, AssignSlots | Forget | ReplacePod)]
    assert "every_process_answers" in {hold.guard for hold in made.holds}


def test_a_silent_process_keeps_its_place_in_the_endpoints() -> None:
    world = healthy()
    world.nodes()[0].silent = True

    made, _ = world.run_pass()

    assert made.steps == ()
    assert made.verdict is Verdict.DEGRADED
    assert world.cluster.status.phase == "NodeNotReady"


def test_a_pod_that_cannot_be_scheduled_is_named_with_the_scheduler_s_words_and_the_rest_serves() -> None:
    world = new()
    world.unschedulable = {"redis-cluster-rat-2-1"}
    for _ in range(10):
        world.run_pass()

    status = world.cluster.status
    ready = next(each for each in status.conditions if each.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "Unschedulable")
    assert "pod redis-cluster-rat-2-1: 0/3 nodes are available" in ready.message
    assert status.size == 3


def test_a_bad_image_is_named_and_correcting_it_heals() -> None:
    world = new(image="redis:nosuch")
    world.bad_images = {"redis:nosuch"}
    for _ in range(5):
        world.run_pass()
    ready = next(each for each in world.cluster.status.conditions if each.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "ErrImagePull")
    assert "redis-cluster-rat-0-0" in ready.message

    world.resource["spec"]["image"] = "redis:7.0"  # type: ignore[index, call-overload]

    world.converge()


def test_a_bad_image_given_to_a_running_cluster_stops_nothing() -> None:
    world = healthy()
    world.bad_images = {"redis:nosuch"}
    world.resource["spec"]["image"] = "redis:nosuch"  # type: ignore[index, call-overload]

    made, _ = world.run_pass()

    assert {type(step) for step in made.steps} == {Apply}
    assert all(node.slots or node.primary for node in world.nodes())


@pytest.mark.parametrize(
    ("change", "guard"),
    [
        ({"capacity": 48}, "used_memory_fits"),
        ({"size": 2}, "spec_is_valid"),
        ({"storageclass": "fast"}, "volumes_are_unchanged"),
    ],
)
def test_a_wish_that_would_hurt_is_held_and_taking_it_back_ends_the_hold(change: dict[str, int], guard: str) -> None:
    world = healthy()
    spec = dict(world.resource["spec"])  # type: ignore[arg-type]
    world.nodes()[0].used_mib = 40
    world.resource["spec"] = {**spec, **change}

    made, done = world.run_pass()

    assert (done, made.holds[0].guard) == (0, guard)
    accepted = next(each for each in world.cluster.status.conditions if each.type == "Accepted")
    assert (accepted.status, accepted.reason) == ("False", guard)
    world.resource["spec"] = spec
    world.converge()


def test_capacity_is_changed_live_and_kept_for_the_next_start() -> None:
    world = healthy()
    world.resource["spec"]["capacity"] = 768  # type: ignore[index, call-overload]

    made, _ = world.run_pass()

    assert sum(isinstance(step, SetConfig) for step in made.steps) == 6
    assert [str(step.ref) for step in made.steps if isinstance(step, Apply)] == ["ConfigMap redis-cluster-rat"]
    world.converge()
    assert (world.cluster.status.phase, world.cluster.status.capacity) == ("Ready", 768)


def test_the_proxy_goes_when_it_is_switched_off_and_comes_back() -> None:
    world = healthy()
    before = set(world.children)
    world.resource["spec"]["proxy"] = {"enabled": False}  # type: ignore[index, call-overload]

    world.converge()

    gone = before - set(world.children)
    assert {ref.kind for ref in gone} >= {"Deployment", "Service", "ConfigMap", "Secret"}
    assert {ref.name for ref in gone} == {"predixy-redis-cluster-rat"}
    world.resource["spec"]["proxy"] = {"enabled": True}  # type: ignore[index, call-overload]
    world.converge()
    assert set(world.children) == before


def test_two_owners_of_a_slot_are_not_joined() -> None:
    world = healthy()
    intruder = world.pods["redis-cluster-rat-1-1"].process
    assert intruder is not None
    intruder.primary, intruder.slots, intruder.known = None, world.nodes()[0].slots, {}

    made = plan(world.snapshot())

    assert not [step for step in made.steps if isinstance(step, DISRUPTIVE)]
    assert "no_slot_has_two_owners" in {hold.guard for hold in made.holds}


@pytest.mark.parametrize(("epoch", "keys", "joined"), [(9, 10, True), (9, 0, False), (1, 10, False)])
def test_a_former_primary_that_has_not_heard_of_its_failover_is_joined_where_the_engine_chooses_rightly(
    epoch: int, keys: int, *, joined: bool
) -> None:
    """The higher config epoch wins when they meet: that must be the one with the data."""
    world = healthy()
    old, candidate = world.pods[FIRST].process, world.pods["redis-cluster-rat-0-1"].process
    assert old is not None
    assert candidate is not None
    old.keys, candidate.keys = 10, keys
    candidate.primary, candidate.slots, candidate.epoch = None, old.slots, epoch
    old.known = {}

    made = plan(world.snapshot())

    assert any(isinstance(step, Meet) for step in made.steps) is joined
    assert ("no_slot_has_two_owners" in {hold.guard for hold in made.holds}) is not joined


# ---- failover


def test_a_replica_whose_primary_is_gone_asks_for_votes_at_once() -> None:
    world = healthy()
    world.lose(FIRST)

    made = plan(world.snapshot())

    (step,) = made.steps
    assert isinstance(step, FailOverShard)
    assert step.process.pod == "redis-cluster-rat-0-1"
    assert "'s primary, at " in step.why
    assert " is gone; " in step.why
    world.converge()
    assert world.cluster.status.shards[0].primary == "redis-cluster-rat-0-1"


def test_a_primary_whose_process_ended_is_replaced() -> None:
    world = healthy()
    world.pods[FIRST].stopped = True

    (step,) = plan(world.snapshot()).steps

    assert isinstance(step, FailOverShard)
    assert step.why.startswith(f"the process in {FIRST} ended")


def test_a_silent_primary_is_not_proven_dead_and_the_engine_decides() -> None:
    world = healthy()
    node = world.pods[FIRST].process
    assert node is not None
    node.silent = True

    made = plan(world.snapshot())

    assert not [step for step in made.steps if isinstance(step, FailOverShard)]
    assert "primary_is_proven_dead" in {hold.guard for hold in made.holds}


def test_a_refused_connection_is_proof_when_the_other_nodes_have_lost_it_too() -> None:
    world = healthy()
    snapshot = world.snapshot()
    dead = snapshot.nodes[FIRST]
    assert isinstance(dead, NodeFacts)
    refused = {**snapshot.nodes, FIRST: Unknown(since=world.now, error="Connection refused", refused=True)}

    doubted = plan(replace(snapshot, nodes=refused))
    for name, pod in world.pods.items():
        if name != FIRST and pod.process is not None and dead.id is not None:
            pod.process.unlinked.add(dead.id)
    nodes = {**world.snapshot().nodes, FIRST: refused[FIRST]}
    believed = plan(replace(world.snapshot(), nodes=nodes))

    assert [type(step) for step in doubted.steps] != [FailOverShard]
    assert [type(step) for step in believed.steps] == [FailOverShard]


def test_where_no_majority_is_left_to_vote_replicas_take_over_by_the_operators_word() -> None:
    world = healthy()
    for shard in (0, 1):
        world.lose(f"redis-cluster-rat-{shard}-0")

    made = plan(world.snapshot())

    assert [(type(step), step.shard) for step in made.steps if isinstance(step, TakeOverShard)] == [
        (TakeOverShard, "redis-cluster-rat-0"),
        (TakeOverShard, "redis-cluster-rat-1"),
    ]
    assert "without what was written in the last moment" in made.steps[0].why
    world.converge()
    assert [shard.primary for shard in world.cluster.status.shards] == [
        "redis-cluster-rat-0-1",
        "redis-cluster-rat-1-1",
        "redis-cluster-rat-2-0",
    ]


def test_nobody_takes_over_without_a_vote_while_somebody_may_only_not_be_heard() -> None:
    world = healthy()
    for shard in (0, 1):
        world.lose(f"redis-cluster-rat-{shard}-0")
    node = world.pods["redis-cluster-rat-2-0"].process
    assert node is not None
    node.silent = True

    made = plan(world.snapshot())

    guards = {hold.guard for hold in made.holds}
    assert {"nobody_is_unresponsive", "no_replica_of_the_lost_node", "no_replica_holds_the_data"} & guards
    assert not [step for step in made.steps if isinstance(step, TakeOverShard | AssignSlots | Forget)]


def test_passwords_are_in_no_status_and_in_no_word_of_a_plan() -> None:
    world = new()
    for _ in range(8):
        snapshot = world.snapshot()
        made = plan(snapshot)
        text = f"{made!r} {snapshot!r} {report(snapshot, made)!r}"
        assert "vault" not in text
        assert "door" not in text
        world.run_pass()


# ---- what must not be done while somebody who could contradict is not heard


def stop(world: SimulatedCluster, *pods: str) -> None:
    """The containers end; the pods are old enough that nobody waits for them as for new ones."""
    for name in pods:
        world.pods[name].stopped = True
    for pod in world.pods.values():
        pod.age_s = 3600.0


def test_a_container_that_restarts_is_no_ghost() -> None:
    world = healthy()
    stop(world, "redis-cluster-rat-1-1")

    made = plan(world.snapshot())

    assert not [step for step in made.steps if isinstance(step, DISRUPTIVE)]
    assert made.verdict is Verdict.DEGRADED
    world.pods["redis-cluster-rat-1-1"].stopped = False
    world.converge()


def test_slots_of_a_crashed_primary_stay_its_own() -> None:
    """Its replica is made anew at the same time: nobody answers who has the data, and the empty one must not get it."""
    world = healthy()
    slots = world.cluster.status.slots
    stop(world, "redis-cluster-rat-0-0")
    world.lose("redis-cluster-rat-0-1")
    for _ in range(5):
        made, _ = world.run_pass()
        assert not [step for step in made.steps if isinstance(step, AssignSlots | Forget)]

    world.pods["redis-cluster-rat-0-0"].stopped = False

    world.converge()
    assert world.cluster.status.slots == slots


def test_one_that_was_forgotten_by_a_single_node_is_introduced_to_it_again() -> None:
    world = healthy()
    names = sorted(world.pods)
    for forgetful in names:
        for forgotten in names:
            if forgetful != forgotten:
                node, other = world.pods[forgetful].process, world.pods[forgotten].process
                assert node is not None
                assert other is not None
                known = node.known.pop(other.id)
                made = plan(world.snapshot())
                assert [step.process.pod for step in made.steps if isinstance(step, Meet)] == [forgetful]
                node.known[other.id] = known


def test_memory_is_not_taken_away_while_somebody_is_silent() -> None:
    world = healthy()
    world.nodes()[0].used_mib = 120
    world.nodes()[0].silent = True
    world.resource["spec"]["capacity"] = 96  # type: ignore[index, call-overload]
    world.run_pass()
    world.nodes()[0].silent = False

    made, _ = world.run_pass()

    assert not [step for step in made.steps if isinstance(step, SetConfig)]
    assert world.cluster.status.capacity == 384


def test_a_full_cluster_whose_spec_wishes_nothing_new_is_at_peace() -> None:
    world = healthy()
    world.nodes()[0].used_mib = 125
    world.run_pass()  # which says that memory is short
    for used in (126, 127, 128):
        world.nodes()[0].used_mib = used
        writes = world.status_writes

        made, _ = world.run_pass()

        assert (made.steps, made.holds, world.status_writes) == ((), (), writes)


@pytest.mark.parametrize("silent", [True, False])
def test_a_pod_that_may_be_the_primary_is_not_removed(silent: bool) -> None:
    world = healthy()
    primary, replica = world.pods["redis-cluster-rat-0-0"].process, world.pods["redis-cluster-rat-0-1"].process
    assert primary is not None
    assert replica is not None
    primary.slots, replica.slots = NO_SLOTS, primary.slots
    primary.primary, replica.primary = replica.id, None
    replica.silent = silent
    world.resource["spec"]["replicas"] = 0  # type: ignore[index, call-overload]

    made, _ = world.run_pass()

    assert "no_primary_is_removed" in {hold.guard for hold in made.holds}
    assert not [step for step in made.steps if isinstance(step, Apply) and step.ref.kind == "StatefulSet"]


@pytest.mark.parametrize("size", [3, 7])
def test_a_size_that_changes_while_the_cluster_begins_ends_in_one_whole_cluster(size: int) -> None:
    for passes in range(5):
        world = new(size=5)
        for _ in range(passes):
            world.run_pass()
        world.resource["spec"]["size"] = size  # type: ignore[index, call-overload]

        world.converge()

        made = world.cluster.status.size
        assert made in (5, size)
        assert sum(ref.kind == "StatefulSet" for ref in world.children) == made


def test_a_failed_pod_of_a_deployment_that_lies_about_makes_nothing_unready() -> None:
    world = healthy()
    trouble = Trouble(reason="Evicted", message="the node was low on memory")
    world.proxies = (PodFacts(name="predixy-x", uid="u", created=0.0, finished=True, trouble=trouble),)

    made, _ = world.run_pass()

    assert (made.verdict, made.steps) == (Verdict.HEALTHY, ())


def test_a_pod_on_its_way_out_is_given_nothing() -> None:
    world = new()
    world.run_pass()
    world.pods["redis-cluster-rat-0-0"].deleting = True

    made = plan(world.snapshot())

    targets = {step.process.pod for step in made.steps if isinstance(step, AssignSlots | Meet)}
    assert "redis-cluster-rat-0-0" not in targets


def test_a_bad_exporter_image_is_corrected_pod_by_pod_and_no_slot_is_ever_without_owner() -> None:
    world = healthy()
    for pod in world.pods.values():
        pod.trouble = Trouble(reason="ImagePullBackOff", message="container exporter: no such image")
    world.resource["spec"]["monitorimage"] = "oliver006/redis_exporter:v1.46"  # type: ignore[index, call-overload]

    world.converge(passes=60)

    assert all(pod.trouble is None for pod in world.pods.values())


def test_a_wish_that_is_taken_away_is_carried_out() -> None:
    world = healthy(env="production")
    del world.resource["spec"]["env"]  # type: ignore[union-attr, arg-type]

    made, _ = world.run_pass()

    assert {str(step.ref) for step in made.steps if isinstance(step, Apply)} >= {"StatefulSet redis-cluster-rat-0"}
    world.converge()


def test_an_invalid_spec_stops_no_healing() -> None:
    world = healthy()
    world.resource["spec"]["capacity"] = 24  # type: ignore[index, call-overload]
    world.lose("redis-cluster-rat-1-1")

    for _ in range(6):
        made, _ = world.run_pass()

    assert made.verdict is Verdict.INVALID
    assert [shard.replicas_ready for shard in world.cluster.status.shards] == [1, 1, 1]


def test_the_proxy_rolls_for_a_new_password_and_not_for_somebody_s_annotation() -> None:
    world = healthy()
    secret = world.children[Ref("Secret", "predixy-redis-cluster-rat")]
    secret["metadata"]["annotations"]["team"] = "a"  # type: ignore[index, call-overload]
    secret["metadata"]["resourceVersion"] = "999"  # type: ignore[index, call-overload]
    assert plan(world.snapshot()).steps == ()

    world.resource["spec"]["proxysecret"] = "gate"  # type: ignore[index, call-overload]

    applied = [str(step.ref) for step in plan(world.snapshot()).steps if isinstance(step, Apply)]
    assert applied == ["Secret predixy-redis-cluster-rat", "Deployment predixy-redis-cluster-rat"]
    world.converge()


# ---- proxies


def pull_secrets(world: SimulatedCluster, kind: str, name: str) -> object:
    live: Any = world.children[Ref(kind, name)]
    return live["spec"]["template"]["spec"].get("imagePullSecrets")


@pytest.mark.parametrize("is_there", [True, False], ids=["comes", "goes"])
def test_a_pull_secret_that_comes_or_goes_is_for_new_pods_and_makes_none_anew(is_there: bool) -> None:
    world = healthy()
    world.site = replace(world.site, pull_secret=not is_there)
    for _ in range(3):
        world.run_pass()  # no proxy is seen to run: its Deployment follows
    world.proxies = (proxy_pod(1), proxy_pod(2))
    pods = {name: pod.uid for name, pod in world.snapshot().pods.items()}

    world.site = replace(world.site, pull_secret=is_there)
    plans = [world.run_pass()[0] for _ in range(4)]

    then, before = ([{"name": "harbor-secret"}], None) if is_there else (None, [{"name": "harbor-secret"}])
    assert pull_secrets(world, "StatefulSet", "redis-cluster-rat-0") == then
    assert pull_secrets(world, "Deployment", "predixy-redis-cluster-rat") == before
    assert {name: pod.uid for name, pod in world.snapshot().pods.items()} == pods
    assert [str(step) for step in plans[-1].steps] == []

    world.resource["spec"]["proxysecret"] = "gate"  # type: ignore[index, call-overload]
    world.run_pass()
    assert pull_secrets(world, "Deployment", "predixy-redis-cluster-rat") == then


def proxy_pod(number: int, **facts: object) -> PodFacts:
    pod = PodFacts(name=f"predixy-{number}", uid=f"uid-predixy-{number}", created=0.0, ready=True, running=True)
    return replace(pod, **facts)  # type: ignore[arg-type]


def with_reads(world: SimulatedCluster, *pods: PodFacts, silent_s: float, **read: object) -> Plan:
    """The ready ones of *pods*, two if there are none, cannot read: all that time they answer by the same error."""
    pods = pods or (proxy_pod(1), proxy_pod(2))
    since = world.now - silent_s
    unread = replace(Unknown(since=since, error="upstream failure", refusing_since=since), **read)  # type: ignore[arg-type]
    return plan(replace(world.snapshot(), proxies=pods, reads={pod.name: unread for pod in pods if pod.ready}))


def replaced(made: Plan) -> list[str]:
    return [step.pod for step in made.steps if isinstance(step, ReplacePod)]


@pytest.mark.parametrize(
    "error",
    ["upstream failure", "no upstream host", "MOVED 5 10.88.9.9:6379", "CLUSTERDOWN The cluster is down", "ERR other"],
)
def test_a_proxy_that_answers_for_itself_though_the_cluster_works_is_made_anew(error: str) -> None:
    (step,) = with_reads(healthy(), silent_s=10, error=error).steps
    assert isinstance(step, ReplacePod)
    assert (step.pod, error in step.why) == ("predixy-1", True)


@pytest.mark.parametrize(
    "error",
    [
        "no answer within 1.5 s",
        "no connection to 10.88.9.9:6379 within 1.5 s",
        "10.88.9.9:6379: Connection refused",
        "connection closed by Redis",
        "connection lost: [Errno 104] Connection reset by peer",
        "upstream failure",  # and before that it said nothing, or was not asked
    ],
)
def test_a_proxy_that_says_nothing_is_slow_and_keeps_its_clients(error: str) -> None:
    refused = error.endswith("refused")
    assert with_reads(healthy(), silent_s=600, error=error, refused=refused, refusing_since=None).steps == ()


def test_an_error_after_a_silence_counts_from_when_it_was_first_said() -> None:
    world = healthy()
    assert with_reads(world, silent_s=600, refusing_since=world.now - 1).steps == ()


@pytest.mark.parametrize(
    "error",
    [
        "WRONGPASS invalid username-password pair",
        "ERR invalid password",
        "NOAUTH Authentication required.",
        "ERR Client sent AUTH, but no password is set",
        "LOADING Redis is loading the dataset in memory",
        "BUSY Redis is busy running a script.",
        "ERR max number of clients reached",
    ],
)
def test_what_another_proxy_would_say_too_is_not_put_down_to_one(error: str) -> None:
    assert with_reads(healthy(), silent_s=600, error=error).steps == ()


def test_when_no_proxy_reads_that_is_said_whatever_the_reason() -> None:
    world = healthy()
    pod = proxy_pod(1)
    slow = Unknown(since=world.now - 10, error="no answer within 1.5 s")
    seen = replace(world.snapshot(), proxies=(pod,), reads={pod.name: slow})

    conditions = report(seen, plan(seen)).conditions
    assert ["no answer within 1.5 s" in each.message for each in conditions if each.type == "Ready"] == [True]


def test_one_proxy_at_a_time_is_made_anew() -> None:
    """Where a Redis is slow, and answers us in time, no proxy can read in time: clients would have none at all."""
    world = healthy()
    assert replaced(with_reads(world, silent_s=10)) == ["predixy-1"]

    leaving = proxy_pod(1, ready=False, deleting=True)
    assert with_reads(world, leaving, proxy_pod(2), silent_s=10).steps == (), "the other is not made yet"
    coming = proxy_pod(3, ready=False, created=world.now - 1)
    assert with_reads(world, leaving, proxy_pod(2), coming, silent_s=10).steps == (), "it is not ready yet"
    pull = Trouble(reason="ImagePullBackOff", message="")
    broken = replace(coming, trouble=pull, main_trouble=pull)
    assert with_reads(world, leaving, proxy_pod(2), broken, silent_s=10).steps != (), "it will not be ready"


def test_a_proxy_is_given_time_to_find_slots_that_moved() -> None:
    assert with_reads(healthy(), silent_s=4).steps == ()


def test_a_cluster_is_not_ready_before_its_proxy_reads_from_every_shard() -> None:
    world = healthy()
    pod = PodFacts(name="predixy-1", uid="uid-predixy-1", created=0.0, ip="10.88.9.9", ready=True, running=True)
    began = replace(world.snapshot(), proxies=(pod,))
    status = structs.replace(began.cluster.status, conditions=())
    new = replace(began, cluster=structs.replace(began.cluster, status=status))

    def ready(snapshot: ClusterSnapshot, read: ProxyFacts | Unknown) -> str:
        seen = replace(snapshot, reads={pod.name: read})
        conditions = report(seen, plan(seen)).conditions
        return next(each.status for each in conditions if each.type == "Ready")

    late = Unknown(since=world.now, error="upstream failure")
    assert [ready(new, late), ready(new, ProxyFacts()), ready(began, late)] == ["False", "True", "True"]


def test_a_proxy_is_not_blamed_for_a_cluster_that_does_not_work() -> None:
    world = healthy()
    world.pods[FIRST].stopped = True

    assert replaced(with_reads(world, silent_s=10)) == []


@pytest.mark.parametrize(
    ("asks", "link_up", "attached"), [("10.88.9.9", False, True), ("", False, False), ("10.88.9.9", True, False)]
)
def test_a_replica_that_asks_at_a_former_address_of_its_primary_is_sent_to_the_present_one(
    asks: str, link_up: bool, attached: bool
) -> None:
    """Seen on a real cluster whose pods all came back elsewhere: gossip told it the address, and it never used it."""
    world = healthy()
    seen = world.snapshot()
    replica, primary = seen.nodes["redis-cluster-rat-0-1"], seen.nodes[FIRST]
    assert isinstance(replica, NodeFacts) and isinstance(primary, NodeFacts) and replica.view and primary.id
    known = replica.view.others[primary.id]
    link = structs.replace(replica.replication, primary_host=asks or known.ip, primary_port=known.port, link_up=link_up)

    made = plan(
        replace(seen, nodes={**seen.nodes, "redis-cluster-rat-0-1": structs.replace(replica, replication=link)})
    )

    steps = [step for step in made.steps if isinstance(step, Replicate)]
    assert [step.process.pod for step in steps] == (["redis-cluster-rat-0-1"] if attached else [])
    assert all(f"it asks {asks} for its data" in step.why for step in steps)
