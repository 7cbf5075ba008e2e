"""status.gmtCreate has the form that scripts of users rely on."""

from __future__ import annotations

from tests.unit.planning.simulated_cluster import SimulatedCluster


def test_the_time_of_creation_reads_as_it_did() -> None:
    world = SimulatedCluster()

    world.run_pass()

    assert world.cluster.status.gmt_create == "2026-01-02 03:04:05"
