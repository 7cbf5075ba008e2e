"""A replica that does not come into sync is told from one that waits for its copy, in a cluster as in a standby."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from tdredis.planning.snapshot import Snapshot
from tdredis.planning.steps import Apply, SetConfig
from tdredis.redis.facts import NodeFacts
from tests.unit.planning.passes import plan, report
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

GIB = 2**30


def world(kind: str) -> SimulatedCluster | SimulatedStandby:
    made = SimulatedCluster() if kind == "cluster" else SimulatedStandby("RedisStandby")
    made.converge()
    return made


def with_link_down(snapshot: Snapshot, replica: str, *, down_s: int, data_bytes: int = 0) -> Snapshot:
    nodes = dict(snapshot.nodes)
    for name, facts in nodes.items():
        assert isinstance(facts, NodeFacts)
        nodes[name] = structs.replace(facts, used_memory_bytes=data_bytes)
        if name == replica:
            link = structs.replace(facts.replication, link_up=False, link_down_s=down_s)
            nodes[name] = structs.replace(facts, replication=link)
    return replace(snapshot, nodes=nodes)


@pytest.mark.parametrize("kind", ["cluster", "standby"])
@pytest.mark.parametrize(
    ("down_s", "data_bytes", "expected"),
    [(31, 0, "SyncFails"), (30, 0, "ReplicasNotInSync"), (100, GIB, "ReplicasNotInSync"), (133, GIB, "SyncFails")],
)
def test_a_copy_may_take_as_long_as_its_data_needs(kind: str, down_s: int, data_bytes: int, expected: str) -> None:
    made = world(kind)
    replica = next(name for name in sorted(made.snapshot().nodes) if name.endswith("-1"))
    snapshot = with_link_down(made.snapshot(), replica, down_s=down_s, data_bytes=data_bytes)

    found = plan(snapshot)

    ready = next(each for each in report(snapshot, found).conditions if each.type == "Ready")
    assert (ready.status, ready.reason) == ("False", expected)
    assert (f"{replica} cannot finish" in ready.message) is (expected == "SyncFails")
    assert {type(step) for step in found.steps} <= {Apply, SetConfig}, "nothing else is disturbed"
