"""A primary misses one answer while addresses change: that nobody has its address is no proof that it died."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tdredis.planning.identity import NOBODY_KNOWS
from tdredis.planning.plan import Plan
from tdredis.planning.rules import ALL_IS_WELL_S
from tdredis.planning.snapshot import PodFacts, Ref
from tdredis.planning.steps import FailOver, FailOverShard, Promote, TakeOverShard
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
FORCED = (FailOver, FailOverShard, Promote, TakeOverShard)
VIP, OTHER = "172.17.0.9", "172.17.0.10"


def cluster() -> SimulatedCluster:
    return SimulatedCluster(netmode="NodePort", vip=VIP, proxy={"enabled": False})


def standby() -> SimulatedStandby:
    return SimulatedStandby(netmode="NodePort", vip=VIP, sentinel={"external": True}, replicas=2)


def balanced_cluster() -> SimulatedCluster:
    return SimulatedCluster(netmode="LoadBalancer", proxy={"enabled": False})


def balanced_standby() -> SimulatedStandby:
    return SimulatedStandby(netmode="LoadBalancer", sentinel={"external": True}, replicas=2)


KINDS = pytest.mark.parametrize("make", [cluster, standby], ids=["cluster", "standby"])
BALANCED = pytest.mark.parametrize("make", [balanced_cluster, balanced_standby], ids=["cluster", "standby"])


def primary_of(world: World) -> str:
    if isinstance(world, SimulatedStandby):
        (name,) = world.primaries()
        return name
    return min(name for name, pod in world.pods.items() if pod.process is not None and pod.process.slots)


def fall_silent(world: World, pod: str) -> None:
    process = world.pods[pod].process
    assert process is not None
    process.silent = True


def changed(world: World, **spec: object) -> None:
    world.resource["spec"] = {**world.resource["spec"], **spec}  # type: ignore[dict-item]


def forced(made: Plan) -> list[str]:
    return [str(step) for step in made.steps if isinstance(step, FORCED)]


def another_vip(world: World, _: str) -> None:
    changed(world, vip=OTHER)


def another_mode(world: World, _: str) -> None:
    changed(world, netmode="LoadBalancer")


def inside_again(world: World, _: str) -> None:
    changed(world, netmode="ClusterIP")


def no_service(world: World, pod: str) -> None:
    del world.children[Ref("Service", pod)]


def another_port(world: World, pod: str) -> None:
    ports = world.children[Ref("Service", pod)]["spec"]["ports"]  # type: ignore[index, call-overload]
    for port in ports:  # type: ignore[union-attr]
        port["nodePort"] += 500  # type: ignore[index, call-overload, operator]


def anothers_port(world: World, pod: str) -> None:
    """Another pod's Service has the port by now that was the primary's."""
    other = next(
        name for name in sorted(world.pods) if name != pod and name.rpartition("-")[0] == pod.rpartition("-")[0]
    )
    one, two = Ref("Service", pod), Ref("Service", other)
    specs = world.children[one]["spec"], world.children[two]["spec"]
    world.children[one]["spec"], world.children[two]["spec"] = specs[1], specs[0]


CHANGES = pytest.mark.parametrize(
    "change", [another_vip, another_mode, inside_again, no_service, another_port, anothers_port]
)


@KINDS
@CHANGES
def test_a_primary_that_is_silent_while_addresses_change_keeps_its_place(
    make: Callable[[], World], change: Callable[[World, str], None]
) -> None:
    world = make()
    world.converge()
    primary = primary_of(world)
    fall_silent(world, primary)
    change(world, primary)

    plans = [world.run_pass()[0] for _ in range(6)]

    assert [forced(each) for each in plans] == [[]] * 6
    assert "primary_is_proven_dead" in {hold.guard for each in plans for hold in each.holds}


@KINDS
@CHANGES
def test_an_operator_that_has_just_begun_does_not_guess_either(
    make: Callable[[], World], change: Callable[[World, str], None]
) -> None:
    world = make()
    world.converge()
    primary = primary_of(world)
    fall_silent(world, primary)
    change(world, primary)
    world.known_pods.clear()

    assert forced(plan(world.snapshot())) == []


@BALANCED
def test_a_balancer_s_address_that_changes_is_no_death(make: Callable[[], World]) -> None:
    world = make()
    world.balancers = True
    world.converge()
    primary = primary_of(world)
    fall_silent(world, primary)
    world.children[Ref("Service", primary)]["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.250"}]}}

    assert forced(plan(world.snapshot())) == []
    world.known_pods.clear()
    assert forced(plan(world.snapshot())) == []


@KINDS
@CHANGES
@pytest.mark.parametrize("remembers", [True, False])
def test_a_primary_whose_pod_is_gone_is_replaced_whatever_addresses_do(
    make: Callable[[], World], change: Callable[[World, str], None], remembers: bool
) -> None:
    world = make()
    world.converge()
    primary = primary_of(world)
    change(world, primary)
    if not remembers:
        world.known_pods.clear()
    world.lose(primary)

    assert forced(plan(world.snapshot())) != []


@pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])
@pytest.mark.parametrize("remembers", [True, False])
def test_inside_too_a_pod_that_is_gone_is_proof(make: Callable[[], World], remembers: bool) -> None:
    world = make()
    world.converge()
    if not remembers:
        world.known_pods.clear()
    world.lose(primary_of(world))

    assert forced(plan(world.snapshot())) != []


@KINDS
def test_labels_that_somebody_removed_are_put_back_and_nothing_else_is_done(make: Callable[[], World]) -> None:
    world = make()
    world.converge()
    primary = primary_of(world)
    world.pods[primary].lost_labels = {"app.kubernetes.io/managed-by": "td-redis-operator"}

    made, _ = world.run_pass()

    assert [str(step) for step in made.steps] == [f"put labels back onto pod {primary}"]
    assert world.run_pass()[0].steps == ()


@KINDS
def test_a_pod_of_which_only_the_name_is_known_may_be_the_primary_s(make: Callable[[], World]) -> None:
    """The operator has just begun, and the API server does not say whether it is there."""
    world = make()
    world.converge()
    primary = primary_of(world)
    fall_silent(world, primary)
    snapshot = world.snapshot()
    nameless = PodFacts(name=primary, uid=NOBODY_KNOWS, created=snapshot.now)
    snapshot = replace(snapshot, known_pods={}, pods={**snapshot.pods, primary: nameless})

    made = plan(snapshot)

    assert forced(made) == []
    assert "primary_is_proven_dead" in {hold.guard for hold in made.holds}


def test_services_of_pods_that_a_held_edit_would_not_have_are_not_waited_to_go() -> None:
    world = SimulatedCluster(netmode="NodePort", vip=VIP, proxy={"enabled": False}, size=4)
    world.converge()
    for node in world.nodes():
        node.used_mib, node.keys = 80, 1000
    changed(world, size=3, capacity=288)

    made = [world.run_pass()[0] for _ in range(4)][-1]

    assert "shards_have_room" in {hold.guard for hold in made.holds}
    assert (made.steps, made.next_look_s) == ((), ALL_IS_WELL_S)
