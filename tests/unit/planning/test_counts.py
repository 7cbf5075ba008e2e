"""Pods that come or go because spec says how many there are: it is told how many have, and only for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tdredis.planning.snapshot import PodFacts, Trouble
from tests.unit.planning.passes import edit
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
Make = Callable[..., World]
KINDS = pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])
SHARDS = {SimulatedCluster: 3, SimulatedStandby: 1}


def told(world: World) -> tuple[str, str]:
    """Reason and sentence of Accepted."""
    status: Any = world.resource["status"]
    found = next(each for each in status["conditions"] if each["type"] == "Accepted")
    return found["reason"], found["message"]


def all_that_is_told(world: World, *, passes: int = 40) -> list[tuple[str, str]]:
    """Each as often as it changed."""
    found: list[tuple[str, str]] = []
    for _ in range(passes):
        world.run_pass()
        if not found or found[-1] != told(world):
            found.append(told(world))
    return found


DONE = ("AsSpecified", "spec is fully applied")


@KINDS
def test_more_replicas_are_told_until_all_of_them_are_in_sync(make: Make) -> None:
    world = make()
    world.converge()
    shards = SHARDS[type(world)]
    world.breaks = {"redis:7.0": Trouble(reason="Unschedulable", message="no room")}

    edit(world, replicas=2)
    waiting = all_that_is_told(world)

    sentence = f"replicas 1 -> 2: {shards} of {2 * shards} replicas are in sync; the others start"
    assert waiting[-1] == ("Scaling", sentence)
    world.breaks = {}
    for name in [name for name, pod in world.pods.items() if pod.trouble is not None]:
        del world.pods[name]
    world.run_statefulsets()
    assert all_that_is_told(world)[-1] == DONE


@KINDS
def test_fewer_replicas_are_told_until_the_last_of_them_is_gone(make: Make) -> None:
    world = make(replicas=2)
    world.converge()
    shards = SHARDS[type(world)]
    world.goes_slowly = True

    edit(world, replicas=1)
    found = all_that_is_told(world)

    assert ("Scaling", f"replicas 2 -> 1: 0 of {shards} replicas are gone; the others end") in found
    assert found[-1] == DONE


@KINDS
def test_an_edit_back_is_told_no_more(make: Make) -> None:
    world = make()
    world.converge()
    world.breaks = {"redis:7.0": Trouble(reason="Unschedulable", message="no room")}
    edit(world, replicas=2)
    assert all_that_is_told(world)[-1][0] == "Scaling"

    edit(world, replicas=1)

    assert all_that_is_told(world)[-1] == DONE


@KINDS
def test_a_replica_that_is_lost_and_comes_back_is_no_change_of_spec(make: Make) -> None:
    world = make()
    world.converge()
    world.lose(max(name for name in world.pods if not name.startswith("sentinel-")))

    assert all_that_is_told(world) == [DONE]


def test_more_and_fewer_sentinels_are_told() -> None:
    world = SimulatedStandby()
    world.converge()

    edit(world, sentinel={"replicas": 5})
    more = all_that_is_told(world)
    edit(world, sentinel={"replicas": 3})
    world.goes_slowly = True
    fewer = all_that_is_told(world, passes=60)

    assert ("Scaling", "sentinel.replicas 3 -> 5: 3 of 5 Sentinels watch; the others start") in more
    assert ("Scaling", "sentinel.replicas 5 -> 3: 0 of 2 Sentinels are gone; the others end") in fewer
    assert (more[-1], fewer[-1]) == (DONE, DONE)


def test_more_and_fewer_proxies_are_told_and_keep_no_edit_of_pods_from_being_the_good_one() -> None:
    world = SimulatedCluster()
    world.proxies = tuple(proxy(number) for number in range(2))
    world.converge()

    edit(world, proxy={"replicas": 3}, image="redis:7.2")
    for _ in range(150):
        world.run_pass()
    assert told(world) == ("Scaling", "proxy.replicas 2 -> 3: 2 of 3 proxies are ready; the others start")
    status = world.snapshot().resource.status
    assert status.rollout is not None
    assert "redis:7.2" in status.rollout.last_good

    world.proxies = tuple(proxy(number) for number in range(3))
    assert all_that_is_told(world)[-1] == DONE
    edit(world, proxy={"replicas": 1})
    world.proxies = (*world.proxies[:1], replace(world.proxies[1], deleting=True, ready=False))
    assert all_that_is_told(world)[-1][1] == "proxy.replicas 3 -> 1: 1 of 2 proxies are gone; the others end"
    world.proxies = world.proxies[:1]
    assert all_that_is_told(world)[-1] == DONE


def proxy(number: int) -> PodFacts:
    return PodFacts(name=f"predixy-{number}", uid=f"uid-{number}", created=0.0, ready=True, running=True, ever_ran=True)
