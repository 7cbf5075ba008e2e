"""What becomes of Services and pods whose addresses are of two families: nothing that the API server would refuse."""

from __future__ import annotations

from typing import Any

import pytest

from tdredis.manifests.endpoints import Target
from tdredis.planning.families import targets_of_family
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import Apply
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby


def target(pod: str, ip: str) -> Target:
    return Target(pod=pod, ip=ip, node=None, uid=f"uid-{pod}")


V4, V6 = target("a-0", "10.88.0.1"), target("a-1", "fd00::1")


@pytest.mark.parametrize(("address", "fitting"), [("10.96.0.1", V4), ("fd01::1", V6)])
def test_a_service_leads_to_pods_of_its_family_and_says_who_is_left_out(address: str, fitting: Target) -> None:
    found, (hold,) = targets_of_family("s", address, [V4, V6])

    assert found == [fitting]
    assert hold.guard == "service_and_pods_share_a_family"
    (left_out,) = {V4.pod, V6.pod} - {fitting.pod}
    assert left_out in hold.why
    assert targets_of_family("s", address, [fitting]) == ([fitting], ())


@pytest.mark.parametrize("kind", [SimulatedCluster, SimulatedStandby])
def test_a_service_of_another_family_than_the_pods_is_held_and_refused_by_nobody(
    kind: type[SimulatedCluster] | type[SimulatedStandby],
) -> None:
    world = kind()
    world.converge()
    slices = [ref for ref in world.children if ref.kind == "EndpointSlice"]
    for ref in slices:
        live: Any = world.children[ref]
        service: Any = world.children[Ref("Service", live["metadata"]["labels"]["kubernetes.io/service-name"])]
        service["spec"]["clusterIP"] = "fd01::7"
        del world.children[ref]

    made = plan(world.snapshot())

    applied: list[Any] = [step.manifest for step in made.steps if isinstance(step, Apply) and step.ref in slices]
    assert {each["addressType"] for each in applied} == {"IPv6"}
    assert [each["endpoints"] for each in applied] == [[]] * len(slices)
    assert [hold.guard for hold in made.holds].count("service_and_pods_share_a_family") == 1
