"""status.addresses: every way in, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from tdredis.api.instance import InstanceStatus
from tdredis.manifests.proxy import CONFIG_HASH
from tdredis.manifests.site import Site
from tdredis.planning.decide import assess, plan, report
from tdredis.planning.snapshot import ClusterSnapshot, Ref, Snapshot
from tdredis.planning.steps import Apply
from tdredis.redis.facts import ProxyFacts, Unknown
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

ENVOY = Site(images={"tongduncloud/predixy:1.0": "envoyproxy/envoy:v1.40"})
SILENT = Unknown(since=0.0, error="no answer within 0.25 s")


def seen(*reads: ProxyFacts | Unknown, **spec: object) -> ClusterSnapshot:
    world = SimulatedCluster(**spec)
    world.site = ENVOY
    world.balancers = True
    world.converge()
    snapshot = world.snapshot()
    return replace(snapshot, reads={f"predixy-{number}": read for number, read in enumerate(reads)})


def status(snapshot: Snapshot) -> InstanceStatus:
    assessment = assess(snapshot)
    return report(assessment, plan(assessment))


def addresses(snapshot: ClusterSnapshot) -> dict[str, str]:
    return dict(status(snapshot).addresses)


def ports(found: dict[str, str]) -> dict[str, int]:
    return {name: int(address.rpartition(":")[2]) for name, address in found.items()}


def test_a_proxy_that_speaks_resp3_has_an_address_for_it() -> None:
    snapshot = seen(ProxyFacts(resp3=True), ProxyFacts(resp3=True))
    found = addresses(snapshot)

    assert ports(found) == {"redis": 6379, "redis-resp3": 6380}
    assert found["redis"] == status(snapshot).cluster_ip


@pytest.mark.parametrize(
    ("reads", "before", "after"),
    [
        ([ProxyFacts(resp3=False), ProxyFacts(resp3=False)], True, False),
        ([ProxyFacts(resp3=False), ProxyFacts(resp3=True)], False, True),  # in the middle of a roll
        ([SILENT, ProxyFacts(resp3=None)], True, True),
        ([SILENT, ProxyFacts(resp3=None)], False, False),
        ([], True, True),
        ([SILENT, ProxyFacts(resp3=False)], True, False),
    ],
)
def test_it_is_there_while_one_says_so_and_as_before_while_none_says_anything(
    reads: list[ProxyFacts | Unknown], before: bool, after: bool
) -> None:
    snapshot = seen(*reads)
    former = {"redis": "10.0.0.1:6379", **({"redis-resp3": "10.0.0.1:6380"} if before else {})}
    cluster = structs.replace(snapshot.cluster, status=structs.replace(snapshot.cluster.status, addresses=former))

    assert ("redis-resp3" in addresses(replace(snapshot, cluster=cluster))) == after


@pytest.mark.parametrize("spec", [{"proxy": {"enabled": False}}, {"proxy": {"kind": "predixy"}}])
def test_without_an_envoy_there_is_none(spec: dict[str, object]) -> None:
    assert ports(addresses(seen(ProxyFacts(resp3=True), **spec))) == {"redis": 6379}


def test_outside_each_port_has_its_own_address() -> None:
    found = addresses(seen(ProxyFacts(resp3=True), netmode="NodePort", vip="172.17.128.8"))
    assert sorted(found) == ["redis", "redis-outside", "redis-resp3", "redis-resp3-outside"]
    assert found["redis-outside"] != found["redis-resp3-outside"]
    assert {found[name].partition(":")[0] for name in ("redis-outside", "redis-resp3-outside")} == {"172.17.128.8"}

    found = addresses(seen(ProxyFacts(resp3=True), netmode="LoadBalancer"))
    assert ports(found) == {"redis": 6379, "redis-outside": 6379, "redis-resp3": 6380, "redis-resp3-outside": 6380}


def test_a_standby_names_its_replicas_and_its_sentinels() -> None:
    world = SimulatedStandby()
    world.converge()
    snapshot = world.snapshot()

    found = dict(status(snapshot).addresses)
    assert ports(found) == {"redis": 6379, "redis-ro": 6379, "sentinel": 26379}
    assert len(set(found.values())) == 3


def test_a_proxy_of_before_gets_the_port_and_rolls_once() -> None:
    """As an older operator left them: a Service with one port, a Deployment made from another template."""
    world = SimulatedCluster()
    world.site = ENVOY
    world.converge()
    service, deployment = Ref("Service", "predixy-redis-cluster-rat"), Ref("Deployment", "predixy-redis-cluster-rat")
    world.children[service]["spec"]["ports"] = world.children[service]["spec"]["ports"][:1]  # type: ignore[index, call-overload]
    template: Any = world.children[deployment]["spec"]["template"]  # type: ignore[index, call-overload]
    template["metadata"]["annotations"][CONFIG_HASH] = "before"

    made, _ = world.run_pass()
    assert {step.ref for step in made.steps if isinstance(step, Apply)} == {service, deployment}
    world.converge()
    assert [port["port"] for port in world.children[service]["spec"]["ports"]] == [6379, 6380]  # type: ignore[index, call-overload, union-attr]

    assert plan(assess(world.snapshot())).steps == ()
