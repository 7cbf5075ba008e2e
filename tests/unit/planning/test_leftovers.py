"""What stays when it should go: named with what to type, waited for, and never taken for somebody else's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tdredis.planning.findings import GOES_S
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Ref, Snapshot
from tdredis.planning.steps import Apply
from tests.unit.planning.passes import plan, report
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
KINDS = pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])


def applied(made: Plan) -> set[Ref]:
    return {step.ref for step in made.steps if isinstance(step, Apply)}


def ready(seen: Snapshot) -> tuple[str, str]:
    """Reason and message."""
    found = next(each for each in report(seen, plan(seen)).conditions if each.type == "Ready")
    return found.reason, found.message


def first_pod(world: World) -> str:
    return "redis-cluster-rat-0-0" if isinstance(world, SimulatedCluster) else "redis-standby-tom-0"


@KINDS
def test_objects_of_a_deleted_namesake_are_waited_for_and_the_others_are_made(make: type[World]) -> None:
    seen = make().snapshot()
    everything = applied(plan(seen))
    left = frozenset(ref for ref in everything if ref.kind in ("Service", "NetworkPolicy"))

    made = plan(replace(seen, leftovers=left))

    assert left
    assert applied(made) == everything - left
    held = [hold.why for hold in made.holds if hold.guard == "leftover_objects_are_gone"]
    assert len(held) == len(left)
    assert not [why for why in held if "rename" in why]


@KINDS
@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_no_pod_begins_with_the_password_or_the_settings_of_a_deleted_namesake(make: type[World], kind: str) -> None:
    seen = make().snapshot()
    everything = applied(plan(seen))
    left = frozenset(ref for ref in everything if ref.kind == kind)
    with_pods = {ref for ref in everything if ref.kind in ("StatefulSet", "Deployment")}

    made = plan(replace(seen, leftovers=left))

    assert left
    assert with_pods
    assert applied(made) == everything - left - with_pods
    told = {hold.why.partition(" is created when ")[0]: hold.why for hold in made.holds}
    for ref in with_pods:
        assert all(str(each) in told[str(ref)] for each in left)


@KINDS
def test_a_claim_that_is_kept_is_named_with_what_to_type(make: type[World]) -> None:
    world = make(storageclass="fast")
    world.converge()
    pod = first_pod(world)
    seen = world.snapshot()
    kept = {f"redis-data-{pod}": ("kubernetes.io/pvc-protection",)}
    assert ready(replace(seen, kept_claims=kept))[0] != "ClaimStays", "its pod is there and uses it"

    gone = replace(
        seen,
        kept_claims=kept,
        pods={name: each for name, each in seen.pods.items() if name != pod},
        nodes={name: each for name, each in seen.nodes.items() if name != pod},
    )

    reason, message = ready(gone)
    assert reason == "ClaimStays"
    assert f"claim redis-data-{pod} is deleted and still there (kubernetes.io/pvc-protection)" in message
    assert f"kubectl patch pvc redis-data-{pod} --type=merge" in message


@KINDS
@pytest.mark.parametrize(("late_s", "is_named"), [(GOES_S - 1, False), (GOES_S + 1, True)])
def test_a_pod_that_stays_after_its_grace_is_named_with_its_node(
    make: type[World], late_s: float, is_named: bool
) -> None:
    world = make()
    world.converge()
    pod = first_pod(world)
    seen = world.snapshot()
    stays = replace(seen.pods[pod], deleting=True, gone_by=seen.now - late_s)

    _, message = ready(replace(seen, pods={**seen.pods, pod: stays}))

    assert (f"pod {pod} is deleted and still there: the kubelet of node node-1" in message) is is_named
    assert (f"kubectl delete pod {pod} --force --grace-period=0" in message) is is_named


@KINDS
def test_a_silent_process_is_named_with_its_node(make: type[World]) -> None:
    world = make()
    world.converge()
    process = world.pods[first_pod(world)].process
    assert process is not None
    process.silent = True

    assert "(node node-1)" in ready(world.snapshot())[1]


@KINDS
def test_a_deleted_service_is_asked_for_again_under_the_address_that_clients_know(make: type[World]) -> None:
    world = make()
    world.converge()
    status = world.snapshot().resource.status
    name = "predixy-redis-cluster-rat" if isinstance(world, SimulatedCluster) else "redis-standby-tom"
    del world.children[Ref("Service", name)]

    made = plan(world.snapshot())

    (step,) = (each for each in made.steps if isinstance(each, Apply) and each.ref == Ref("Service", name))
    spec = step.manifest["spec"]
    assert isinstance(spec, dict)
    assert f"{spec['clusterIP']}:6379" == status.cluster_ip
    world.converge()
    assert world.snapshot().resource.status.cluster_ip == status.cluster_ip


@KINDS
def test_a_new_resource_asks_for_no_address(make: type[World]) -> None:
    made = plan(make().snapshot())

    asked = [step.manifest["spec"] for step in made.steps if isinstance(step, Apply) and step.ref.kind == "Service"]
    assert asked
    assert not [spec for spec in asked if isinstance(spec, dict) and spec.get("clusterIP") not in (None, "None")]
