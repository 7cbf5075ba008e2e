"""How often the loop looks, writes and asks, under every kind of refusal: minutes of it, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tdredis.manifests.site import Site
from tdredis.planning.snapshot import Ref, Trouble
from tdredis.planning.steps import FailOverShard, Promote, SetConfig, Step
from tdredis.redislink.errors import LinkError, NoAnswer, NoFreeConnection, Refused, Unreachable
from tests.unit.controllers.world import STATUS, Refusing, World, most_in, status_answer
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

pytestmark = pytest.mark.looptime

MINUTE_S = 60.0
A_LONG_TIME_S = 6 * MINUTE_S
SLICE = Ref("EndpointSlice", "redis-standby-tom-primary")
CODES = pytest.mark.parametrize("code", [403, 409, 422, 429, 500, 503, 0], ids=lambda code: str(code or "silent"))


def standby(*, new: bool = False) -> World:
    simulated = SimulatedStandby()
    simulated.site = Site(endpoint_slices=True, disruption_budgets=True)
    if not new:
        simulated.converge()
    return World(simulated, "RedisStandby", "redis-standby-tom")


def cluster(*, new: bool = False) -> World:
    simulated = SimulatedCluster()
    simulated.site = Site(endpoint_slices=True, disruption_budgets=True)
    if not new:
        simulated.converge()
    return World(simulated, "RedisCluster", "redis-cluster-rat")


def lose_an_object(world: World, kind: str = "PodDisruptionBudget") -> str:
    """Somebody deletes one that nothing needs to serve; how a request for it begins."""
    ref = next(ref for ref in sorted(world.simulated.children) if ref.kind == kind)
    del world.simulated.children[ref]
    return str(ref)


BOTH = pytest.mark.parametrize("make", [standby, cluster])
Make = Callable[..., World]


@BOTH
async def test_in_peace_nothing_is_written_and_a_pass_comes_every_quarter_of_a_minute(make: Make) -> None:
    world = make()
    await world.run(A_LONG_TIME_S)

    assert world.condition("Ready")["status"] == "True"
    assert world.api.asked == []
    assert (world.told, world.events) == ([], [])
    assert most_in(14.9, world.passes) == 1


@BOTH
@CODES
async def test_an_object_that_is_refused_for_ever_costs_no_more_than_its_back_off(make: Make, code: int) -> None:
    world = make()
    what = lose_an_object(world)
    world.api.refuses = Refusing(code, what)

    await world.run(A_LONG_TIME_S)

    late = A_LONG_TIME_S / 2
    attempts = world.asked_for(what)
    assert most_in(MINUTE_S, attempts) <= 8, "half a second, doubling"
    assert most_in(0.45, attempts) == 1
    assert 2 <= len([at for at in attempts if at > late]) <= late / MINUTE_S + 1, "it is tried, once a minute"
    assert len(world.asked_for(STATUS)) == 1, "words that differ are no news"
    assert most_in(MINUTE_S, world.passes) <= 40
    failed = [event for event in world.events if event[0] == "StepFailed"]
    assert len(failed) == 1
    assert world.condition("Progressing")["reason"] == "StepFailed"
    assert world.condition("Ready")["status"] == "True", "nobody's clients notice"


@BOTH
async def test_an_edit_that_is_given_up_is_counted_once_and_so_is_the_next(make: Make) -> None:
    world = make()
    image = "redis:7.0.99"
    world.simulated.breaks = {image: Trouble(reason="ImagePullBackOff", message="no such image")}
    world.edit(image=image, rollout={"progressDeadlineSeconds": 30})
    await world.run(A_LONG_TIME_S)

    assert world.rollbacks == [(world.key.kind, 1)]
    other = "redis:7.0.98"
    world.simulated.breaks[other] = world.simulated.breaks[image]
    world.edit(image=other)
    await world.run(A_LONG_TIME_S)

    assert world.rollbacks == [(world.key.kind, 1)] * 2


@CODES
async def test_a_status_that_is_refused_for_ever_is_sent_once_a_minute(code: int) -> None:
    world = standby()
    world.api.refuses = Refusing(code, STATUS)
    world.edit(paused=True)

    await world.run(A_LONG_TIME_S)

    sent = world.asked_for(STATUS)
    assert most_in(MINUTE_S, sent) <= 8, "half a second, doubling"
    late = A_LONG_TIME_S / 2
    assert 2 <= len([at for at in sent if at > late]) <= late / MINUTE_S + 1
    assert most_in(MINUTE_S, world.passes) <= 40


@CODES
async def test_a_server_that_refuses_everything_is_not_overrun(code: int) -> None:
    world = standby()
    for kind in ("PodDisruptionBudget", "ConfigMap", "Service"):
        lose_an_object(world, kind)
    world.api.refuses = Refusing(code)

    await world.run(A_LONG_TIME_S)

    late = A_LONG_TIME_S / 2
    things = len({what for _, what in world.api.asked}) + 1  # a Service is asked for without its address too
    assert len([at for at, _ in world.api.asked if at > late]) <= things * (late / MINUTE_S + 1)
    assert most_in(1.0, [at for at, _ in world.api.asked]) <= 2 * things <= 14
    assert most_in(MINUTE_S, world.passes) <= 40


@pytest.mark.parametrize("code", [403, 500, 0], ids=str)
async def test_when_it_is_taken_at_last_it_is_there_and_told_within_a_minute(code: int) -> None:
    world = standby()
    what = lose_an_object(world)
    world.api.refuses = Refusing(code, what)
    async with world.running():
        await asyncio.sleep(A_LONG_TIME_S)

        world.api.refuses = lambda _what: None
        await asyncio.sleep(MINUTE_S * 1.2 + 16)

        kind, _, name = what.partition(" ")
        assert Ref(kind, name) in world.simulated.children
        assert world.condition("Progressing")["reason"] == "AsSpecified"


async def test_an_object_that_is_asked_for_otherwise_is_tried_at_once() -> None:
    """Somebody corrected spec."""
    world = standby()
    what = lose_an_object(world, "ConfigMap")
    world.api.refuses = Refusing(422, what)
    async with world.running():
        await asyncio.sleep(A_LONG_TIME_S)
        before = len(world.asked_for(what))

        world.edit(capacity=256)
        await asyncio.sleep(0.5)

        assert len(world.asked_for(what)) == before + 1


async def time_to_form(make: Make, code: int | None) -> float:
    world = make(new=True)
    if code is not None:
        world.api.refuses = Refusing(code, "PodDisruptionBudget")
    begun = world.now()
    async with world.running(), asyncio.timeout(A_LONG_TIME_S):
        while world.condition("Ready").get("status") != "True":
            await asyncio.sleep(0.05)  # virtual
    return world.now() - begun


@BOTH
@pytest.mark.parametrize("code", [403, 409, 422, 500])
async def test_what_is_refused_for_ever_slows_nothing_else_down(make: Make, code: int) -> None:
    """A new instance comes over several barriers."""
    assert await time_to_form(make, code) <= await time_to_form(make, None) + 0.5


@pytest.mark.parametrize("code", [429, 503, 0], ids=lambda code: str(code or "silent"))
async def test_an_object_that_times_out_for_ever_keeps_no_other_from_being_written(code: int) -> None:
    """Others are tried before it, whenever the server is."""
    world = standby(new=True)
    world.api.refuses = Refusing(code, "PodDisruptionBudget")

    await world.run(3 * MINUTE_S)

    assert world.condition("Ready")["status"] == "True"


def kill_a_primary(world: World) -> type[Step]:
    """It is dead, as its pod's status says, and the loop hears of it."""
    simulated: Any = world.simulated
    if isinstance(simulated, SimulatedCluster):
        pod = simulated.pods["redis-cluster-rat-0-0"]
        assert pod.process is not None
        simulated.slots_of_dead[pod.process.id] = pod.process.slots
        pod.stopped = True
    else:
        (name,) = simulated.primaries()
        simulated.sentinels().clear()
        for pod in simulated.pods.values():
            if pod.name.startswith("sentinel-"):
                pod.process.silent = True
        simulated.pods[name].stopped = True
    world.queue.add(world.key, front=True)
    return FailOverShard if isinstance(simulated, SimulatedCluster) else Promote


async def time_to_fail_over(world: World, expected: type[Step]) -> float:
    begun = world.now()
    async with asyncio.timeout(MINUTE_S):
        while not [step for at, step in world.told if at >= begun and isinstance(step, expected)]:
            await asyncio.sleep(0.005)  # virtual
    return world.now() - begun


@pytest.mark.parametrize("hung", ["an object", "a status", "a first status"])
async def test_a_death_does_not_wait_for_a_request_that_hangs(hung: str) -> None:
    world = cluster()
    what = lose_an_object(world, "ConfigMap") if hung == "an object" else STATUS
    world.api.hangs[what] = 9.0
    if hung == "a status":
        world.edit(paused=False, capacity=768)
    if hung == "a first status":
        status: Any = world.simulated.resource["status"]
        status.pop("slots")
    async with world.running():
        world.queue.add(world.key)
        await asyncio.sleep(1.0)
        assert world.asked_for(what), "it hangs"

        expected = kill_a_primary(world)

        assert await time_to_fail_over(world, expected) < 0.1


async def test_a_request_that_hung_is_told_when_it_ends_and_not_sent_twice() -> None:
    world = cluster()
    what = lose_an_object(world, "ConfigMap")
    world.api.hangs[what] = 9.0
    async with world.running():
        world.queue.add(world.key)
        await asyncio.sleep(1.0)
        for _ in range(30):
            world.queue.add(world.key, front=True)
            await asyncio.sleep(0.2)
        assert len(world.asked_for(what)) == 1
        await asyncio.sleep(10.0)

    assert len(world.asked_for(what)) == 1
    assert [message for reason, message in world.events if what in message]


async def test_where_the_request_before_it_hangs_a_step_of_redis_is_done_all_the_same() -> None:
    """The death was what began the pass, so that nobody calls."""
    world = cluster()
    lose_an_object(world, "ConfigMap")
    world.api.refuses = Refusing(0)
    expected = kill_a_primary(world)
    async with world.running():
        assert await time_to_fail_over(world, expected) < 0.1


@pytest.mark.parametrize(
    "refusal",
    [
        Refused("MISCONF Redis is configured to save RDB snapshots, request {count}"),
        Refused("LOADING Redis is loading the dataset in memory, request {count}"),
        Refused("BUSY Redis is busy running a script, request {count}"),
        Refused("ERR unknown command, request {count}"),
        NoAnswer("no answer within {count} s"),
        Unreachable("connection lost, request {count}"),
    ],
    ids=lambda error: str(error).partition(" ")[0],
)
async def test_a_process_that_refuses_for_ever_is_told_every_two_seconds_and_its_words_are_no_news(
    refusal: LinkError,
) -> None:
    world = standby()
    count = 0

    def refuse(step: Step) -> None:
        nonlocal count
        count += 1
        raise type(refusal)(str(refusal).format(count=count))

    world.executor.refuses = refuse
    process: Any = next(pod.process for pod in world.simulated.pods.values() if hasattr(pod.process, "maxmemory"))
    process.maxmemory += 1

    await world.run(A_LONG_TIME_S)

    told = [at for at, step in world.told if isinstance(step, SetConfig)]
    assert A_LONG_TIME_S / 3 <= len(told) <= A_LONG_TIME_S / 1.5
    assert len(world.asked_for(STATUS)) == 1
    assert len([event for event in world.events if event[0] == "StepFailed"]) == 1


CONNECTIONS: list[LinkError] = [
    Unreachable("connection closed by Redis", accepted=True),
    NoFreeConnection("ERR max number of clients reached"),
    Refused("WRONGPASS invalid username-password pair or user is disabled."),
    Unreachable("connection refused", refused=True),
    NoAnswer("no connection within 1 s"),
]


@BOTH
@pytest.mark.parametrize("error", CONNECTIONS, ids=["closes", "maxclients", "password", "refused", "silent"])
async def test_processes_that_let_nobody_in_are_not_hammered(make: Make, error: LinkError) -> None:
    """All of them, for ever: neither passes nor connections nor statuses without a pause."""
    world = make()
    world.refuses_connection = lambda: error

    await world.run(A_LONG_TIME_S)

    pods = len(world.simulated.pods)
    assert most_in(MINUTE_S, world.passes) <= 55, "a tenth of a second, growing to two"
    assert most_in(MINUTE_S, [at for at in world.passes if at > MINUTE_S]) <= 31
    assert len(world.connects) <= pods * A_LONG_TIME_S / 1.9
    if isinstance(error, Refused) or (isinstance(error, Unreachable) and error.accepted):
        assert len(world.connects) <= pods * (A_LONG_TIME_S / 3 + 2), "well under one a second for each"
    assert len(world.asked_for(STATUS)) <= 2
    assert most_in(MINUTE_S, world.asked_for(STATUS, since=world.passes[0] + 1)) <= 1


@BOTH
async def test_a_bug_is_told_once_and_ends_when_the_next_pass_is_well(make: Make) -> None:
    world = make()
    world.observer.breaks = KeyError("a bug")
    async with world.running():
        world.queue.add(world.key)
        await asyncio.sleep(A_LONG_TIME_S)

        assert world.condition("Progressing")["reason"] == "PassFailed"
        assert "KeyError" in world.condition("Progressing")["message"]
        assert world.condition("Ready")["status"] == "True", "what is remembered of the instance stays"
        assert [reason for reason, _ in world.events] == ["PassFailed"]
        assert (len(world.asked_for(STATUS)), most_in(MINUTE_S, world.passes) <= 8) == (1, True)

        world.observer.breaks = None
        await asyncio.sleep(MINUTE_S * 1.3)

        assert world.condition("Progressing")["reason"] == "AsSpecified"


async def test_a_namespace_that_goes_makes_no_noise() -> None:
    world = standby()
    what = lose_an_object(world)
    going = status_answer(403, "Forbidden", "unable to create new content in namespace redis: it is being terminated")
    going.details = {"causes": [{"reason": "NamespaceTerminating", "message": "namespace redis is being terminated"}]}
    world.api.refuses = lambda asked: going if asked == what else None

    await world.run(A_LONG_TIME_S)

    assert (world.events, world.asked_for(STATUS)) == ([], [])
    assert most_in(MINUTE_S, world.passes) <= 2


async def test_a_status_that_somebody_else_wrote_is_put_right_at_once() -> None:
    world = standby()
    async with world.running():
        world.queue.add(world.key)
        await asyncio.sleep(MINUTE_S)
        status: Any = world.simulated.resource["status"]

        world.store_status({**status, "phase": "Wonderful"})
        await asyncio.sleep(0.5)

        assert world.simulated.resource["status"] == status


async def test_after_a_lead_that_was_lost_nothing_of_before_counts() -> None:
    world = standby()
    what = lose_an_object(world)
    world.api.refuses = Refusing(403, what)
    await world.run(A_LONG_TIME_S)
    told = len(world.events)

    world.loop.forget()
    world.queue.add(world.key)
    await world.run(2.0)

    assert len(world.asked_for(what, since=world.passes[-1] - 3)) >= 1, "it is tried at once"
    assert [reason for reason, _ in world.events[told:]] == ["StepFailed"], "and told anew"


async def test_passes_after_a_death_wait_for_nobody_who_was_silent_before() -> None:
    world = cluster()
    async with world.running():
        world.queue.add(world.key)
        await asyncio.sleep(MINUTE_S)
        assert not any(world.observer.urgent)

        world.queue.add(world.key, front=True)
        await asyncio.sleep(0.1)

        assert world.observer.urgent[-1]
        await asyncio.sleep(MINUTE_S)
        assert not world.observer.urgent[-1]
