"""Plans of a RedisStandby whose processes give themselves out under the addresses of their own Services."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from tdredis.manifests.services import is_external_service
from tdredis.planning.addresses import leads_from
from tdredis.planning.live import Live
from tdredis.planning.rules import ENGINE_WORKS_S
from tdredis.planning.steps import Follow, Monitor, Reconnect, Remove, SetConfig
from tdredis.redis.facts import NodeFacts
from tests.unit.planning.passes import plan
from tests.unit.planning.simulated_standby import SimulatedStandby
from tests.unit.planning.test_standby_plans import FIRST, SECOND, THIRD, healthy, planned, spec_of, with_data

VIP = "172.17.0.9"
OUTSIDE: dict[str, object] = {"netmode": "NodePort", "vip": VIP, "sentinel": {"external": True}, "replicas": 2}


def known_to_sentinels(world: SimulatedStandby) -> set[str]:
    """Hosts of everybody they watch."""
    watched = [one.watched["mymaster"] for one in world.sentinels().values()]
    return {host for each in watched for host, _ in (each.place, *each.replicas, *each.others.values())}


def test_everybody_is_known_where_clients_reach_him() -> None:
    world = healthy(**OUTSIDE)

    assert world.instance.status.phase == "Ready"
    assert known_to_sentinels(world) == {VIP}
    assert planned(world).steps == ()


@pytest.mark.parametrize(("before", "after"), [("ClusterIP", "NodePort"), ("NodePort", "ClusterIP")])
def test_switching_loses_nothing_and_ends(before: str, after: str) -> None:
    world = with_data(**{**OUTSIDE, "netmode": before})

    spec_of(world, netmode=after)
    plans = [made for made, _ in (world.run_pass() for _ in range(12))]
    looks = [made.next_look_s for made in plans if any(not isinstance(step, Remove) for step in made.steps)]
    assert max(looks[1:]) <= ENGINE_WORKS_S, "nobody tells of what processes were told: it is looked at at once"
    world.converge()

    assert {redis.keys for redis in world.redis().values()} == {10}
    assert world.primaries() == [FIRST]
    assert world.instance.status.phase == "Ready"
    assert (VIP in known_to_sentinels(world)) == (after == "NodePort")


def test_a_process_that_comes_back_says_where_it_is_before_it_connects() -> None:
    """A replica tells its primary once, when it connects; Sentinels have it from the primary."""
    world = with_data(**OUTSIDE)
    world.restart(SECOND)
    world.settle()

    made, _ = world.run_pass()

    assert [type(step) for step in made.steps if isinstance(step, SetConfig | Follow)] == [SetConfig, SetConfig, Follow]
    assert not [step for step in made.steps if isinstance(step, Monitor)], "Sentinels know its outer address"
    assert world.redis()[SECOND].told == world.place(SECOND)


def test_a_replica_that_connected_too_early_connects_again() -> None:
    world = with_data(**OUTSIDE)
    world.redis()[SECOND].told = (world.pods[SECOND].ip, 6379)
    for sentinel in world.sentinels().values():  # all three have begun anew since
        sentinel.watched["mymaster"].replicas.clear()
    world.settle()
    assert known_to_sentinels(world) != {VIP}

    made, _ = world.run_pass()
    assert [step.process.pod for step in made.steps if isinstance(step, Reconnect)] == [SECOND]

    world.converge()
    assert world.redis()[SECOND].told == world.place(SECOND)
    assert world.place(SECOND) in world.sentinels()["sentinel-standby-tom-0"].watched["mymaster"].replicas
    assert world.instance.status.phase == "Ready"


def test_a_strangers_replica_is_no_reason_to_connect_again() -> None:
    world = with_data(**OUTSIDE)
    world.strangers.add(("10.9.9.9", 6379))
    world.settle()

    assert not [step for step in planned(world).steps if isinstance(step, Reconnect)]


def test_a_sentinel_that_knows_a_process_under_two_addresses_forgets_both() -> None:
    """Seen on real Sentinels: promoted, the process is at one address the primary and at the other a replica that says
    that it is a primary, and so it is made to follow itself.
    """
    world = with_data(**OUTSIDE)
    twice = world.sentinels()["sentinel-standby-tom-1"].watched["mymaster"]
    twice.replicas.add((world.pods[SECOND].ip, 6379))

    made, _ = world.run_pass()
    assert [step.process.pod for step in made.steps if isinstance(step, Monitor)] == ["sentinel-standby-tom-1"]

    world.converge()
    assert known_to_sentinels(world) == {VIP}


def test_a_replica_that_its_primary_has_not_listed_yet_is_left_alone() -> None:
    """They were asked a few milliseconds apart, and a stranger's replica is listed."""
    world = with_data(**OUTSIDE)
    world.strangers.add(("10.9.9.9", 6379))
    world.settle()
    seen = world.snapshot()
    primary = seen.nodes[FIRST]
    assert isinstance(primary, NodeFacts)
    link = primary.replication
    early = structs.replace(primary, replication=structs.replace(link, replicas=link.replicas - {world.place(SECOND)}))

    made = plan(replace(seen, nodes={**seen.nodes, FIRST: early}))

    assert not [step for step in made.steps if isinstance(step, Reconnect)]


def test_replicas_connect_again_one_at_a_time() -> None:
    world = with_data(**OUTSIDE)
    for pod in (SECOND, THIRD):
        world.redis()[pod].told = (world.pods[pod].ip, 6379)
    world.settle()

    made, _ = world.run_pass()
    assert [step.process.pod for step in made.steps if isinstance(step, Reconnect)] == [SECOND]

    world.converge()
    assert {world.redis()[pod].told for pod in (SECOND, THIRD)} == {world.place(SECOND), world.place(THIRD)}


def own_services(world: SimulatedStandby) -> list[str]:
    return [ref.name for ref, live in world.children.items() if ref.kind == "Service" and is_external_service(live)]


def test_services_of_pods_go_when_nobody_uses_them_any_more_and_not_before() -> None:
    """The simulator refuses to delete one that is used."""
    world = with_data(**OUTSIDE)
    spec_of(world, netmode="ClusterIP")
    late = world.sentinels()["sentinel-standby-tom-1"]
    late.silent = True

    for _ in range(12):
        world.run_pass()
    assert len(own_services(world)) == 6, "a Sentinel that does not answer may still use them"

    late.silent = False
    world.converge()
    assert own_services(world) == []
    assert {redis.keys for redis in world.redis().values()} == {10}


@pytest.mark.parametrize(
    ("service", "place", "leads"),
    [
        ({"ports": [{"port": 6379, "nodePort": 30001}]}, ("172.17.0.9", 30001), True),
        ({"ports": [{"port": 6379, "nodePort": 30001}]}, ("172.17.0.10", 30001), True),
        ({"ports": [{"port": 6379, "nodePort": 30001}]}, ("172.17.0.9", 30002), False),
        ({"ports": [{"port": 6379}]}, ("203.0.113.5", 6379), True),
        ({"ports": [{"port": 6379}]}, ("10.0.0.1", 6379), False),
        ({}, ("203.0.113.5", 6379), False),
    ],
)
def test_what_leads_to_a_pod_is_its_service_s_port_on_any_node_or_its_balancer(
    service: dict[str, object], place: tuple[str, int], leads: bool
) -> None:
    live: Any = {"spec": service, "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.5"}]}}}

    assert leads_from(Live.of(live), *place) is leads
