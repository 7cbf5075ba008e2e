"""Addresses for outside that lead elsewhere, or nowhere, are not given out; the reason is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tdredis.planning.plan import Plan
from tdredis.planning.rules import ALL_IS_WELL_S
from tdredis.planning.snapshot import Ref, Trial
from tdredis.planning.steps import AnnounceSentinel, Follow, Reconnect, SetConfig
from tdredis.planning.trials import SETTLES_S
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
VIP = "172.17.0.9"


def cluster(**spec: object) -> SimulatedCluster:
    return SimulatedCluster(proxy={"enabled": False}, **spec)


def standby(**spec: object) -> SimulatedStandby:
    return SimulatedStandby("RedisStandby", sentinel={"external": True}, replicas=2, **spec)


KINDS = pytest.mark.parametrize("make", [cluster, standby], ids=["cluster", "standby"])


def inside(make: Callable[..., World]) -> World:
    world = make()
    world.converge()
    return world


def changed(world: World, **spec: object) -> None:
    world.resource["spec"] = {**world.resource["spec"], **spec}  # type: ignore[dict-item]


def passes(world: World, count: int = 8) -> list[Plan]:
    return [world.run_pass()[0] for _ in range(count)]


def told(plans: list[Plan]) -> list[str]:
    """Steps after which somebody gives himself out elsewhere, or connects again."""
    return [
        str(step)
        for each in plans
        for step in each.steps
        if isinstance(step, AnnounceSentinel | Reconnect | Follow)
        or (isinstance(step, SetConfig) and "announce" in step.parameter)
    ]


def accepted(world: World) -> tuple[str, str, str]:
    conditions = world.resource["status"]["conditions"]  # type: ignore[index, call-overload]
    found = next(each for each in conditions if each["type"] == "Accepted")  # type: ignore[index, call-overload, union-attr]
    return found["status"], found["reason"], found["message"]  # type: ignore[index, call-overload, return-value]


BAD = pytest.mark.parametrize(
    ("verdict", "guard"),
    [
        ("nowhere", "announced_addresses_lead_to_pods"),
        ("elsewhere", "announced_addresses_lead_to_pods"),
        ("untried", "announced_addresses_can_be_tried"),
    ],
)


@KINDS
@BAD
def test_an_address_that_does_not_lead_to_its_pod_is_held_and_told_and_given_out_when_it_does(
    make: Callable[..., World], verdict: str, guard: str
) -> None:
    world = inside(make)
    world.leads = Trial(verdict=verdict, words="as it was seen", for_s=60.0)
    changed(world, netmode="NodePort", vip=VIP)

    plans = passes(world)

    assert told(plans) == []
    status, reason, message = accepted(world)
    assert (status, reason) == ("False", guard)
    assert "as it was seen" in message
    assert ("outside.verify: off" in message) == (verdict == "untried")
    assert plans[-1].next_look_s == ALL_IS_WELL_S, "it is looked at again in peace"
    assert world.resource["status"]["phase"] == "Ready"  # type: ignore[index, call-overload]

    world.leads = Trial(verdict="leads")
    world.converge()
    assert told(passes(world, 1)) == []
    assert accepted(world)[0] == "True"


@KINDS
def test_a_new_service_is_given_a_moment_before_anything_is_said_of_it(make: Callable[..., World]) -> None:
    world = inside(make)
    world.leads = Trial(verdict="nowhere", words="refused", for_s=SETTLES_S - 1)
    changed(world, netmode="NodePort", vip=VIP)

    plans = passes(world)

    assert told(plans) == []
    assert accepted(world)[0] == "True"


@KINDS
def test_untried_addresses_are_given_out_where_the_owner_says_so(make: Callable[..., World]) -> None:
    world = inside(make)
    world.leads = Trial(verdict="untried", words="no route", for_s=60.0)
    changed(world, netmode="NodePort", vip=VIP, outside={"verify": "off"})

    world.converge()

    assert accepted(world)[0] == "True"
    conf = [each for pod in world.pods.values() if (each := pod.process) is not None]
    assert conf
    assert {host for host, _ in places(world)} == {VIP}


@KINDS
def test_what_leads_nowhere_keeps_only_its_own_pod(make: Callable[..., World]) -> None:
    world = inside(make)
    world.leads = Trial(verdict="nowhere", words="it is new")
    changed(world, netmode="NodePort", vip=VIP)
    passes(world, 2)
    pod = "redis-cluster-rat-1-1" if isinstance(world, SimulatedCluster) else "redis-standby-tom-1"
    ports = world.children[Ref("Service", pod)]["spec"]["ports"]  # type: ignore[index, call-overload]
    refused = Trial(verdict="nowhere", words="refused", for_s=60.0)
    world.leads_of = {f"{VIP}:{ports[0]['nodePort']}": refused}  # type: ignore[index, call-overload]
    world.leads = Trial(verdict="leads")

    passes(world)

    hosts = [host for host, _ in places(world)]
    assert len([host for host in hosts if host != VIP]) == 1
    assert pod in accepted(world)[2]


@KINDS
def test_the_way_back_is_not_tried(make: Callable[..., World]) -> None:
    world = make(netmode="NodePort", vip=VIP)
    world.converge()
    world.leads = Trial(verdict="nowhere", words="refused", for_s=60.0)
    changed(world, netmode="ClusterIP")

    world.converge()

    assert VIP not in {host for host, _ in places(world)}


def places(world: World) -> list[tuple[str, int]]:
    """Where each Redis process says that it is."""
    if isinstance(world, SimulatedStandby):
        return [world.place(pod) for pod in world.redis()]
    return [node.address for node in world.nodes()]
