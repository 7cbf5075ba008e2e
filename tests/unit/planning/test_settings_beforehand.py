"""A value that no engine would start with, or live on, recreates no pod: it is refused before, and nothing changes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.unit.planning.simulated_standby import SimulatedStandby
from tests.unit.planning.test_settings import (
    World,
    accepted,
    at_start,
    both,
    edit,
    is_primary,
    redis_pods,
    roll,
    rolls,
    turned_over,
    values,
)

STANDBY = partial(SimulatedStandby, replicas=2)


def refused(world: World, config: dict[str, Any], sentence: str) -> None:
    """*config* recreates nobody, and is told."""
    before, templates = turned_over(world), at_start(world)
    edit(world, config)

    for _ in range(12):
        world.run_pass()

    assert turned_over(world) == before
    assert at_start(world) == templates
    status, message = accepted(world)
    assert status == "False"
    assert sentence in message


@both
def test_what_the_engine_is_known_to_refuse_costs_no_pod(make: Any) -> None:
    world = make()
    world.converge()

    for name, value, words in (
        ("tcp-backlog", "many", "argument couldn't be parsed into an integer"),
        ("tcp-backlog", -1, "argument must be between 0 and 2147483647 inclusive"),
        ("io-threads", 129, "argument must be between 1 and 128 inclusive"),
        ("rdbchecksum", "maybe", "argument must be 'yes' or 'no'"),
        ("enable-debug-command", "", "argument(s) must be one of the following: no, yes, local"),
    ):
        sentence = f"config.{name}: redis 7.0.15 refuses {str(value)!r} at a start: {words}. Nothing is changed"
        refused(world, {name: value, "timeout": 300}, sentence)

    assert values(world, "timeout") == {"300"}, "others are set meanwhile"
    edit(world, {"timeout": 300})
    world.run_pass()
    assert accepted(world) == ("True", "spec is fully applied")


@rolls
def test_the_previous_value_goes_on_to_the_pods_that_lack_it(make: Any) -> None:
    world = make()
    world.converge()
    edit(world, {"tcp-backlog": 100})
    for _ in range(3):
        world.run_pass()

    edit(world, {"tcp-backlog": "many"})
    for _ in range(150):
        world.run_pass()

    assert values(world, "tcp-backlog") == {"100"}
    assert at_start(world) == {'tcp-backlog "100"\n'}
    assert "refuses 'many' at a start" in accepted(world)[1]


@both
def test_a_new_instance_starts_without_it_and_says_so(make: Any) -> None:
    world = make(config={"tcp-backlog": "many", "timeout": 300})

    world.converge()

    assert (values(world, "timeout"), values(world, "tcp-backlog"), at_start(world)) == ({"300"}, {"511"}, set())
    assert "refuses 'many' at a start" in accepted(world)[1]


@rolls
def test_with_an_image_of_the_same_edit_only_what_every_engine_refuses_is_refused_beforehand(make: Any) -> None:
    """Nobody knows which engine it will be: one of them may take it, and the first pod will say so."""
    world = make()
    world.settings.engines = {"valkey:8.1": "valkey 8.1.1"}
    world.converge()

    world.resource["spec"] = {**world.resource["spec"], "image": "valkey:8.1"}
    edit(world, {"io-threads": 200, "tcp-backlog": "many"})
    world.run_pass()
    assert "every engine that is known refuses 'many'" in accepted(world)[1]
    for _ in range(150):
        world.run_pass()

    assert (values(world, "io-threads"), values(world, "tcp-backlog")) == ({"200"}, {"511"})
    assert "config.tcp-backlog: valkey 8.1.1 refuses 'many'" in accepted(world)[1]


def test_databases_that_leave_no_memory_are_refused_with_how_many_there_can_be() -> None:
    world = STANDBY()
    world.converge()

    refused(world, {"databases": 2147483647}, "MiB before there is a key")
    most = int(accepted(world)[1].rpartition("write at most ")[2].split()[0].rstrip(".,;"))
    refused(world, {"databases": most + 1}, f"write at most {most}")

    edit(world, {"databases": most})
    roll(world)
    assert values(world, "databases") == {str(most)}


def test_the_limit_of_the_container_counts_where_capacity_names_none() -> None:
    world = STANDBY(capacity=0, resources={"limits": {"memory": "64Mi"}})
    world.converge()

    refused(world, {"databases": 1000000}, "a process has 64 MiB")


def test_databases_that_have_keys_are_not_taken_away() -> None:
    """An engine that loads a key of such a one ends, and a replica makes writes to it in another."""
    world = STANDBY(config={"databases": 40})
    world.converge()
    for redis in world.redis().values():
        redis.databases = 31

    refused(world, {"databases": 30}, "database 30 has keys in")
    refused(world, {}, "write 31 or more, or remove these keys")  # the default is 16

    edit(world, {"databases": 31})
    roll(world)
    assert values(world, "databases") == {"31"}
    assert any(is_primary(world, pod) for pod in redis_pods(world))


@pytest.mark.parametrize(("config", "goal"), [({"databases": 30}, "30"), ({}, "16")], ids=["fewer", "default"])
@pytest.mark.parametrize("make", [STANDBY, partial(SimulatedStandby, "RedisStandalone")], ids=["standby", "standalone"])
def test_a_database_that_a_client_begins_to_use_while_it_is_taken_away_stays(
    make: Any, config: dict[str, Any], goal: str
) -> None:
    """Pods that have fewer by now make its writes in another: they go again, and none of them is to be the primary."""
    world: SimulatedStandby = make(config={"databases": 40})
    world.converge()
    (primary,) = [pod for pod in redis_pods(world) if is_primary(world, pod)]
    uid = world.pods[primary].uid
    edit(world, config)
    for _ in range(60):
        if values(world, "databases") != {"40"}:
            break
        world.run_pass()
    assert values(world, "databases") == {"40", goal}
    world.redis()[primary].databases = 36

    for _ in range(80):
        world.run_pass()
        assert is_primary(world, primary)
        assert world.pods[primary].uid == uid

    assert values(world, "databases") == {"40"}
    status, message = accepted(world)
    assert status == "False"
    assert f"database 35 has keys in {primary}, and with {goal} there is none of that number" in message
    world.redis()[primary].databases = 0
    roll(world)
    assert values(world, "databases") == {goal}


def test_databases_that_files_on_volumes_may_name_are_not_taken_away() -> None:
    """They are empty, but what was written there is still in append-only files."""
    world = STANDBY(config={"databases": 40}, storageclass="fast")
    world.converge()

    refused(world, {"databases": 30}, "has 40, and append-only files on its volume may name those that go")
    refused(world, {}, "write 40 or more; for fewer copy the keys to another resource")

    edit(world, {"databases": 50})
    roll(world)
    assert values(world, "databases") == {"50"}
    edit(world, {"databases": 50, "appendonly": "no"})
    world.converge()
    edit(world, {"databases": 30, "appendonly": "no"})
    roll(world)
    assert values(world, "databases") == {"30"}
