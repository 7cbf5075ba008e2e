"""Redis whose connections are used up lives: it is named, and nothing is said or done of what it has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tdredis.api.instance import Condition
from tdredis.planning.snapshot import ClusterSnapshot, ReplicationSnapshot, Snapshot
from tdredis.planning.steps import RedisStep
from tdredis.redis.facts import NodeFacts, Unknown
from tests.unit.planning.passes import plan, report
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

WORDS = "it has no free connection, maxclients is used up: ERR max number of clients reached"


def full(snapshot: Snapshot, pods: list[str]) -> Snapshot:
    assert isinstance(snapshot, ClusterSnapshot | ReplicationSnapshot)
    found: dict[str, NodeFacts | Unknown] = dict.fromkeys(pods, Unknown(since=snapshot.now, error=WORDS, full=True))
    return replace(snapshot, nodes={**snapshot.nodes, **found})


def ready(snapshot: Snapshot) -> Condition:
    return next(each for each in report(snapshot, plan(snapshot)).conditions if each.type == "Ready")


def cluster() -> SimulatedCluster:
    world = SimulatedCluster()
    world.converge()
    return world


def standby() -> SimulatedStandby:
    world = SimulatedStandby()
    world.converge()
    return world


@pytest.mark.parametrize("make", [cluster, standby])
@pytest.mark.parametrize("count", [1, 99], ids=["the primary", "all"])
def test_it_is_named_and_nothing_untrue_beside_it(make: type[SimulatedCluster | SimulatedStandby], count: int) -> None:
    world = make()
    pods = sorted(name for name in world.pods if not name.startswith("sentinel-"))[:count]
    seen = full(world.snapshot(), pods)

    found = ready(seen)

    assert (found.status, found.reason) == ("False", "NoFreeConnections")
    assert "maxclients is used up" in found.message
    assert "have no owner" not in found.message
    assert "no process is the primary" not in found.message
    assert [step for step in plan(seen).steps if isinstance(step, RedisStep)] == []


def test_a_silent_node_is_no_full_one() -> None:
    world = cluster()
    snapshot = world.snapshot()
    silent = replace(
        snapshot,
        nodes={**snapshot.nodes, "redis-cluster-rat-0-0": Unknown(since=snapshot.now, error="no answer in time")},
    )

    assert "slots have no owner" in ready(silent).message


@pytest.mark.parametrize("kind", ["pods", "proxy"])
def test_why_no_pod_comes_is_said_in_the_server_s_words(kind: str) -> None:
    words = 'create Pod x failed error: pods "x" is forbidden: exceeded quota: q'
    world = SimulatedCluster(proxy={"enabled": kind == "proxy"})
    if kind == "pods":
        world.forbidden = {"redis-cluster-rat-1-0", "redis-cluster-rat-1-1"}
        for _ in range(10):
            world.run_pass()
        name = "redis-cluster-rat-1"
    else:
        world.converge()
        (ref,) = (ref for ref in world.children if ref.kind == "Deployment")
        world.children[ref]["status"] = {}
        name = ref.name

    said = ready(replace(world.snapshot(), creation_failures={name: words, "another": "of another"}))

    assert said.message.count(words) == 1
    assert "of another" not in said.message
