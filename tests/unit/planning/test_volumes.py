"""Volumes grow while their pods run: asked for, told, and nobody is recreated for it, whoever dies in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tdredis.api.instance import Condition
from tdredis.planning.live import Live
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import Apply, HandOver, Release, ReplacePod, ResizeVolume, Step
from tdredis.planning.volumes import volume_refusal
from tests.unit.planning.passes import REFUSALS, edit, plan, report
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby

World = SimulatedCluster | SimulatedStandby
Make = Callable[..., World]
LARGE = {"size": "128Gi"}


def standalone(**spec: object) -> SimulatedStandby:
    return SimulatedStandby("RedisStandalone", **spec)


KINDS = pytest.mark.parametrize(
    "make", [SimulatedCluster, SimulatedStandby, standalone], ids=["cluster", "standby", "standalone"]
)


def healthy(make: Make, **spec: object) -> World:
    world = make(**{"storageclass": "fast", **spec})
    world.converge()
    return world


def uids(world: World) -> dict[str, str]:
    return {name: pod.uid for name, pod in world.pods.items()}


def claims(world: World, part: str = "asked") -> dict[str, str]:
    """What each asks for, or has."""
    return {name: getattr(Live.of(live).claim, part) for name, live in sorted(world.claims.items())}


def templates(world: World) -> set[str]:
    """What claims of new Redis pods will ask for."""
    lives = (Live.of(live) for ref, live in world.children.items() if ref.kind == "StatefulSet")
    return {live.claim_template.asked for live in lives if live.claim_template is not None}


def accepted(world: World) -> Condition:
    status = world.snapshot().resource.status
    return next(each for each in status.conditions if each.type == "Accepted")


def passes(world: World, count: int = 8) -> list[Step]:
    """The steps of all of them."""
    return [step for _ in range(count) for step in world.run_pass()[0].steps]


@KINDS
def test_volumes_grow_their_statefulsets_are_made_anew_and_no_pod_is(make: Make) -> None:
    world = healthy(make)
    before, revisions = uids(world), {name: pod.revision for name, pod in world.pods.items()}
    edit(world, storage=LARGE)

    world.converge()
    world.run_pass()

    assert uids(world) == before
    assert {name: pod.revision for name, pod in world.pods.items()} == revisions
    assert set(claims(world).values()) == set(claims(world, "has").values()) == {"128Gi"}
    assert templates(world) == {"128Gi"}
    assert world.snapshot().resource.status.storage_size == "128Gi"
    assert (accepted(world).status, accepted(world).reason) == ("True", "AsSpecified")
    assert not world.orphans


@KINDS
def test_nothing_else_is_written_for_it(make: Make) -> None:
    world = healthy(make)
    edit(world, storage=LARGE)

    steps = passes(world, 16)

    sets = [step.ref for step in steps if isinstance(step, Release)]
    assert [step.ref for step in steps if isinstance(step, Apply)] == sets
    assert sorted(step.claim for step in steps if isinstance(step, ResizeVolume)) == sorted(world.claims)
    assert len(steps) == len(world.claims) + 2 * len(sets)


@KINDS
def test_an_operator_that_dies_after_any_step_of_it_is_succeeded_by_one_that_finishes(make: Make) -> None:
    died_at, is_over = 0, False
    while not is_over:
        world = healthy(make)
        before = uids(world)
        edit(world, storage=LARGE)
        left = died_at
        for _ in range(40):
            _, done = world.run_pass(interrupt_after=left)
            left -= done
            if left <= 0:
                break
        else:
            is_over = True

        world.converge()

        assert uids(world) == before, f"killed after {died_at} steps"
        assert (templates(world), set(claims(world).values())) == ({"128Gi"}, {"128Gi"})
        died_at += 1
    sets = {name.removeprefix("redis-data-").rpartition("-")[0] for name in world.claims}
    assert died_at > len(world.claims) + 2 * len(sets), "each volume, and each StatefulSet twice"


@KINDS
def test_how_many_have_it_is_told_until_all_do(make: Make) -> None:
    world = healthy(make)
    of = len(world.claims)
    world.grows_slowly = True
    edit(world, storage=LARGE)

    passes(world)

    told = accepted(world)
    assert (told.status, told.reason) == ("True", "Growing")
    assert f"storage.size 64Gi -> 128Gi: 0 of {of} volumes have it; the others grow" in told.message
    first, *_ = world.claims
    world.claims[first]["status"]["capacity"]["storage"] = "128Gi"  # type: ignore[index, call-overload]
    world.run_pass()
    assert of == 1 or f"1 of {of} volumes have it" in accepted(world).message
    world.grow_volumes()
    world.run_pass()
    assert accepted(world).reason == "AsSpecified"


CONDITIONS = [
    ("Resizing", "", "True", "Growing", "the others grow"),
    ("FileSystemResizePending", "", "True", "Growing", "(FileSystemResizePending): where a driver does that only"),
    ("ControllerResizeError", "disk limit reached", "False", "volumes_can_grow", "ControllerResizeError: disk limit"),
    ("NodeResizeError", "xfs_growfs failed", "False", "volumes_can_grow", "NodeResizeError: xfs_growfs failed"),
]


@KINDS
@pytest.mark.parametrize("said", CONDITIONS, ids=[each[0] for each in CONDITIONS])
def test_what_is_said_of_a_claim_is_told(make: Make, said: tuple[str, str, str, str, str]) -> None:
    type_, message, status, reason, words = said
    world = healthy(make)
    world.grows_slowly = True
    edit(world, storage=LARGE)
    passes(world)
    first = min(world.claims)
    claim: Any = world.claims[first]
    claim["status"]["conditions"] = [{"type": type_, "status": "True", "message": message}]

    steps = passes(world, 2)

    told = accepted(world)
    assert (told.status, told.reason) == (status, reason)
    assert words in told.message
    assert type_ == "Resizing" or first in told.message
    assert "storage.size 64Gi -> 128Gi" in told.message
    assert not steps


@KINDS
@pytest.mark.parametrize("progress", ["ControllerResizeInfeasible", "NodeResizeInfeasible", "ControllerResizeFailed"])
def test_a_driver_that_gives_up_without_a_word_is_told_too(make: Make, progress: str) -> None:
    world = healthy(make)
    world.grows_slowly = True
    edit(world, storage=LARGE)
    passes(world)
    claim: Any = world.claims[min(world.claims)]
    claim["status"]["allocatedResourceStatuses"] = {"storage": progress}

    passes(world, 2)

    assert accepted(world).reason == "volumes_can_grow"
    assert f"{min(world.claims)}: {progress}" in accepted(world).message


@KINDS
def test_what_is_refused_changes_nothing_and_may_be_taken_back(make: Make) -> None:
    world = healthy(make)
    first, *others = sorted(world.claims)
    world.refuses_growth = {first}
    edit(world, storage=LARGE)

    steps = passes(world)

    assert not [step for step in steps if isinstance(step, Release) and step.ref.name == first[11:].rpartition("-")[0]]
    assert claims(world)[first] == "64Gi"
    assert all(claims(world)[other] == "128Gi" for other in others)
    assert world.snapshot().resource.status.storage_size == "64Gi", "it may be written again"
    edit(world, storage={"size": "64Gi"})

    world.converge()

    assert templates(world) == {"64Gi"}
    assert accepted(world).reason == "AsSpecified"
    assert all(claims(world)[other] == "128Gi" for other in others), "no volume shrinks"


@KINDS
def test_what_was_asked_for_and_cannot_be_given_is_asked_for_less(make: Make) -> None:
    world = healthy(make)
    world.grows_slowly = True
    edit(world, storage=LARGE)
    passes(world)
    assert set(claims(world).values()) == {"128Gi"}
    edit(world, storage={"size": "100Gi"})

    passes(world)
    world.grow_volumes()
    world.converge()

    assert set(claims(world, "has").values()) == {"100Gi"} == templates(world)


@KINDS
@pytest.mark.parametrize(("size", "is_held"), [("32Gi", True), ("65536Mi", False), ("68719476736", False)])
def test_less_is_held_where_the_server_takes_it_and_the_same_in_other_words_is_the_same(
    make: Make, size: str, is_held: bool
) -> None:
    world = healthy(make)
    edit(world, storage={"size": size})

    made, _ = world.run_pass()

    assert not [step for step in made.steps if isinstance(step, ResizeVolume | Release)]
    assert [hold.guard for hold in made.holds] == ["volumes_do_not_shrink"] * is_held
    assert ("write storage.size: 64Gi or more" in accepted(world).message) is is_held
    edit(world, storage=LARGE)
    world.converge()
    assert set(claims(world).values()) == {"128Gi"}


@KINDS
def test_volumes_that_are_larger_by_hand_or_by_a_former_life_stay(make: Make) -> None:
    world = healthy(make)
    for live in world.claims.values():
        live["spec"]["resources"]["requests"]["storage"] = "256Gi"  # type: ignore[index, call-overload]
    world.grow_volumes()

    assert world.run_pass()[1] == 0
    assert accepted(world).reason == "AsSpecified"
    edit(world, storage=LARGE)
    world.converge()

    assert set(claims(world).values()) == {"256Gi"}
    assert templates(world) == {"128Gi"}


@pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])
def test_new_pods_have_the_new_size_at_once(make: Make) -> None:
    world = healthy(make)
    edit(world, storage=LARGE)
    world.converge()
    edit(world, replicas=2)

    steps = passes(world)

    assert len(claims(world)) == len(world.snapshot().pods)
    assert set(claims(world).values()) == {"128Gi"}
    assert not [step for step in steps if isinstance(step, ResizeVolume | Release)]


@pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])
@pytest.mark.parametrize("back_after", range(8))
def test_size_and_replicas_in_one_edit_and_half_way_back(make: Make, back_after: int) -> None:
    world = healthy(make)
    world.goes_slowly = True
    before = uids(world)
    edit(world, storage=LARGE, replicas=3, capacity=768)
    passes(world, back_after)
    edit(world, storage={"size": "64Gi"}, replicas=1, capacity=384)
    if world.snapshot().resource.status.storage_size == "128Gi":  # the server would refuse it by then
        edit(world, storage=LARGE)

    world.converge()

    assert before.items() <= uids(world).items()
    assert len(world.pods) == len(before)
    assert not world.orphans


@KINDS
def test_the_gap_is_no_occasion_for_another_storage_class(make: Make) -> None:
    """An edit that is held stays so while the StatefulSet that says what there is, is being made anew."""
    world = healthy(make)
    before = uids(world)
    edit(world, storageclass="", storage=LARGE)
    passes(world)
    assert accepted(world).reason == "volumes_are_unchanged"
    assert uids(world) == before
    assert templates(world) == {"128Gi"}
    for ref in [ref for ref in world.children if ref.kind == "StatefulSet" and "sentinel" not in ref.name]:
        world.orphans |= {name for name in world.pods if name.startswith(ref.name)}
        del world.children[ref]

    passes(world)

    assert templates(world) == {"128Gi"}
    assert uids(world) == before


@KINDS
def test_a_statefulset_of_which_a_pod_is_missing_is_left_alone(make: Make) -> None:
    world = healthy(make)
    name = max(world.pods)
    edit(world, storage=LARGE)
    for live in world.claims.values():
        live["spec"]["resources"]["requests"]["storage"] = "128Gi"  # type: ignore[index, call-overload]
    world.grow_volumes()
    seen = world.snapshot()
    assert [step for step in plan(seen).steps if isinstance(step, Release)]
    pods = {pod: facts for pod, facts in seen.pods.items() if pod.rpartition("-")[0] != name.rpartition("-")[0]}
    gone = replace(seen, pods=pods, nodes={pod: each for pod, each in seen.nodes.items() if pod in pods})

    released = [step.ref.name for step in plan(gone).steps if isinstance(step, Release)]

    assert name.rpartition("-")[0] not in released


@pytest.mark.parametrize("make", [SimulatedCluster, SimulatedStandby], ids=["cluster", "standby"])
def test_a_surplus_pod_is_remembered_by_its_statefulset_which_stays_meanwhile(make: Make) -> None:
    """Data that no volume keeps: a roll needs one more pod for it."""
    world = healthy(make, config={"appendonly": "no", "save": ""})
    edit(world, image="redis:7.2", storage=LARGE)

    world.converge(passes=120)

    assert templates(world) == {"128Gi"}
    assert set(claims(world).values()) == {"128Gi"}
    assert {pod.images["redis"] for pod in world.pods.values() if "redis" in pod.images} == {"redis:7.2"}


@KINDS
def test_a_pod_that_a_rollout_restart_made_is_not_outdated_by_a_statefulset_without_its_annotation(make: Make) -> None:
    world = healthy(make)
    for name in {pod.rpartition("-")[0] for pod in world.pods}:
        world.rollout_restart(name, "2026-01-02T03:04:05Z")
    world.converge(passes=120)
    before = uids(world)
    edit(world, storage=LARGE)

    world.converge()

    assert uids(world) == before
    assert (accepted(world).reason, accepted(world).message) == ("AsSpecified", "spec is fully applied")


@KINDS
def test_disks_that_are_full_do_not_keep_them_from_growing(make: Make) -> None:
    world = healthy(make)
    for name in world.snapshot().pods:
        process: Any = world.pods[name].process
        process.write_error = "No space left on device"
    edit(world, storage=LARGE)

    steps = passes(world, 3)

    assert {step.claim for step in steps if isinstance(step, ResizeVolume)} == set(world.claims)
    assert not [step for step in steps if isinstance(step, ReplacePod | HandOver)]


RESIZE = ResizeVolume(claim="redis-data-x-0", uid="u", size="128Gi", why="")
APPLY = Apply(ref=Ref("ConfigMap", "x"), manifest={}, why="")


@pytest.mark.parametrize(
    ("failed", "kind", "is_told"),
    [*((RESIZE, kind, is_told) for kind, is_told in REFUSALS), (APPLY, "403 Forbidden", False), (None, "", False)],
)
def test_a_refusal_of_the_server_is_told_in_its_words(failed: Step | None, kind: str, is_told: bool) -> None:
    world = healthy(SimulatedStandby)
    edit(world, storage=LARGE)
    hold = volume_refusal(failed, kind, f"{failed}: {kind}: exceeded quota: q, requested: requests.storage=64Gi")

    assert (hold is not None) is is_told
    if hold is not None:
        seen = world.snapshot()
        made = plan(seen)
        told = _accepted(report(seen, replace(made, holds=(*made.holds, hold))).conditions)
        assert (told.status, told.reason) == ("False", "volumes_can_grow")
        assert "exceeded quota: q, requested: requests.storage=64Gi" in told.message
        assert "storage.size 64Gi -> 128Gi: 0 of 2 volumes have it" in told.message


def _accepted(conditions: tuple[Condition, ...]) -> Condition:
    return next(each for each in conditions if each.type == "Accepted")


@pytest.mark.parametrize(
    ("status", "has", "is_bound"),
    [
        ({}, "", False),
        ({"phase": "Pending"}, "", False),
        ({"phase": "Bound", "capacity": {"storage": "1Gi"}}, "1Gi", True),
    ],
)
def test_a_claim_is_read_as_it_is(status: Mapping[str, Any], has: str, is_bound: bool) -> None:
    spec = {"storageClassName": "fast", "resources": {"requests": {"storage": "2Gi"}}}
    found = Live.of({"metadata": {"name": "c"}, "spec": spec, "status": dict(status)}).claim  # type: ignore[dict-item]

    assert (found.storage_class, found.asked, found.has, found.is_bound) == ("fast", "2Gi", has, is_bound)
    assert found.size == 2 * 2**30
