"""A RedisCluster that is changed: reached from outside, given more or less memory, watched, limited, and back."""

from __future__ import annotations

from typing import Any

import pytest

from tdredis.api.instance import Condition
from tdredis.api.json_object import JSON
from tdredis.manifests.claims import UNTRACKED
from tdredis.manifests.site import Site
from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import Apply, Meet, Remove, ResizePod, SetConfig, Step
from tests.unit.planning.simulated_cluster import SimulatedCluster

OUTSIDE: dict[str, Any] = {"proxy": {"enabled": False}, "netmode": "NodePort", "vip": "172.17.0.9"}
PODS = tuple(f"redis-cluster-rat-{shard}-{ordinal}" for shard in range(3) for ordinal in range(2))
MIB = 2**20


def healthy(site: Site | None = None, **spec: object) -> SimulatedCluster:
    world = SimulatedCluster(**spec)
    world.site = site or world.site
    world.converge()
    return world


def change(world: SimulatedCluster, **spec: object) -> None:
    world.resource["spec"].update(spec)  # type: ignore[union-attr, arg-type]


def passes(world: SimulatedCluster, count: int = 12) -> list[Plan]:
    return [world.run_pass()[0] for _ in range(count)]


def all_steps(plans: list[Plan]) -> list[Step]:
    return [step for each in plans for step in each.steps]


def announced_by(steps: list[Step] | tuple[Step, ...]) -> list[str]:
    return sorted(
        {step.process.pod for step in steps if isinstance(step, SetConfig) and step.parameter == "cluster-announce-ip"}
    )


def places(world: SimulatedCluster) -> dict[str, tuple[str, int]]:
    return {name: pod.process.address for name, pod in sorted(world.pods.items()) if pod.process}


def own_services(world: SimulatedCluster) -> set[str]:
    return {ref.name for ref in world.children if ref.kind == "Service" and ref.name in PODS}


def accepted(world: SimulatedCluster) -> Condition:
    return next(each for each in world.cluster.status.conditions if each.type == "Accepted")


# ---- reached from outside


def test_without_a_proxy_every_node_is_announced_where_its_own_service_leads() -> None:
    world = healthy(**OUTSIDE)

    assert {host for host, _ in places(world).values()} == {"172.17.0.9"}
    ports = {
        name: world.children[Ref("Service", name)]["spec"]["ports"][0]["nodePort"]  # type: ignore[index, call-overload]
        for name in PODS
    }
    assert {name: port for name, (_, port) in places(world).items()} == ports
    assert len(set(ports.values())) == len(PODS)


def test_switching_it_on_begins_with_one_replica_and_disturbs_no_acquaintance() -> None:
    world = healthy(proxy={"enabled": False})
    change(world, **OUTSIDE)

    plans = passes(world)

    stages = [found for each in plans if (found := announced_by(each.steps))]
    assert stages == [["redis-cluster-rat-0-1"], sorted(set(PODS) - {"redis-cluster-rat-0-1"})]
    assert not [step for step in all_steps(plans) if isinstance(step, Meet)]
    assert (plans[-1].steps, plans[-1].verdict) == ((), Verdict.HEALTHY)


def steps_of_switching_on() -> int:
    world = healthy(proxy={"enabled": False})
    change(world, **OUTSIDE)
    return len(all_steps(passes(world)))


@pytest.mark.parametrize("after", range(0, steps_of_switching_on(), 3))
def test_an_operator_that_dies_while_addresses_change_is_succeeded_by_one_that_finishes(after: int) -> None:
    world = healthy(proxy={"enabled": False})
    change(world, **OUTSIDE)
    left = after
    while left > 0:
        made, done = world.run_pass(interrupt_after=left)
        left -= done
        assert not [step for step in made.steps if isinstance(step, Meet)]
        world.settle()

    world.converge()

    assert {host for host, _ in places(world).values()} == {"172.17.0.9"}


def test_nobody_follows_before_the_first_is_known_at_its_new_address_and_waiting_is_no_alarm() -> None:
    world = healthy(proxy={"enabled": False})
    world.gossips = False
    change(world, **OUTSIDE)

    plans = passes(world)

    assert announced_by(all_steps(plans)) == ["redis-cluster-rat-0-1"]
    assert not [step for step in all_steps(plans) if isinstance(step, Meet)]
    assert "announced_addresses_are_known" in {hold.guard for hold in plans[-1].holds}
    assert accepted(world).status == "True"
    assert plans[-1].next_look_s <= 1.0
    world.gossips = True
    passes(world)
    assert {host for host, _ in places(world).values()} == {"172.17.0.9"}


def test_an_address_that_pods_do_not_reach_costs_one_replica_s_acquaintances_and_is_named() -> None:
    world = healthy(proxy={"enabled": False})
    world.outside_is_reached = False
    change(world, **OUTSIDE)

    plans = passes(world)

    assert announced_by(all_steps(plans)) == ["redis-cluster-rat-0-1"]
    assert accepted(world).reason == "announced_addresses_are_reached"
    assert "172.17.0.9" in accepted(world).message
    change(world, netmode="ClusterIP")
    world.converge()
    assert places(world)["redis-cluster-rat-0-1"][0].startswith("10.88.")


def test_switching_it_off_takes_the_services_when_nobody_believes_in_their_addresses() -> None:
    world = healthy(**OUTSIDE)
    world.gossips = False
    change(world, netmode="ClusterIP")
    plans = passes(world)
    assert announced_by(plans[0].steps) == list(PODS)
    assert not [step for step in all_steps(plans) if isinstance(step, Remove | Meet)]
    assert own_services(world) == set(PODS)

    world.gossips = True
    passes(world)

    assert own_services(world) == set()
    assert {port for _, port in places(world).values()} == {6379}


def test_a_pod_made_anew_gets_its_address_again_and_is_introduced_only_once() -> None:
    world = healthy(**OUTSIDE)
    before = places(world)
    world.lose("redis-cluster-rat-1-1", keeps_data=True)
    node = world.pods["redis-cluster-rat-1-1"].process
    assert node is not None
    node.announced = {}  # by the start script: the pod's own

    plans = passes(world)

    assert places(world) == before
    assert not [step for step in all_steps(plans[2:]) if isinstance(step, Meet)]


def test_another_vip_is_announced_in_the_place_of_the_former() -> None:
    world = healthy(**OUTSIDE)
    change(world, vip="172.17.0.10")

    plans = passes(world)

    assert {host for host, _ in places(world).values()} == {"172.17.0.10"}
    assert not [step for step in all_steps(plans) if isinstance(step, Meet)]


def test_a_cluster_that_broke_with_its_vip_is_whole_again_under_another() -> None:
    """All nodes lost each other at once: the first announcement is not awaited, there is nothing to lose."""
    world = healthy(**OUTSIDE)
    ids = {node.id for node in world.nodes()}
    for node in world.nodes():
        node.unlinked = ids - {node.id}
    world.gossips = False
    change(world, vip="172.17.0.10")

    plans = passes(world)

    assert announced_by(plans[0].steps) == list(PODS)
    assert {host for host, _ in places(world).values()} == {"172.17.0.10"}
    assert [step for step in all_steps(plans) if isinstance(step, Meet)]
    assert plans[-1].verdict is Verdict.HEALTHY


def test_a_vip_that_is_a_name_is_held_with_what_to_write() -> None:
    world = healthy(proxy={"enabled": False})
    change(world, **{**OUTSIDE, "vip": "redis.example"})

    plans = passes(world, 3)

    assert announced_by(all_steps(plans)) == []
    assert (accepted(world).status, accepted(world).reason) == ("False", "vip_is_an_ip")


# ---- memory


def limits(world: SimulatedCluster) -> set[str]:
    return {pod.resources["limits"]["memory"] for pod in world.pods.values()}


def maxmemories(world: SimulatedCluster) -> set[int]:
    return {node.maxmemory // MIB for node in world.nodes()}


RESIZABLE = Site(pod_resize=True)


def order(plans: list[Plan]) -> list[str]:
    """Which came first: the limit or maxmemory; a word a pass."""
    words = []
    for each in plans:
        kinds = {
            "limit" if isinstance(step, ResizePod) else "maxmemory"
            for step in each.steps
            if isinstance(step, ResizePod) or (isinstance(step, SetConfig) and step.parameter == "maxmemory")
        }
        words += sorted(kinds)
    return words


@pytest.mark.parametrize(
    ("capacity", "expected"), [(768, ["limit", "maxmemory"]), (192, ["maxmemory", "limit"])], ids=["more", "less"]
)
def test_a_container_s_limit_is_never_below_what_redis_may_use(capacity: int, expected: list[str]) -> None:
    world = healthy(RESIZABLE, memoryOverheadPercent=50)
    change(world, capacity=capacity)

    plans = passes(world, 6)

    assert order(plans) == expected
    assert not [hold for each in plans for hold in each.holds]
    assert (limits(world), maxmemories(world)) == ({f"{capacity // 2}Mi"}, {capacity // 3})
    assert world.cluster.status.phase == "Ready"


def test_where_a_container_cannot_grow_new_pods_have_more_maxmemory_and_no_others() -> None:
    world = healthy(memoryOverheadPercent=50)
    change(world, capacity=768)

    phases = set()
    for _ in range(60):
        world.run_pass()
        phases.add(world.cluster.status.phase)
        for pod in world.pods.values():
            if pod.process is not None:
                most = {"192Mi": 128 * MIB, "384Mi": 256 * MIB}[pod.given["limits"]["memory"]]
                assert pod.process.maxmemory <= most, "the kernel would end the process"
        assert accepted(world).status == "True"

    assert maxmemories(world) == {256}
    assert "UpdateQuota" in phases
    assert (accepted(world).reason, world.cluster.status.phase) == ("AsSpecified", "Ready")


def test_more_memory_within_the_container_s_limit_waits_for_nothing() -> None:
    world = healthy(resources={"limits": {"memory": "1Gi"}})
    change(world, capacity=768)

    world.converge()

    assert maxmemories(world) == {256}


# ---- labels, volumes, policies, monitors


def test_pods_are_labelled_with_their_roles_and_the_labels_follow_a_handover() -> None:
    world = healthy()
    assert {name: pod.role for name, pod in world.pods.items()} == {
        name: "primary" if name.endswith("-0") else "replica" for name in PODS
    }
    primary, replica = world.pods[PODS[0]].process, world.pods[PODS[1]].process
    assert primary is not None
    assert replica is not None
    primary.slots, replica.slots = replica.slots, primary.slots
    primary.primary, replica.primary = replica.id, None

    world.converge()

    assert (world.pods[PODS[0]].role, world.pods[PODS[1]].role) == ("replica", "primary")


def test_a_silent_pod_keeps_its_label() -> None:
    world = healthy()
    world.nodes()[0].silent = True

    made, _ = world.run_pass()

    assert made.steps == ()


def test_volumes_go_with_the_resource_when_they_are_not_retained_any_more() -> None:
    world = healthy(storageclass="fast")
    told: dict[str, JSON] = {"annotations": {**UNTRACKED}}
    world.claims = {
        f"redis-data-{name}": {"metadata": {"name": f"redis-data-{name}", "uid": name, **told}} for name in PODS
    }
    assert world.run_pass()[1] == 0
    change(world, storage={"retain": False})

    world.converge()

    owned = [each["metadata"].get("ownerReferences") for each in world.claims.values()]  # type: ignore[union-attr]
    assert [each[0]["uid"] for each in owned] == ["uid-rat"] * 6  # type: ignore[index, call-overload]


def test_what_is_switched_on_is_made_and_what_is_switched_off_goes() -> None:
    world = healthy(Site(pod_monitors=True))
    before = set(world.children)
    change(world, networkPolicy={"enabled": True}, podMonitor=True)

    world.converge()

    assert {ref.kind for ref in set(world.children) - before} == {"NetworkPolicy", "PodMonitor"}
    change(world, networkPolicy={"enabled": False}, podMonitor=False)
    world.converge()
    assert set(world.children) == before


def test_a_pod_monitor_that_cannot_be_made_is_named_and_stops_nothing() -> None:
    world = healthy(podMonitor=True)

    assert (accepted(world).status, accepted(world).reason) == ("False", "pod_monitors_are_served")
    assert world.cluster.status.phase == "Ready"


def test_no_label_is_written_for_a_pod_that_is_another_by_now() -> None:
    """The step carries the uid, so that the server refuses it."""
    world = SimulatedCluster()
    for _ in range(8):
        made, _ = world.run_pass()
        for step in made.steps:
            if isinstance(step, Apply) and step.ref.kind == "Pod":
                metadata: Any = step.manifest["metadata"]
                assert metadata["uid"].startswith(f"uid-{step.ref.name}-")
