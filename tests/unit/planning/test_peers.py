"""Who is told the user as whom an instance's processes log in to each other, and who not yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tdredis.manifests.peers import peer_user
from tdredis.planning.cluster.peers import log_in_to_peers
from tdredis.planning.cluster.planner import assess
from tdredis.planning.snapshot import Snapshot
from tdredis.planning.steps import SetPeerUser
from tdredis.redis.facts import NodeFacts
from tdredis.redis.slots import SlotSet
from tests.unit.planning.passes import edit, plan
from tests.unit.planning.simulated_cluster import Node, SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby


def told(snapshot: Snapshot, *, masteruser: str | None) -> list[str]:
    """Of pods whose processes all say that they log in as *masteruser*."""
    nodes: Any = {
        name: _with_user(facts, masteruser) if isinstance(facts, NodeFacts) else facts
        for name, facts in snapshot.nodes.items()
    }
    return [step.process.pod for step in plan(replace(snapshot, nodes=nodes)).steps if isinstance(step, SetPeerUser)]


def _with_user(facts: NodeFacts, masteruser: str | None) -> NodeFacts:
    fields = {name: getattr(facts, name) for name in facts.__struct_fields__}
    return NodeFacts(**{**fields, "masteruser": masteruser})


@pytest.mark.parametrize("world", [SimulatedCluster(), SimulatedStandby()], ids=["cluster", "standby"])
def test_processes_that_an_older_version_started_are_told_primaries_first(
    world: SimulatedCluster | SimulatedStandby,
) -> None:
    world.converge()
    snapshot = world.snapshot()
    primaries = {name for name, facts in snapshot.nodes.items() if facts.replication.role == "master"}  # type: ignore[union-attr]

    found = told(snapshot, masteruser="")

    assert set(found) == set(snapshot.nodes)
    assert set(found[: len(primaries)]) == primaries
    assert told(snapshot, masteruser=None) == [], "its version cannot say"


def test_a_node_that_began_anew_is_not_told_before_it_has_a_place() -> None:
    """Whoever still follows its address would empty itself after it."""
    world = SimulatedCluster()
    world.converge()
    owner = next(name for name, pod in world.pods.items() if pod.process and pod.process.slots)
    process = world.pods[owner].process
    assert process is not None
    slots, process.slots = process.slots, type(process.slots)(0)

    assert owner not in told(world.snapshot(), masteruser="")

    process.slots = slots
    assert owner in told(world.snapshot(), masteruser="")


# ---- the primary-to-be of a new shard that began anew, without data, before it got a slot

NEW = "redis-cluster-rat-3"


def with_new_shard(**scale: str) -> tuple[SimulatedCluster, Node, Node]:
    """Its primary-to-be, which knows no user, and a replica that follows who was there before."""
    world = SimulatedCluster(scale={"rebalance": "manual"})
    world.converge()
    edit(world, size=4)
    for _ in range(20):
        world.run_pass()
    edit(world, scale=scale)
    user = peer_user(world.cluster)
    for node in world.nodes():
        node.user = user
    old, replica = world.pods[f"{NEW}-0"].process, world.pods[f"{NEW}-1"].process
    assert old is not None
    assert replica is not None
    assert (old.slots, replica.primary) == (SlotSet(0), old.id)
    head = Node(id="d" * 40, ip=old.ip, maxmemory=old.maxmemory, lost="lost-data: it is broken", user="")
    world.pods[f"{NEW}-0"].process = head
    return world, head, replica


@pytest.mark.parametrize("rebalance", ["auto", "manual"])
def test_a_new_shard_whose_primary_to_be_began_anew_is_filled(rebalance: str) -> None:
    world, head, replica = with_new_shard(rebalance=rebalance)

    for _ in range(20):
        world.run_pass()
    if rebalance == "manual":
        assert not head.slots
        metadata: Any = world.resource["metadata"]
        metadata["annotations"] = {"cache.tongdun.net/rebalance": "now"}
    for _ in range(60):
        world.run_pass()

    assert (head.user, replica.primary) == (peer_user(world.cluster), head.id)
    assert len(head.slots) == 4096
    assert world.cluster.status.phase == "Ready"


def has_keys(world: SimulatedCluster, replica: Node) -> None:
    replica.keys = 3


def another_waits_for_its_primary(world: SimulatedCluster, replica: Node) -> None:
    copy = next(node for node in world.nodes() if node.primary not in (None, replica.primary))
    copy.keys, copy.primary = 3, "e" * 40


def is_silent(world: SimulatedCluster, replica: Node) -> None:
    replica.silent = True


@pytest.mark.parametrize("happens", [has_keys, another_waits_for_its_primary, is_silent])
def test_it_is_not_told_as_long_as_somebody_could_empty_himself_after_it(
    happens: Callable[[SimulatedCluster, Node], None],
) -> None:
    world, head, replica = with_new_shard(rebalance="manual")

    def are_told() -> list[str]:
        steps = log_in_to_peers(assess(world.snapshot()).world).steps
        return [step.process.ip for step in steps if isinstance(step, SetPeerUser)]

    assert are_told() == [head.ip]
    happens(world, replica)
    assert are_told() == []
