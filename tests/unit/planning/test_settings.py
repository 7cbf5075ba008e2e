"""spec.config: live parameters are told to all processes, kept for starts when all took them, and put back; what an
engine refuses is said in its words and changes nothing; what needs a restart is pending.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tdredis.api.instance import InstanceStatus
from tdredis.manifests.settings_file import AT_START, parse_settings, with_settings
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import ReplacePod
from tdredis.redis.facts import NodeFacts
from tests.unit.planning.passes import plan, report
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_settings import KEY
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
MAKES: list[Any] = [
    pytest.param(SimulatedCluster, id="cluster"),
    pytest.param(SimulatedStandby, id="standby"),
    pytest.param(lambda **spec: SimulatedStandby("RedisStandalone", **spec), id="standalone"),
]
both = pytest.mark.parametrize("make", MAKES)
# Of which nothing but the pods themselves is recreated: others have a copy, or it is on a volume.
rolls = pytest.mark.parametrize(
    "make",
    [
        pytest.param(partial(SimulatedCluster, replicas=2), id="cluster"),
        pytest.param(partial(SimulatedStandby, replicas=2), id="standby"),
        pytest.param(partial(SimulatedStandby, storageclass="fast"), id="volumes"),
    ],
)


def edit(world: World, config: dict[str, Any]) -> None:
    world.resource["spec"] = {**world.resource["spec"], "config": config}  # type: ignore[dict-item]


def redis_pods(world: World) -> list[str]:
    return [pod for pod in world.pods if not pod.startswith("sentinel-")]


def values(world: World, name: str) -> set[str]:
    return {world.settings.get(pod, (name,))[name] for pod in redis_pods(world)}


def roll(world: World, passes: int = 150) -> list[str]:
    """Passes until all pods are as they should be: those that went, in their order."""
    gone: list[str] = []
    for _ in range(passes):
        made, done = world.run_pass()
        gone += [step.pod for step in made.steps[:done] if isinstance(step, ReplacePod)]
        if not done and made.verdict == "healthy":
            return gone
    raise AssertionError(f"the roll does not end: {made.verdict} {made.holds} {made.steps}")


def is_primary(world: World, pod: str) -> bool:
    node = world.snapshot().nodes[pod]
    return isinstance(node, NodeFacts) and node.replication.role == "master"


def accepted(world: World) -> tuple[str, str]:
    """Status and message of the condition Accepted."""
    snapshot = world.snapshot()
    status: InstanceStatus = report(snapshot, plan(snapshot))
    (found,) = (each for each in status.conditions if each.type == "Accepted")
    return found.status, found.message


@both
def test_a_live_parameter_is_told_to_every_process_and_kept_for_its_start(make: Any) -> None:
    world = make()
    world.converge()

    edit(world, {"timeout": 300, "maxmemory-policy": "volatile-lru"})
    world.converge()

    assert (values(world, "timeout"), values(world, "maxmemory-policy")) == ({"300"}, {"volatile-lru"})
    assert world.settings_file() == {"timeout": "300", "maxmemory-policy": "volatile-lru"}
    assert (
        'timeout "300"\n' in world.children[Ref("ConfigMap", world.snapshot().resource.name)]["data"]["settings.conf"]
    )
    assert world.run_pass()[1] == 0
    assert accepted(world)[0] == "True"


@both
def test_it_is_tried_on_one_process_before_the_others_and_the_file_have_it(make: Any) -> None:
    world = make()
    world.converge()
    edit(world, {"timeout": 300})

    world.run_pass()
    assert (world.settings.told, world.settings_file()) == ([], {"timeout": None}), "an edit back would be forgotten"

    world.run_pass()

    assert len(world.settings.told) == 1
    assert world.settings_file() == {"timeout": None}


@both
def test_a_new_instance_starts_with_it(make: Any) -> None:
    world = make(config={"timeout": 300, "databases": 32} if make is not MAKES[0].values[0] else {"timeout": 300})

    world.converge()

    assert values(world, "timeout") == {"300"}
    assert world.settings.told == []


@both
@pytest.mark.parametrize("written", ["KEA", "1gb", "YES", "900  1", "odd text", "5"])
def test_a_value_that_the_engine_answers_in_another_form_is_told_once(make: Any, written: str) -> None:
    world = make()
    world.converge()
    world.settings.live.add("of-a-module")
    names = {"KEA": "notify-keyspace-events", "1gb": "maxmemory-clients", "900  1": "save", "YES": "activedefrag"}

    edit(world, {names.get(written, "of-a-module"): written})
    world.converge()
    for _ in range(5):
        assert world.run_pass()[1] == 0

    assert len(world.settings.told) == len(redis_pods(world))


@both
def test_what_somebody_set_by_hand_is_put_back_if_spec_names_it_and_else_left_alone(make: Any) -> None:
    world = make(config={"timeout": 300})
    world.converge()
    pod = redis_pods(world)[0]

    world.settings.of(pod).update({"timeout": "5", "hz": "50"})
    world.converge()

    assert world.settings.of(pod) == {"timeout": "300", "hz": "50"}
    assert world.run_pass()[1] == 0


@both
def test_what_spec_names_no_more_gets_its_default_and_is_then_left_alone(make: Any) -> None:
    world = make(config={"timeout": 300, "maxmemory-policy": "volatile-lru"})
    world.converge()

    edit(world, {})
    world.converge()

    assert values(world, "timeout") == {"0"}, "the engine's own"
    assert values(world, "maxmemory-policy") == {"allkeys-lru"}, "that of our file"
    assert world.settings_file() == {}
    world.settings.of(redis_pods(world)[0])["timeout"] = "7"
    assert world.run_pass()[1] == 0


@both
def test_what_an_engine_refuses_is_said_in_its_words_and_changes_nothing(make: Any) -> None:
    world = make(config={"timeout": 300})
    world.converge()
    world.settings.refuses = {pod: {"nonsense"} for pod in redis_pods(world)}

    edit(world, {"timeout": "nonsense"})
    world.converge()
    for _ in range(30):
        world.run_pass()

    status, message = accepted(world)
    assert status == "False"
    assert "config.timeout: redis 7.0.15 in" in message
    assert "ERR it cannot be nonsense" in message
    assert values(world, "timeout") == {"300"}
    assert world.settings_file() == {"timeout": "300"}
    assert [value for _, _, value in world.settings.told].count("nonsense") == 1
    edit(world, {"timeout": 300})
    world.converge()
    assert accepted(world)[0] == "True"


@both
def test_what_was_refused_is_tried_again_after_a_minute_by_the_one_who_refused(make: Any) -> None:
    world = make()
    world.converge()
    pods = redis_pods(world)
    world.settings.refuses = {pod: {"9"} for pod in pods}
    edit(world, {"timeout": "9"})
    world.converge()
    world.settings.refuses = {}
    first = world.settings.told[-1][0]

    world.now += 61
    world.run_pass()

    assert world.settings.told[-1] == (first, "timeout", "9")
    world.converge()
    assert values(world, "timeout") == {"9"}


@pytest.mark.parametrize("make", MAKES[:2])
def test_a_value_that_one_of_several_refuses_is_taken_back_from_the_others(make: Any) -> None:
    world = make(config={"timeout": 300})
    world.converge()
    world.run_pass()
    last = max(redis_pods(world), key=lambda pod: (is_primary(world, pod), pod))
    world.settings.refuses = {last: {"9"}}

    edit(world, {"timeout": "9"})
    world.converge()

    assert values(world, "timeout") == {"300"}
    assert world.settings_file() == {"timeout": "300"}
    assert accepted(world)[0] == "False"


@both
def test_others_are_set_while_one_is_refused(make: Any) -> None:
    world = make()
    world.converge()
    world.settings.refuses = {pod: {"nonsense"} for pod in redis_pods(world)}

    edit(world, {"timeout": "nonsense", "hz": 20})
    world.converge()

    assert values(world, "hz") == {"20"}
    assert world.settings_file() == {"hz": "20", "timeout": None}


@both
def test_a_name_that_the_engine_does_not_know_is_told_with_what_was_meant(make: Any) -> None:
    world = make()
    world.converge()

    edit(world, {"maxmemory-polcy": "volatile-lru"})
    world.converge()

    status, message = accepted(world)
    assert status == "False"
    assert "config.maxmemory-polcy: redis 7.0.15 in" in message
    assert "write maxmemory-policy" in message
    assert (world.settings.told, world.settings_file()) == ([], {})


def at_start(world: World) -> set[str]:
    """What new Redis pods are made to start with."""
    found: set[str] = set()
    for ref, live in world.children.items():
        if ref.kind == "StatefulSet":
            containers: Any = live["spec"]["template"]["spec"]["containers"]  # type: ignore[index, call-overload]
            found |= {each["value"] for one in containers for each in one["env"] if each["name"] == AT_START}
    return found


def turned_over(world: World) -> dict[str, str]:
    return {pod: world.pods[pod].uid for pod in redis_pods(world)}


@rolls
def test_what_needs_a_start_is_given_by_new_pods_one_after_the_other(make: Any) -> None:
    world = make()
    world.converge()
    before = turned_over(world)

    edit(world, {"tcp-backlog": 1024})
    world.run_pass()

    pods = redis_pods(world)
    assert (world.settings.told, world.settings_file(), at_start(world)) == ([], {}, {'tcp-backlog "1024"\n'})
    assert f"config.tcp-backlog 511 -> 1024: 0 of {len(pods)} pods have it; " in accepted(world)[1]
    primaries = {pod for pod in pods if is_primary(world, pod)}
    gone = roll(world)
    assert len(gone) == len(pods)
    for shard in {pod.rpartition("-")[0] for pod in pods}:
        (last,) = (pod for pod in reversed(gone) if pod.rpartition("-")[0] == shard and pod in primaries)
        assert [pod for pod in gone if pod.rpartition("-")[0] == shard][-1] == last, "each primary last"
    assert values(world, "tcp-backlog") == {"1024"}
    assert not set(before.values()) & set(turned_over(world).values())
    assert accepted(world) == ("True", "spec is fully applied")

    edit(world, {})
    roll(world)

    assert values(world, "tcp-backlog") == {"511"}
    assert (world.settings_file(), at_start(world)) == ({}, set())
    assert accepted(world) == ("True", "spec is fully applied")


@rolls
def test_a_value_that_the_first_pod_refuses_at_its_start_gets_to_no_other(make: Any) -> None:
    world = make(config={"tcp-backlog": 100})
    world.converge()
    before = turned_over(world)
    world.settings.refuses = {pod: {"9"} for pod in redis_pods(world)}

    edit(world, {"tcp-backlog": 9, "timeout": 300})
    for _ in range(40):
        world.run_pass()

    gone = [pod for pod, uid in turned_over(world).items() if uid != before[pod]]
    assert len(gone) == 1, "one pod alone tried it"
    assert not is_primary(world, gone[0])
    status, message = accepted(world)
    assert status == "False"
    assert (
        f"redis 7.0.15 in {gone[0]} refuses '9' at its start: it cannot be 9. It runs with '511', and no other pod"
        in message
    )
    assert values(world, "timeout") == {"300"}, "others are set meanwhile"

    # With an image in the same breath: nothing else is recreated into the same either.
    world.resource["spec"] = {**world.resource["spec"], "image": "redis:7.0.14"}
    for _ in range(20):
        world.run_pass()
    assert len([pod for pod, uid in turned_over(world).items() if uid != before[pod]]) == 1

    edit(world, {"tcp-backlog": 100, "timeout": 300})
    roll(world)
    assert values(world, "tcp-backlog") == {"100"}
    assert accepted(world) == ("True", "spec is fully applied")


def images(world: World) -> dict[str, str]:
    return {pod: world.pods[pod].made_of["image"] for pod in redis_pods(world)}


@rolls
def test_the_pod_that_refused_a_value_gets_the_previous_image_back_and_no_other_is_touched(make: Any) -> None:
    """Nobody has to find out first which of two edits it was."""
    world = make(config={"tcp-backlog": 100})
    world.converge()
    before, image = turned_over(world), world.resource["spec"]["image"]
    world.settings.refuses = {pod: {"9"} for pod in redis_pods(world)}
    world.resource["spec"] = {**world.resource["spec"], "image": "redis:7.0.14", "config": {"tcp-backlog": 9}}
    for _ in range(40):
        world.run_pass()
    (tried,) = (pod for pod, uid in turned_over(world).items() if uid != before[pod])
    assert images(world)[tried] == "redis:7.0.14"
    assert "refuses '9' at its start: it cannot be 9. It runs with '511', and no other" in accepted(world)[1]

    world.resource["spec"] = {**world.resource["spec"], "image": image}
    gone = roll(world)

    assert gone == [tried]
    assert set(images(world).values()) == {image}
    assert accepted(world)[0] == "False"
    edit(world, {"tcp-backlog": 100})
    assert roll(world) == [tried]
    assert accepted(world) == ("True", "spec is fully applied")


@rolls
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"io-threads-do-reads": "yes"}, {}),  # which the new engine knows no more
        ({"tcp-backlog": 100}, {}),
        ({}, {"bgsave-cpulist": "0-1"}),  # which only the new one knows
        ({"io-threads-do-reads": "yes"}, {"bgsave-cpulist": "0-1", "tcp-backlog": 100}),
    ],
)
def test_with_a_new_image_parameters_go_and_come_in_one_roll(
    make: Any, before: dict[str, Any], after: dict[str, Any]
) -> None:
    world = make(config=before)
    world.settings.engines = {"redis:8.0": "redis 8.0.2"}
    world.converge()

    world.resource["spec"] = {**world.resource["spec"], "image": "redis:8.0", "config": after}
    gone = roll(world)

    assert sorted(gone) == sorted(redis_pods(world)), "each once"
    assert {name: values(world, name) for name in after} == {name: {str(value)} for name, value in after.items()}
    assert world.settings_file() == {}
    assert at_start(world) == ({"".join(f'{name} "{after[name]}"\n' for name in sorted(after))} if after else set())
    assert accepted(world) == ("True", "spec is fully applied")


@pytest.mark.parametrize("make", MAKES[:2])
def test_a_value_that_all_had_stays_where_it_is_when_one_that_began_anew_refuses_it(make: Any) -> None:
    """It lacks files for so many clients, say."""
    world = make(config={"maxclients": 5000})
    world.converge()
    world.run_pass()
    last = max(redis_pods(world), key=lambda pod: (not is_primary(world, pod), pod))
    world.settings.refuses = {last: {"5000"}}

    world.settings.of(last).clear()
    world.converge()

    assert {pod: world.settings.get(pod, ("maxclients",))["maxclients"] for pod in redis_pods(world)} == {
        pod: "10000" if pod == last else "5000" for pod in redis_pods(world)
    }
    assert world.settings_file() == {"maxclients": "5000"}
    assert accepted(world)[0] == "False"


@rolls
def test_an_edit_that_is_taken_back_half_way_takes_the_pods_back_that_have_it(make: Any) -> None:
    for passes in range(0, 24, 3):
        world = make()
        world.converge()
        edit(world, {"tcp-backlog": 1024})
        for _ in range(passes):
            world.run_pass(interrupt_after=1)
            world.settings.memory.drop(KEY)  # each time by another operator
        have = {pod for pod in redis_pods(world) if world.settings.get(pod, ("tcp-backlog",))["tcp-backlog"] == "1024"}
        before = turned_over(world)

        edit(world, {})
        gone = roll(world)

        assert values(world, "tcp-backlog") == {"511"}
        assert (world.settings_file(), at_start(world)) == ({}, set())
        others = {pod for pod in before if pod not in have}
        kept = {pod for pod in others if turned_over(world)[pod] == before[pod]}
        assert kept == others, f"{gone}: a pod that never had it was recreated"
        assert accepted(world) == ("True", "spec is fully applied")


@rolls
def test_interrupted_after_any_step_a_roll_of_a_parameter_ends(make: Any) -> None:
    for steps in range(3):
        world = make()
        world.converge()
        edit(world, {"tcp-backlog": 1024})
        for _ in range(60):
            world.run_pass(interrupt_after=steps)
            world.settings.memory.drop(KEY)
        roll(world)
        assert values(world, "tcp-backlog") == {"1024"}


@both
def test_a_new_instance_starts_with_what_needs_a_start_and_nothing_is_pending(make: Any) -> None:
    world = make(config={"tcp-backlog": 1024, "timeout": 300})

    world.converge()

    assert values(world, "tcp-backlog") == {"1024"}
    assert (world.settings_file(), at_start(world)) == ({"timeout": "300"}, {'tcp-backlog "1024"\n'})
    assert accepted(world) == ("True", "spec is fully applied")


@rolls
def test_what_an_earlier_version_kept_in_the_file_stays_there_until_pods_have_it(make: Any) -> None:
    """Its processes have it, and lose it by no crash; no pod goes for it."""
    world = make()
    world.converge()
    name = world.snapshot().resource.name
    world.children[Ref("ConfigMap", name)] = with_settings(
        world.children[Ref("ConfigMap", name)], {"tcp-backlog": "1024"}
    )
    for pod in redis_pods(world):
        world.settings.of(pod)["tcp-backlog"] = "1024"
    before = turned_over(world)

    edit(world, {"tcp-backlog": 1024})
    world.converge()

    assert turned_over(world) == before
    assert world.settings_file() == {"tcp-backlog": "1024"}
    assert accepted(world) == ("True", "spec is fully applied")


@rolls
def test_the_engine_s_own_word_wins_over_the_table(make: Any) -> None:
    """It says of a parameter that it cannot be changed while it runs, whatever is known of others."""
    world = make()
    world.converge()
    world.settings.immutable.add("hz")

    edit(world, {"hz": 30})
    roll(world)

    assert values(world, "hz") == {"30"}
    assert (world.settings_file(), at_start(world)) == ({}, {'hz "30"\n'})


def test_a_pod_that_is_silent_while_spec_names_it_no_more_gets_its_default_when_it_is_back() -> None:
    world = SimulatedStandby(replicas=2)
    world.converge()
    edit(world, {"tcp-backlog": 1024})
    roll(world)
    (silent, *_) = (pod for pod in redis_pods(world) if not is_primary(world, pod))
    world.pods[silent].stopped = True

    edit(world, {})
    for _ in range(40):
        world.run_pass()
    world.pods[silent].stopped = False
    roll(world)

    assert values(world, "tcp-backlog") == {"511"}
    assert (world.settings_file(), at_start(world)) == ({}, set())


@both
def test_a_pod_that_starts_anew_and_one_that_is_new_have_the_same(make: Any) -> None:
    world = make(config={"timeout": 300})
    world.converge()
    pod = redis_pods(world)[-1]

    world.settings.of(pod).clear()  # its file was a minute behind
    world.converge()

    assert values(world, "timeout") == {"300"}


@both
def test_interrupted_after_any_step_it_comes_to_the_same(make: Any) -> None:
    for steps in range(8):
        world = make(config={"hz": 20})
        world.converge()
        edit(world, {"timeout": 300, "save": "900 1", "tcp-backlog": 100})
        world.run_pass(interrupt_after=steps)
        world.settings.memory.drop(KEY)
        world.converge(passes=200)

        assert (values(world, "timeout"), values(world, "save"), values(world, "hz")) == ({"300"}, {"900 1"}, {"10"})
        assert world.settings_file() == {"timeout": "300", "save": "900 1"}
        assert at_start(world) == {'tcp-backlog "100"\n'}


@both
def test_an_edit_is_taken_back_half_way(make: Any) -> None:
    world = make()
    world.converge()
    for passes in range(6):
        edit(world, {"timeout": 300})
        for _ in range(passes):
            world.run_pass()

        edit(world, {})
        world.converge()

        assert values(world, "timeout") == {"0"}
        assert world.settings_file() == {}


def test_a_file_that_somebody_broke_is_written_anew() -> None:
    assert parse_settings({"data": {"settings.json": "{"}}) == {}
    assert parse_settings({"data": {"settings.json": "[1]"}}) == {}
    assert parse_settings({"data": {"settings.json": '{"a": 1, "b": "x", "c": null}'}}) == {"b": "x", "c": None}
    assert parse_settings({}) == {}
