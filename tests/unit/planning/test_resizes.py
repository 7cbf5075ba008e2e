"""More memory while Redis runs: its container has it before maxmemory rises, and new pods never ask for more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tdredis.manifests.site import Site
from tdredis.planning.plan import Plan
from tdredis.planning.sizing import resize_refusal
from tdredis.planning.snapshot import Ref, Trouble
from tdredis.planning.steps import Apply, ResizePod, SetConfig
from tests.unit.planning.passes import REFUSALS
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
KINDS = pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])
DEFERRED = Trouble(reason="Deferred", message="Node didn't have enough resource: memory, requested: 2, used: 3")
INFEASIBLE = Trouble(reason="Infeasible", message="Node didn't have enough capacity: memory, requested: 2, capacity: 1")
ERROR = Trouble(reason="Error", message="cgroup says no")
MIB = 2**20


def healthy(make: Callable[..., World]) -> World:
    world = make(capacity=384, memoryOverheadPercent=50)
    world.site = Site(pod_resize=True)
    world.converge()
    return world


def shards(world: World) -> int:
    return 3 if isinstance(world, SimulatedCluster) else 1


def name_of(world: World) -> str:
    return "redis-cluster-rat-0" if isinstance(world, SimulatedCluster) else "redis-standby-tom"


def capacity(world: World, mib: int) -> None:
    world.resource["spec"] = {**world.resource["spec"], "capacity": mib}  # type: ignore[dict-item]


def passes(world: World, count: int = 8) -> list[Plan]:
    return [world.run_pass()[0] for _ in range(count)]


def template_limit(world: World) -> str:
    live = world.children[Ref("StatefulSet", name_of(world))]
    containers = live["spec"]["template"]["spec"]["containers"]  # type: ignore[index, call-overload]
    return containers[0]["resources"]["limits"]["memory"]  # type: ignore[index, call-overload, return-value]


def conf_limit(world: World) -> str:
    name = name_of(world).removesuffix("-0")
    conf = world.children[Ref("ConfigMap", name)]["data"]["redis.conf"]  # type: ignore[index, call-overload]
    return next(line for line in str(conf).splitlines() if line.startswith("maxmemory "))


def maxmemories(world: World) -> set[int]:
    processes = (pod.process for name, pod in world.pods.items() if name.startswith(name_of(world)))
    return {each.maxmemory // MIB for each in processes if each is not None and not hasattr(each, "watched")}


def accepted(world: World) -> tuple[str, str, str]:
    conditions = world.resource["status"]["conditions"]  # type: ignore[index, call-overload]
    found = next(each for each in conditions if each["type"] == "Accepted")  # type: ignore[index, call-overload, union-attr]
    return found["status"], found["reason"], found["message"]  # type: ignore[index, call-overload, return-value]


@KINDS
@pytest.mark.parametrize("trouble", [DEFERRED, INFEASIBLE, ERROR], ids=lambda each: each.reason)
def test_a_resize_that_waits_holds_maxmemory_the_template_and_the_file_and_is_told(
    make: Callable[..., World], trouble: Trouble
) -> None:
    world = healthy(make)
    before = (template_limit(world), conf_limit(world), maxmemories(world))
    world.holds_resizes = trouble
    capacity(world, 768)

    passes(world)

    assert (template_limit(world), conf_limit(world), maxmemories(world)) == before
    status, reason, message = accepted(world)
    assert (status, reason) == ("False", "memory_limit_follows")
    assert f"{trouble.reason} ({trouble.message})" in message

    world.holds_resizes = None
    for pod in world.pods.values():
        pod.given = pod.resources
    world.converge()
    each = 768 // shards(world)
    assert (template_limit(world), conf_limit(world)) == (f"{each * 3 // 2}Mi", f"maxmemory {each}mb")
    assert maxmemories(world) == {each}
    assert accepted(world)[0] == "True"


@KINDS
def test_a_resize_that_is_refused_leaves_the_template_as_it_is(make: Callable[..., World]) -> None:
    world = healthy(make)
    before = (template_limit(world), conf_limit(world), maxmemories(world))
    world.refuses_resizes = True
    capacity(world, 768)

    plans = passes(world)

    assert (template_limit(world), conf_limit(world), maxmemories(world)) == before
    assert [step for step in plans[-1].steps if isinstance(step, ResizePod)], "it is tried again, at its pace"
    capacity(world, 384)
    world.converge()
    assert accepted(world)[0] == "True"


@KINDS
def test_a_promise_that_is_about_to_be_kept_is_no_alarm(make: Callable[..., World]) -> None:
    world = healthy(make)
    world.holds_resizes = Trouble(reason="", message="")
    capacity(world, 768)
    world.run_pass()
    world.holds_resizes = None

    made, _ = world.run_pass()

    assert accepted(world)[0] == "True"
    assert not [step for step in made.steps if isinstance(step, SetConfig) and step.parameter == "maxmemory"]


@KINDS
def test_less_memory_is_taken_in_its_order_whatever_holds_resizes(make: Callable[..., World]) -> None:
    """The simulator refuses a limit below maxmemory."""
    world = healthy(make)
    capacity(world, 192)

    world.converge()

    each = 192 // shards(world)
    assert (template_limit(world), conf_limit(world)) == (f"{each * 3 // 2}Mi", f"maxmemory {each}mb")
    assert maxmemories(world) == {each}


@KINDS
def test_where_nothing_is_resized_in_place_the_template_goes_first_as_pods_are_made_anew(
    make: Callable[..., World],
) -> None:
    world = healthy(make)
    world.site = Site()
    capacity(world, 768)

    for _ in range(8):
        world.run_pass()

        each = 768 // shards(world)
        assert template_limit(world) == f"{each * 3 // 2}Mi"
        assert conf_limit(world) == f"maxmemory {384 // shards(world)}mb", "a pod of before may start again"
        assert accepted(world)[:2] == ("True", "Rolling")


RESIZE = ResizePod(pod="p", uid="u", container="redis", requests=(), limits=(), why="")
APPLY = Apply(ref=Ref("Service", "s"), manifest={}, why="")


@pytest.mark.parametrize(
    ("failed", "kind", "is_refused"),
    [*((RESIZE, kind, told) for kind, told in REFUSALS), (APPLY, "403 Forbidden", False), (None, "", False)],
)
def test_what_the_server_refuses_a_container_is_a_refusal_of_spec(
    failed: ResizePod | Apply | None, kind: str, is_refused: bool
) -> None:
    hold = resize_refusal(failed, kind, "resize pod p: 403 Forbidden: not enough")

    assert (hold is not None) is is_refused
    assert hold is None or "resize pod p: 403 Forbidden: not enough" in hold.why
